/** The pixel: page views by themselves, and the calls of analytics.js. */

export interface Options {
  /** The site's write key. */
  key: string;
  /** Where events are posted: `https://collect.shop.example/c`, or `/c` on the site's own origin. */
  endpoint: string | URL;
  /** `false`: no page views by themselves. */
  auto?: boolean;
  /** Nothing is kept or sent before `consent({ analytics: true })`. */
  consent?: "required";
  /** Nothing is kept in the browser, and no id is sent. */
  cookieless?: boolean;
  /** Nothing is kept or sent where the browser says Global Privacy Control. */
  gpc?: "off";
  /** Nothing is kept or sent where the browser says Do Not Track. */
  dnt?: "off";
  /** What follows # in an address is a page of its own. */
  hash?: boolean;
  /** Domains whose visitors are the same. */
  link?: string[];
  /** `ajs_uid`, `ajs_aid`, `ajs_event`, `ajs_trait_…` and `ajs_prop_…` in an address are obeyed. */
  query?: boolean;
}

/** A pixel of its own. One key is loaded once in a page. */
export function load(options: Options): Pixel;

export type Properties = Record<string, unknown>;
export type Traits = Record<string, unknown>;

export interface Product {
  product_id?: string;
  name?: string;
  sku?: string;
  category?: string;
  /** Of one item. */
  price?: number;
  quantity?: number;
  [more: string]: unknown;
}

export interface Purchase {
  /** Value of the order. */
  total?: number;
  /** Three letters. */
  currency?: string;
  products?: Product[];
  /** The same order counts once. */
  order_id?: string;
  [more: string]: unknown;
}

export interface Lead {
  /** The address captured. */
  email?: string;
  /** Where the lead came from. */
  source?: string;
  [more: string]: unknown;
}

export type PurchaseName = "Purchase Completed" | "Purchase" | "Order Completed";
export type LeadName = "Lead Captured" | "Lead Generated" | "Lead";
export type PropertiesOf<Name extends string> = Name extends PurchaseName ? Purchase : Name extends LeadName ? Lead : Properties;

export interface CallOptions {
  /** Laid over what the pixel says of the page and the browser. */
  context?: Record<string, unknown>;
  /** When it happened, where that was in the past. */
  timestamp?: Date | string | number;
  anonymousId?: string;
}

export type Callback = () => void;
type Rest = [options?: CallOptions | Callback | null, callback?: Callback];

/** Of a call: further calls can follow, and the event, if one was recorded, can be awaited. */
export type Result = Pixel & Promise<Properties | undefined>;

export interface Named {
  id(): string | undefined;
  traits(): Traits;
}

export interface User extends Named {
  anonymousId(): string;
}

/** What the visitor allows, by purpose. */
export interface Consent {
  analytics?: boolean;
  ads?: boolean;
  [purpose: string]: unknown;
}

/** A listener of `recorded` gets the event; of `sent`, how many, the status and the answer; of a call, its arguments. */
export type Listener = (...args: any[]) => void;
type Given<T> = T | ((element: Element) => T);
type Elements = Element | ArrayLike<Element> | Iterable<Element> | null;

export interface Pixel {
  page(name?: string | null, properties?: Properties | null, ...rest: Rest): Result;
  page(category: string, name: string, properties?: Properties | null, ...rest: Rest): Result;
  page(properties: Properties, ...rest: Rest): Result;
  track<Name extends string>(event: Name, properties?: PropertiesOf<Name> | Callback | null, ...rest: Rest): Result;
  identify(userId: string | number | bigint | null, traits?: Traits | Callback | null, ...rest: Rest): Result;
  identify(traits: Traits, ...rest: Rest): Result;
  group(groupId: string | number | bigint, traits?: Traits | Callback | null, ...rest: Rest): Result;
  group(): Named;
  alias(userId: string | number | bigint, previousId?: string | number | bigint | null, ...rest: Rest): Result;
  user(): User;
  setAnonymousId(id: string): Result;
  reset(): Result;
  consent(given: Consent): Result;
  ready(callback?: Callback): Result;
  debug(enabled?: boolean): Pixel;
  on(name: string, listener: Listener): Pixel;
  once(name: string, listener: Listener): Pixel;
  off(name: string, listener?: Listener): Pixel;
  trackLink(links: Elements, event: Given<string>, properties?: Given<Properties>): Pixel;
  trackForm(forms: Elements, event: Given<string>, properties?: Given<Properties>): Pixel;
  /** `["track", "Opened"]`: a call as the queue of the script holds it. */
  push(...calls: unknown[][]): unknown;
}
