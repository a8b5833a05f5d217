import { describe, expect, test } from "vitest";
import { delivered, newPixel, usePage, world } from "./world";

usePage();

async function sent(method: string, ...args: unknown[]) {
  const pixel = await newPixel();
  pixel[method]!(...args);
  await delivered();
  return world.events().at(-1);
}

describe("page", () => {
  const facts = { path: "/", referrer: "", search: "", title: "A page", url: "https://shop.example/" };
  const options = { integrations: {} };
  const noop = () => {};

  test.each([
    [[], undefined, undefined, {}],
    [["Pricing"], undefined, "Pricing", {}],
    [[{ plan: "pro" }], undefined, undefined, { plan: "pro" }],
    [["Pricing", { plan: "pro" }], undefined, "Pricing", { plan: "pro" }],
    [["Docs", "Pricing"], "Docs", "Pricing", { category: "Docs" }],
    [["Docs", "Pricing", { plan: "pro" }], "Docs", "Pricing", { category: "Docs", plan: "pro" }],
    [["Docs", "Pricing", { plan: "pro" }, options, noop], "Docs", "Pricing", { category: "Docs", plan: "pro" }],
    [["Pricing", { plan: "pro" }, options, noop], undefined, "Pricing", { plan: "pro" }],
    [["Pricing", noop], undefined, "Pricing", {}],
    [[null, "Pricing", null], undefined, "Pricing", {}],
    [[undefined, undefined, { plan: "pro" }], undefined, undefined, { plan: "pro" }],
  ])("page(...%j)", async (args, category, name, own) => {
    const event = await sent("page", ...args);
    expect([event.category, event.name]).toEqual([category, name]);
    expect(event.properties).toEqual({ ...facts, ...own });
  });

  test("given title, url, path and referrer win", async () => {
    const given = { title: "T", url: "https://shop.example/p", path: "/p", referrer: "https://r.example" };
    expect((await sent("page", "Pricing", given)).properties).toEqual({ ...given, search: "" });
  });
});

describe("identify", () => {
  test.each([
    [["u1"], "u1", undefined],
    [["u1", { email: "a@b.example" }], "u1", { email: "a@b.example" }],
    [[{ email: "a@b.example" }], undefined, { email: "a@b.example" }],
    [[{ email: "a@b.example" }, { integrations: {} }], undefined, { email: "a@b.example" }],
    [[42], "42", undefined],
    [[0], "0", undefined],
    [[10n, null], "10", null],
    [["", { a: 1 }], undefined, { a: 1 }],
    [[null, { a: 1 }], undefined, { a: 1 }],
    [["u1", "no traits"], "u1", undefined],
  ])("identify(...%s)", async (args, userId, traits) => {
    const event = await sent("identify", ...args);
    expect([event.userId, event.traits]).toEqual([userId, traits]);
  });
});

describe("the others", () => {
  test("track with and without properties", async () => {
    expect(await sent("track", "Bought", { total: 1 })).toMatchObject({ event: "Bought", properties: { total: 1 } });
    expect("properties" in (await sent("track", "Purchase"))).toBe(false);
  });

  test.each([[[]], [[""]], [[null, { a: 1 }]], [[{ a: 1 }]]])("track(...%j) has no name and is not sent", async (args) => {
    expect(await sent("track", ...args)).toBeUndefined();
  });

  test("group has its id and traits", async () => {
    expect(await sent("group", 7, { seats: 3 })).toMatchObject({ type: "group", groupId: "7", traits: { seats: 3 } });
  });

  test("alias names the former id, given or known", async () => {
    expect(await sent("alias", "new", "old")).toMatchObject({ userId: "new", previousId: "old" });
    const { anonymousId, previousId } = await sent("alias", "new");
    expect(previousId).toBe(anonymousId);
  });

  test("calls can be chained, callbacks are called and a ready one at once", async () => {
    const pixel = await newPixel();
    const called: string[] = [];
    const again = pixel.track!("A", {}, {}, () => called.push("track"));
    again.ready(() => called.push("ready"));
    expect(await again).toMatchObject({ event: "A" });
    await delivered();
    expect(called).toEqual(["track", "ready"]);
  });
});

test("an event as it stands on the wire", async () => {
  const event = await sent("track", "Lead", { email: "ada@example.com" });
  expect(event).toEqual({
    type: "track",
    event: "Lead",
    messageId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
    anonymousId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    timestamp: "2026-01-02T00:00:00.000Z",
    properties: { email: "ada@example.com" },
    context: {
      page: { path: "/", referrer: "", search: "", title: "A page", url: "https://shop.example/" },
      locale: navigator.language,
      timezone: expect.any(String),
      screen: { width: screen.width, height: screen.height },
      library: { name: "pixel", version: "test" },
      bot: expect.anything(),
      dnt: false,
    },
  });
  expect(world.posts[0]).toMatchObject({ writeKey: "wk_1", sentAt: expect.stringMatching(/Z$/) });
});
