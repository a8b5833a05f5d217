"use strict";
const log = document.querySelector("#log");
const visitor = document.querySelector("#visitor");

/** The debug mode speaks to the console: here it is seen in the page as well. */
for (const level of ["log", "warn"]) {
  const said = console[level];
  console[level] = (...args) => {
    said.apply(console, args);
    if (String(args[0]).startsWith("[pixel]")) show(level, args[0], args[1]);
  };
}

function show(level, text, detail) {
  const line = document.createElement("li");
  line.className = level;
  const more = document.createElement("details");
  const head = document.createElement("summary");
  const json = document.createElement("pre");
  head.textContent = text;
  json.textContent = readable(detail);
  more.append(head, json);
  line.append(more);
  log.prepend(line);
  tellVisitor();
}

/** As JSON, with a word in the place of what JSON cannot hold. */
function readable(detail) {
  const seen = new Set();
  const word = (_, value) => {
    if (typeof value === "bigint") return `${value}n`;
    if (seen.has(value)) return "(seen above)";
    if (value && typeof value === "object") seen.add(value);
    return value;
  };
  return JSON.stringify(detail, word, 2);
}

function tellVisitor() {
  const user = pixel.user?.();
  if (!user?.anonymousId) return;
  const parts = [`visitor ${user.anonymousId()}`];
  if (user.id()) parts.push(`user ${user.id()}`);
  if (pixel.group().id()) parts.push(`group ${pixel.group().id()}`);
  visitor.textContent = parts.join(", ");
}

const CALLS = {
  identify: () => pixel.identify("123456", { email: "ada@example.com", plan: "pro" }),
  group: () => pixel.group("acme", { seats: 3 }),
  alias: () => pixel.alias("ada"),
  reset: () => pixel.reset(),
  allow: () => pixel.consent({ analytics: true, ads: true }),
  deny: () => pixel.consent({ analytics: false, ads: false }),
  page: () => pixel.page("Pricing and Plans", { path: "/pricing" }),
  view: () => history.pushState({}, "", `?${new URLSearchParams({ ...Object.fromEntries(new URLSearchParams(location.search)), view: Date.now() })}`),
  purchase: () =>
    pixel.track("Purchase Completed", {
      total: 119.85,
      currency: "USD",
      products: [
        { product_id: "1", name: "Essentials Plan", sku: "SKU-1", price: 19.95, quantity: 2, category: "Transactional Email" },
        { product_id: "2", name: "Pro Plan", sku: "SKU-2", price: 79.95, quantity: 1, category: "Marketing Email" },
      ],
    }),
  lead: () => pixel.track("Lead Captured", { email: "ada@example.com", source: "Example" }),
  broken: () => {
    const cycle = { name: "a cycle", big: 2n ** 80n };
    cycle.self = cycle;
    pixel.track("Broken", { cycle, sound: "arrives" });
  },
};

document.addEventListener("click", ({ target }) => CALLS[target.dataset?.call]?.());
pixel.debug();
pixel.trackLink(document.querySelector("#link"), "Followed", (link) => ({ to: link.hash }));
