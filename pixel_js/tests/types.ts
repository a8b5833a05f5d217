/** Compiled, never run: what a program may write, and what its compiler refuses. */
import { type Pixel, type Purchase, load } from "../index";

const pixel: Pixel = load({ key: "wk_1", endpoint: "/c", consent: "required", link: ["shop.example"] });

pixel.page("Pricing and Plans", { title: "Pricing and Plans", path: "/pricing" });
pixel.page("Docs", "Pricing", {}, { context: {} });
pixel.identify("123456", { email: "ada@example.com" }).track("A").ready(() => {});
pixel.identify({ plan: "pro" });
pixel.track("Purchase Completed", {
  total: 119.85,
  currency: "USD",
  products: [{ product_id: "1", name: "Essentials Plan", sku: "SKU-1", price: 19.95, quantity: 2, category: "Mail" }],
});
pixel.track("Purchase");
pixel.track("Lead Captured", { email: "ada@example.com", source: "Landing Page 1" }, { timestamp: new Date() }, () => {});
pixel.track("Anything", { total: "a text", email: 5 });
pixel.track("Anything" as string, { total: "a text" });
pixel.group("acme", { seats: 3 });
export const said: Promise<unknown> = pixel.track("A");
export const ids: (string | undefined)[] = [pixel.user().id(), pixel.group().id(), pixel.user().anonymousId()];

// @ts-expect-error: a total is a number
pixel.track("Purchase Completed", { total: "119.85" });
// @ts-expect-error: products are a list
pixel.track("Order Completed", { products: { name: "one" } });
// @ts-expect-error: a price is a number
pixel.track("Purchase", { products: [{ price: "19.95" }] });
// @ts-expect-error: an address is text
pixel.track("Lead", { email: 7 });
// @ts-expect-error: an event has a name
pixel.track({ total: 1 });
// @ts-expect-error: there is no such purpose of the option
load({ key: "wk_1", endpoint: "/c", consent: "denied" });
// @ts-expect-error: nothing works without the key
load({ endpoint: "/c" });
export const purchase: Purchase = { total: 1, currency: "EUR", coupon: "of the site's own" };
