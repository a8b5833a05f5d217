import { expect, test, vi } from "vitest";
import { delivered, newPixel, usePage, world } from "./world";

usePage();

test("ids grow, also within a millisecond and when the clock is set back", async () => {
  const { newId } = await import("../src/id");
  const ids = Array.from({ length: 5000 }, newId);
  vi.setSystemTime(Date.UTC(2020, 0, 1));
  ids.push(newId());
  vi.setSystemTime(Date.UTC(2030, 0, 1));
  ids.push(newId());
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});

test("the anonymous id stays over pages, and the cookie heals a cleared storage", async () => {
  const first = (await newPixel()).user!().anonymousId();
  localStorage.clear();
  vi.resetModules();
  expect((await newPixel()).user!().anonymousId()).toBe(first);
  expect(JSON.parse(localStorage._px).anonymousId).toBe(first);
  expect(document.cookie).toContain(`_px_aid=${first}`);
});

test("the user id goes with every later event, on later pages too", async () => {
  const pixel = await newPixel();
  pixel.track!("before");
  pixel.identify!(123, { email: "a@b.example" });
  vi.advanceTimersByTime(5);
  vi.resetModules();
  (await newPixel()).track!("after");
  await delivered();
  expect(world.events().map(({ event, userId }) => [event, userId])).toContainEqual(["after", "123"]);
  expect("userId" in world.events()[0]).toBe(false);
});

test("traits are gathered for user().traits(), and sent as given", async () => {
  const pixel = await newPixel();
  pixel.identify!("u", { a: 1 });
  pixel.identify!("u", { b: 2 });
  expect(pixel.user!().traits()).toEqual({ a: 1, b: 2 });
  await delivered();
  expect(world.events()[1].traits).toEqual({ b: 2 });
});

test("another user is another visitor; the same one is not", async () => {
  const pixel = await newPixel();
  const { anonymousId, traits, id } = pixel.user!();
  const first = anonymousId();
  pixel.identify!("u", { a: 1 });
  pixel.identify!("u");
  expect(anonymousId()).toBe(first);
  pixel.identify!("v");
  expect(anonymousId()).not.toBe(first);
  expect([id(), traits()]).toEqual(["v", {}]);
});

test("reset forgets the user and begins a new visitor", async () => {
  const pixel = await newPixel();
  const first = pixel.user!().anonymousId();
  pixel.identify!("u", { a: 1 });
  pixel.reset!();
  expect(pixel.user!().id()).toBeUndefined();
  expect(pixel.user!().traits()).toEqual({});
  expect(pixel.user!().anonymousId()).not.toBe(first);
});

test("setAnonymousId takes a given id", async () => {
  const pixel = await newPixel();
  pixel.setAnonymousId!("mine.or:yours");
  expect(pixel.user!().anonymousId()).toBe("mine.or:yours");
  localStorage.clear();
  expect(pixel.user!().anonymousId()).toBe("mine.or:yours");
});

test("with storage and cookies blocked, a page has one visitor and its events arrive", async () => {
  const blocked = () => {
    throw new DOMException("blocked", "SecurityError");
  };
  vi.spyOn(globalThis, "localStorage", "get").mockImplementation(blocked);
  vi.spyOn(document, "cookie", "get").mockImplementation(blocked);
  vi.spyOn(document, "cookie", "set").mockImplementation(blocked);
  const pixel = await newPixel();
  pixel.identify!("u", { a: 1 }).track("A").track("B");
  await delivered();
  expect(world.events().map(({ event }) => event)).toEqual([undefined, "A", "B"]);
  expect(new Set(world.events().map(({ anonymousId }) => anonymousId)).size).toBe(1);
  expect(world.events()[2].userId).toBe("u");
  expect(pixel.user!().traits()).toEqual({ a: 1 });
});
