import { appendFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { delivered, newPixel, usePage, world } from "./world";

usePage();

const METHODS = [
  ..."page identify track group alias reset ready consent debug setAnonymousId".split(" "),
  ..."on off once trackLink trackForm user push".split(" "),
];

/** What no JSON can hold, or no collector takes. Made at the call: fast-check looks into what it is given. */
class Broken {
  constructor(readonly make: () => unknown) {}
}

function thrower(): never {
  throw new Error("no");
}

function cycle(): unknown {
  const value: any = { list: [] };
  value.self = value;
  value.list.push(value);
  return value;
}

const nested = (depth: number) => JSON.parse("[".repeat(depth) + "]".repeat(depth));
const broken = fc
  .oneof(
    fc.constantFrom<unknown>("a\ud800b", "\udc00", "nul\0", "\u2028</script>", "é".repeat(40_000), "💥".repeat(9_000)),
    fc.constantFrom<unknown>(Number.NaN, Infinity, -0, 2 ** 63, 1e308, 2n ** 90n, -(2n ** 64n), Symbol("s"), thrower, "9".repeat(400)),
    fc.constantFrom<unknown>(new Date(Number.NaN), new Date(8.64e15), new Date(-8.64e15), /x/g, new Error("no"), new Uint8Array(9)),
  )
  .map((value) => new Broken(() => value));
const made = fc
  .oneof(
    fc.constant(cycle),
    fc.integer({ min: 1, max: 5000 }).map((depth) => () => nested(depth)),
    fc.constant(() => Object.defineProperty({ after: 1 }, "bad", { enumerable: true, get: thrower })),
    fc.constantFrom("toJSON", "toString", "valueOf", "length", "then").map((name) => () => ({ [name]: thrower, good: 1 })),
    fc.constantFrom("get", "ownKeys", "has", "getPrototypeOf").map((trap) => () => new Proxy({ good: 1 }, { [trap]: thrower })),
    fc.constantFrom("div", "form", "a").map((tag) => () => document.createElement(tag)),
  )
  .map((make) => new Broken(make));

/** The value with what is broken in its place. */
function whole(value: any): unknown {
  if (value instanceof Broken) return value.make();
  if (Array.isArray(value)) return value.map(whole);
  if (!value || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const copy = Object.create(Object.prototype);
  for (const [key, inner] of Object.entries(value)) Object.defineProperty(copy, key, { value: whole(inner), enumerable: true, writable: true });
  return copy;
}

const anything = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: true,
  withSparseArray: true,
  withObjectString: true,
  withUnicodeString: true,
} as fc.ObjectConstraints);
const value = fc.oneof({ weight: 3, arbitrary: anything }, { weight: 1, arbitrary: broken }, { weight: 1, arbitrary: made });

/** Objects of names that the pixel, JSON and the collector know, so that they are not only noise. */
const knownNames = fc.constantFrom(
  ..."total currency products title url path referrer email id name at analytics ads timestamp context".split(" "),
  ..."integrations anonymousId userId messageId type page campaign consent gpc sentAt writeKey __proto__".split(" "),
);
const known = fc.dictionary(knownNames, fc.oneof(value, fc.dictionary(knownNames, value)));
const args = fc.array(fc.oneof({ weight: 2, arbitrary: value }, { weight: 2, arbitrary: known }, { weight: 1, arbitrary: fc.string() }), { maxLength: 5 });
const calls = fc.array(fc.tuple(fc.constantFrom(...METHODS), args), { minLength: 1, maxLength: 12 });

let runs = 0;
/** For the test that hands them to the collector. */
const bodies = process.env["PIXEL_BODIES"];

test("whatever is passed to any call, nothing is thrown and each event is sent as the collector takes it", async () => {
  await fc.assert(
    fc.asyncProperty(calls, fc.constantFrom({}, { cookieless: "" }, { consent: "required" }), async (calls, settings) => {
      world.posts = [];
      localStorage.clear();
      const key = `wk_${++runs}`;
      const pixel = await newPixel(key, settings);
      for (const [method, given] of calls) expect(() => pixel[method]!(...given.map(whole))).not.toThrow();
      expect(() => pixel.consent!({ analytics: true })).not.toThrow();
      await expect(pixel.track!("Last")).resolves.toBeDefined();
      do await delivered();
      while (Object.keys(localStorage).some((name) => name.startsWith(`_px_q:${key}`)));
      const posts = world.posts.filter(({ writeKey }) => writeKey === key);
      const events = posts.flatMap(({ batch }) => batch);
      expect(events.at(-1)!.event).toBe("Last");
      for (const event of events) {
        expect(Date.parse(event.timestamp)).toBeLessThanOrEqual(Date.now());
        expect(new Blob([JSON.stringify(event)]).size).toBeLessThan(32_768);
      }
      if (bodies) for (const post of posts) appendFileSync(bodies, `${JSON.stringify(post)}\n`);
    }),
    { numRuns: Number(process.env["PIXEL_RUNS"] ?? 60) },
  );
});
