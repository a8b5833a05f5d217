import { beforeEach, expect, test, vi } from "vitest";
import { delivered, leave, usePage, world } from "./world";

usePage();

const page = window as any;
const seen = () => world.events().map(({ type, event, name }) => event ?? name ?? type);

beforeEach(() => {
  for (const name of ["pixel", "sendgrid"]) delete page[name];
  document.head.innerHTML = "";
  document.body.innerHTML = "";
});

async function load(attributes: Record<string, string> = {}) {
  const script = document.createElement("script");
  const all = { src: "https://collect.example/edge/c.js", "data-key": "wk_1", ...attributes };
  for (const [name, value] of Object.entries(all)) script.setAttribute(name, value);
  document.head.replaceChildren(script);
  vi.spyOn(document, "currentScript", "get").mockReturnValue(script);
  vi.resetModules();
  await import("../src/main");
}

async function runSnippet(name = "pixel") {
  vi.stubGlobal("__GLOBAL__", name);
  vi.stubGlobal("__SRC__", "https://collect.example/c.js");
  vi.stubGlobal("__DATA__", { key: "wk_1", global: name });
  vi.resetModules();
  await import("../src/snippet");
}

test("the page view comes first, then the queued calls in their order", async () => {
  await runSnippet();
  page.pixel.track("A").identify("u");
  page.pixel.page("Pricing");
  await load();
  page.pixel.track("B");
  await delivered();
  expect(seen()).toEqual(["page", "A", "identify", "Pricing", "B"]);
  expect(world.posts[0]!.writeKey).toBe("wk_1");
});

test("the snippet run twice keeps the calls and asks for the script once", async () => {
  await runSnippet("sendgrid");
  page.sendgrid.track("A");
  await runSnippet("sendgrid");
  expect(page.sendgrid).toHaveLength(1);
  const scripts = document.querySelectorAll("script");
  expect([...scripts].map(({ dataset }) => ({ ...dataset }))).toEqual([{ key: "wk_1", global: "sendgrid" }]);
});

test("the script loaded twice sends one page view and replays once", async () => {
  await runSnippet();
  page.pixel.track("A");
  await load();
  await load();
  await runSnippet();
  page.pixel.track("B");
  await delivered();
  expect(seen()).toEqual(["page", "A", "B"]);
});

test("without the snippet the script makes the global; data-auto=false leaves the page view out", async () => {
  await load({ "data-global": "sendgrid", "data-auto": "false" });
  page.sendgrid.track("A");
  page.sendgrid.push(["track", "B"]);
  await delivered();
  expect(seen()).toEqual(["A", "B"]);
});

test("references to the global and to its stubs, taken before the script came, work after it", async () => {
  await runSnippet();
  const { pixel } = page;
  const { track } = pixel;
  await load();
  pixel.track("A");
  track("B");
  await delivered();
  expect(seen()).toEqual(["page", "A", "B"]);
});

test("an element with the name of the global is not mistaken for it", async () => {
  page.pixel = document.createElement("img");
  await load();
  page.pixel.track("A");
  await delivered();
  expect(seen()).toEqual(["page", "A"]);
});

test("broken entries in the queue and unknown methods are passed over", async () => {
  await runSnippet();
  page.pixel.push(null, 7, ["nothing"], ["toString"], ["track", "A"]);
  page.pixel.consent({ ads: true }).on("track", () => {});
  await load();
  page.pixel.once("x").trackLink(null);
  page.pixel.track("B");
  await delivered();
  expect(seen()).toEqual(["page", "A", "B"]);
});

test("in a page whose title is not yet there the calls wait for it, or for the end of the page", async () => {
  document.title = "";
  const state = vi.spyOn(document, "readyState", "get").mockReturnValue("loading");
  await load();
  page.pixel.track("A");
  await delivered();
  expect(world.posts).toEqual([]);

  document.title = "Late";
  state.mockReturnValue("interactive");
  document.dispatchEvent(new Event("DOMContentLoaded", { bubbles: true }));
  leave();
  expect(world.beacons[0]!.batch.map(({ type }) => type)).toEqual(["page", "track"]);
  expect(world.beacons[0]!.batch[0].properties.title).toBe("Late");
});

test("a page left before its title came still sends its calls", async () => {
  document.title = "";
  vi.spyOn(document, "readyState", "get").mockReturnValue("loading");
  await load();
  page.pixel.track("A");
  leave();
  expect(world.beacons).toHaveLength(1);
  expect(world.beacons[0]!.batch.map(({ type }) => type)).toEqual(["page", "track"]);
});

test("a script without an address does nothing and says nothing", async () => {
  await expect(load({ src: "" })).resolves.toBeUndefined();
});
