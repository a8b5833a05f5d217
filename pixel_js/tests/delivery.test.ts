import { expect, test, vi } from "vitest";
import { delivered, newPixel, usePage, world } from "./world";

usePage();

const names = (sent: { batch: any[] }[]) => sent.map(({ batch }) => batch.map(({ event }) => event));
const kept = () => Object.keys(localStorage).filter((key) => key.startsWith("_px_q:")).length;
const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1000);

test("calls made together are one request; what is settled is kept no longer", async () => {
  const pixel = await newPixel();
  pixel.track!("A").track("B");
  expect(kept()).toBe(2);
  await delivered();
  expect(names(world.posts)).toEqual([["A", "B"]]);
  expect(kept()).toBe(0);
});

test("one request at a time, so that the order stays", async () => {
  let answer = (_: Response) => {};
  vi.stubGlobal("fetch", (_: string, { body }: RequestInit) => {
    world.posts.push(JSON.parse(body as string));
    return new Promise<Response>((resolve) => (answer = resolve));
  });
  const pixel = await newPixel();
  pixel.track!("A");
  await delivered();
  pixel.track!("B");
  await delivered();
  expect(names(world.posts)).toEqual([["A"]]);
  answer(new Response("{}"));
  await delivered();
  expect(names(world.posts)).toEqual([["A"], ["B"]]);
});

test("who is not answered asks again after half a minute, and waits no longer for other tabs", async () => {
  vi.stubGlobal("AbortSignal", {
    timeout(ms: number) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), ms);
      return controller.signal;
    },
  });
  const aborted = (signal: AbortSignal) => new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const request = (_name: string, { signal }: { signal: AbortSignal }) => aborted(signal);
  Object.defineProperty(navigator, "locks", { value: { request }, configurable: true });
  vi.stubGlobal("fetch", (_: string, { body, signal }: RequestInit) => {
    world.posts.push(JSON.parse(body as string));
    return world.posts.length > 1 ? Promise.resolve(new Response("{}")) : aborted(signal!);
  });
  (await newPixel()).track!("A");
  await seconds(29);
  expect(names(world.posts)).toEqual([]);
  await seconds(2);
  expect(names(world.posts)).toEqual([["A"]]);
  await seconds(29);
  expect(names(world.posts)).toEqual([["A"]]);
  await seconds(32);
  expect(names(world.posts)).toEqual([["A"], ["A"]]);
  expect(kept()).toBe(0);
  Object.defineProperty(navigator, "locks", { value: undefined, configurable: true });
  vi.unstubAllGlobals();
});

test.each([408, 429, 500, 503, "down" as const])("after %s the same events come again, with later ones", async (reply) => {
  world.replies.push(reply === "down" ? reply : { status: reply });
  const pixel = await newPixel();
  pixel.track!("A");
  await delivered();
  pixel.track!("B");
  await seconds(2);
  expect(names(world.posts)).toEqual([["A"], ["A", "B"]]);
  const [first, second] = world.posts;
  expect(second!.batch[0]).toEqual(first!.batch[0]);
  expect(second!.sentAt).not.toBe(first!.sentAt);
});

test.each([400, 401, 404, 413])("after %i they are given up", async (status) => {
  world.replies.push({ status });
  (await newPixel()).track!("A");
  await seconds(600);
  expect(names(world.posts)).toEqual([["A"]]);
  expect(kept()).toBe(0);
});

test("Retry-After is obeyed, but not for ever", async () => {
  world.replies.push({ status: 503, headers: { "Retry-After": "30" } });
  world.replies.push({ status: 429, headers: { "Retry-After": "99999999" } });
  (await newPixel()).track!("A");
  await seconds(29);
  expect(world.posts).toHaveLength(1);
  await seconds(2);
  expect(world.posts).toHaveLength(2);
  await seconds(301);
  expect(world.posts).toHaveLength(3);
});

test("the pauses grow while the collector is down, and end when the browser is online again", async () => {
  world.replies.push(...Array(40).fill("down"));
  (await newPixel()).track!("A");
  await seconds(3600);
  expect(world.posts.length).toBeGreaterThan(10);
  expect(world.posts.length).toBeLessThan(80);
  world.posts = [];
  world.replies = [];
  dispatchEvent(new Event("online"));
  await delivered();
  expect(kept()).toBe(0);
});

test("large events go in chunks that a keepalive request can carry", async () => {
  const pixel = await newPixel();
  for (const event of ["A", "B", "C", "D"]) pixel.track!(event, { text: "é".repeat(8_000) });
  await delivered();
  expect(names(world.posts)).toEqual([["A", "B"], ["C", "D"]]);
  for (const sent of world.posts) expect(new Blob([JSON.stringify(sent)]).size).toBeLessThan(64_000);
});

test("five hundred unsent events are kept, the oldest give way", async () => {
  world.replies.push(...Array(9).fill("down"));
  const pixel = await newPixel();
  for (let i = 0; i < 600; i++) pixel.track!(`E${i}`);
  expect(kept()).toBe(500);
  await seconds(3600);
  expect(names(world.posts).at(-1)!.at(-1)).toBe("E599");
  expect(names(world.posts)[0]![0]).toBe("E100");
});

test("a full storage loses no event of this page", async () => {
  vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  const pixel = await newPixel();
  pixel.track!("A").track("B");
  await delivered();
  expect(names(world.posts)).toEqual([["A", "B"]]);
});
