import { expect, test, vi } from "vitest";
import { delivered, newPixel, usePage, world } from "./world";

usePage();

const METHODS = ["page", "identify", "track", "group", "alias", "reset", "ready", "debug", "setAnonymousId", "user"];

const cycle: any = { name: "cycle", list: [1] };
cycle.self = cycle;
cycle.list.push(cycle);

const throwing = Object.defineProperty({ good: 1 }, "bad", {
  enumerable: true,
  get() {
    throw new Error("no");
  },
});
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const endless: any = new Proxy({}, { get: () => endless, ownKeys: () => ["x"], getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }) });

const HOSTILE: Record<string, unknown> = {
  cycle,
  throwing,
  revoked: revoked.proxy,
  endless,
  bigint: 2n ** 80n,
  symbol: Symbol("s"),
  nan: Number.NaN,
  huge: 1e20,
  megabyte: "x".repeat(1_000_000),
  surrogate: "a\ud800b\0c",
  deep: JSON.parse("[".repeat(500) + "]".repeat(500)),
  wide: Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i])),
  node: document.createElement("div"),
  date: new Date(Number.NaN),
  toJSON: { toJSON: () => { throw new Error("no"); } },
  selfJSON: { toJSON() { return this; } },
  proto: JSON.parse('{"__proto__": {"polluted": true}, "a": 1}'),
  map: new Map([[1, 2]]),
  bare: Object.create(null),
};

for (const [kind, value] of Object.entries(HOSTILE))
  test(`${kind}: nothing is thrown, and what is sent is sound`, async () => {
    const pixel = await newPixel();
    for (const name of METHODS)
      for (const args of [[value], ["name", value], [value, value, value], ["a", "b", value], ["n", { inner: value, after: 1 }]])
        expect(() => pixel[name]!(...args)).not.toThrow();
    await delivered();
    expect(world.events().length).toBeGreaterThan(METHODS.length / 2);
    for (const event of world.events()) {
      const text = JSON.stringify(event);
      expect(new Blob([text]).size).toBeLessThan(32_768);
      expect(text).not.toMatch(/\\ud[89a-f]|\\u0000|\d{19}[,}\]]/);
      expect(typeof event.messageId).toBe("string");
    }
  });

test("the longest event that goes as it is holds the page up for milliseconds at most", async () => {
  const pixel = await newPixel();
  vi.useRealTimers();
  const took = Array.from({ length: 9 }, () => {
    const began = performance.now();
    pixel.track!("A", { note: "x".repeat(9_000) });
    return performance.now() - began;
  });
  // The quickest, for other work on this machine: 0.2 ms; a pattern that begins anew at each character takes 300.
  expect(Math.min(...took)).toBeLessThan(30);
});

const properties = async (given: unknown) => {
  (await newPixel()).track!("A", given);
  await delivered();
  return world.events()[0].properties;
};

test("what is sound around a broken value is kept", async () => {
  const when = new Date(0);
  const sent = await properties({ a: 1, throwing, cycle, when, f: () => 1, list: [1n, undefined, "x"], nothing: null });
  expect(sent).toEqual({
    a: 1,
    throwing: { good: 1 },
    cycle: { name: "cycle", list: [1, null] },
    when: "1970-01-01T00:00:00.000Z",
    list: ["1", null, "x"],
    nothing: null,
  });
});

test("a long text is cut, not its neighbours before it", async () => {
  const sent = await properties({ total: 5, text: "é".repeat(1_000_000) });
  expect(sent.total).toBe(5);
  expect(sent.text.length).toBeGreaterThan(10_000);
});

test("a key named __proto__ pollutes nothing", async () => {
  await properties(JSON.parse('{"__proto__": {"polluted": true}}'));
  expect(({} as any).polluted).toBeUndefined();
});

test("a console that throws does not matter in debug", async () => {
  vi.spyOn(console, "log").mockImplementation(() => {
    throw new Error("no console");
  });
  const pixel = await newPixel();
  pixel.debug!();
  pixel.track!("A");
  await delivered();
  expect(world.events()).toHaveLength(1);
});
