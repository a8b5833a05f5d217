import { expect, test, vi } from "vitest";
import { delivered, leave, newPixel, usePage, world } from "./world";

usePage();

const names = (sent: { batch: any[] }[]) => sent.map(({ batch }) => batch.map(({ event }) => event));

function hide(): void {
  vi.spyOn(document, "hidden", "get").mockReturnValue(true);
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}

const neverAnswered = (_: string, { body }: RequestInit) => {
  world.posts.push(JSON.parse(body as string));
  return new Promise(() => {});
};

test("leaving hands over what is unsent, once for pagehide and visibilitychange together", async () => {
  const pixel = await newPixel();
  pixel.track!("A").track("B");
  leave();
  hide();
  expect(names(world.beacons)).toEqual([["A", "B"]]);
});

test("leaving hands over what is not on its way", async () => {
  vi.stubGlobal("fetch", neverAnswered);
  const pixel = await newPixel();
  pixel.track!("A");
  await delivered();
  pixel.track!("B");
  leave();
  expect(names(world.posts)).toEqual([["A"]]);
  expect(names(world.beacons)).toEqual([["B"]]);
});

test("where the browser has no room for both, the unsent ones go", async () => {
  vi.stubGlobal("fetch", neverAnswered);
  world.beaconTakes = (body) => !body.includes('"A"');
  const pixel = await newPixel();
  pixel.track!("A");
  await delivered();
  pixel.track!("B");
  leave();
  expect(names(world.beacons)).toEqual([["B"]]);
});

test("a call in the page's own pagehide listener goes at once", async () => {
  const pixel = await newPixel();
  leave();
  pixel.track!("Left");
  hide();
  expect(names(world.beacons)).toEqual([["Left"]]);
});

test("a page view whose recording is broken off is taken up at the next event", async () => {
  const pixel = await newPixel("wk_1", { auto: "true" });
  await delivered();
  const page = pixel.page!;
  let broken = 0;
  pixel.page = (...args) => {
    if (!broken++) throw "as Firefox breaks off what a leaving page runs";
    return page(...args);
  };
  history.pushState({}, "", "/cart");
  leave();
  expect(world.beacons).toEqual([]);
  hide();
  expect(world.beacons.map(({ batch }) => batch.map(({ type, properties }) => [type, properties.path]))).toEqual([[["page", "/cart"]]]);
});

test("the next page sends what the last one could not, before its own, and each once", async () => {
  vi.stubGlobal("fetch", neverAnswered);
  (await newPixel()).track!("A").track("B");
  await delivered();
  const [first] = world.posts.splice(0);

  vi.resetModules();
  vi.unstubAllGlobals();
  vi.stubGlobal("fetch", async (_: string, { body }: RequestInit) => {
    world.posts.push(JSON.parse(body as string));
    return new Response("{}");
  });
  (await newPixel()).track!("C");
  await delivered();
  expect(names(world.posts)).toEqual([["A", "B", "C"]]);
  expect(world.posts[0]!.batch.slice(0, 2)).toEqual(first!.batch);
  vi.resetModules();
  await newPixel();
  await delivered();
  expect(world.posts).toHaveLength(1);
});

test("what is kept for another write key is left alone", async () => {
  world.replies.push("down");
  (await newPixel("wk_other")).track!("A");
  await vi.advanceTimersByTimeAsync(60);
  vi.resetModules();
  world.posts = [];
  (await newPixel("wk_1")).track!("B");
  await vi.advanceTimersByTimeAsync(60);
  expect(names(world.posts)).toEqual([["B"]]);
});

