import { createDelivery } from "./delivery";
import { harmless, listen } from "./harmless";
import { newId } from "./id";
import { type Bag, ordinary } from "./json";
import { context, pageFacts } from "./page";
import { type State, keep, kept, save, state } from "./storage";
import { about, anonymousId, remember, replaceVisitor, reset, setAnonymousId } from "./visitor";
import { watchViews } from "./views";

/** As they stand on the script: `data-key`, `data-consent` and so on. */
export interface Settings {
  key: string;
  /** Where batches are posted. */
  endpoint: string | URL;
  /** "false": no page views by themselves. */
  auto?: string;
  /** "required": nothing is kept or sent before consent. */
  consent?: string;
  /** Nothing is kept in the browser; the collector tells visitors apart for a day. */
  cookieless?: string;
  /** "off": nothing is kept or sent where the browser asks not to be tracked in this way. */
  gpc?: string;
  dnt?: string;
  /** The part after # is a page of its own. */
  hash?: string;
  /** Domains whose visitors are the same. */
  link?: string;
  /** An address may name the visitor, and an event. */
  query?: string;
}

/** The global: an array of calls until it begins, with the methods, none of which throws. */
export type Pixel = any;

/** Runs what few pages use, in the second file. */
export type Extra = (pixel: Pixel, name: string, ...args: any[]) => Promise<unknown>;

/** Gives the global its methods, and begins once the page is one. */
export function start(pixel: Pixel, settings: Settings, extra: Extra): void {
  keep(true);
  let { off, consent = {} }: State = state();
  off ||= /pixel_off(&|$)/.test(location.search) || (settings.gpc === "off" && context().gpc) || (settings.dnt === "off" && context().dnt);
  let watched: unknown;
  /** Events not yet with the delivery: held back, or cut off. */
  const waiting = new Set<any>();
  const held = () => consent.analytics == null && settings.consent;
  const cookieless = settings.cookieless != null;

  /** What few pages use. From then on the second file hears of every call. */
  function later(name: string, ...args: unknown[]): Pixel {
    watched = true;
    extra(pixel, name, ...args);
    return pixel;
  }

  const tell = (name: string, args: unknown[]) => watched && later("tell", name, args);

  let settle: (() => void) | undefined;

  function begin(): void {
    settle?.();
    // Firefox breaks off what a leaving page runs, once, where its process ends with it.
    if (!held()) waiting.forEach(send);
    if (pixel.initialized || (document as any).prerendering) return;
    pixel.initialized = 1;
    const calls = pixel.splice(0);
    pixel.push = (...later: unknown[]) => later.forEach(harmless(([method, ...args]: any) => pixel[method](...args)));
    if (settings.auto !== "false") {
      pixel.page();
      settle = watchViews(pixel, settings.hash);
    }
    pixel.push(...calls);
  }

  // Before the delivery listens, so that at the end of the page it finds these calls queued.
  listen("pagehide visibilitychange prerenderingchange", begin);
  if (cookieless || held() || off) keep(false);
  const deliver = createDelivery(settings.endpoint, settings.key, tell, later);

  function record(type: string, fields: Bag, options: any): Bag | undefined {
    if (consent.analytics == false || off) return;
    const now = new Date();
    const given = new Date(options?.timestamp);
    const event = {
      messageId: newId(),
      userId: state().identify?.id,
      anonymousId: options?.anonymousId,
      type,
      // No event is of the future.
      timestamp: (given as any) > 0 && given < now ? given : now,
      ...fields,
      context: { ...context(), ...options?.context },
    };
    waiting.add(event);
    if (!held()) send(event);
    return event;
  }

  function send(event: any): void {
    event.anonymousId = cookieless ? undefined : text(event.anonymousId) || anonymousId();
    if (consent.at) event.context.consent = consent;
    const json = ordinary(event);
    if (json) deliver(event.messageId, json);
    else later("mend", event, deliver);
    waiting.delete(event);
    tell("recorded", [event]);
  }

  /** Who somebody is, and what belongs to that. */
  const naming = (call: "identify" | "group", field: string) => (...args: unknown[]) => {
    const [traits, options] = bags(args);
    return record(call, { [field]: remember(call, text(args[0]), ordinary(traits) && traits), traits }, options);
  };

  const methods: Record<string, (...args: any[]) => unknown> = {
    page(...args) {
      const [first, second] = args.map(text).filter((name) => name);
      const [properties, options] = bags(args);
      const category = second && first;
      return record("page", { name: second || first, category, properties: { ...pageFacts(), category, ...properties } }, options);
    },
    track(...args) {
      const [properties, options] = bags(args);
      const event = text(args[0]);
      return event && record("track", { event, properties }, options);
    },
    alias(to, from, options) {
      const userId = text(to);
      return userId && record("alias", { userId, previousId: text(from) || state().identify?.id || anonymousId() }, options);
    },
    identify: naming("identify", "userId"),
    group: naming("group", "groupId"),
    setAnonymousId: (id) => setAnonymousId(text(id)),
    reset,
    consent(given) {
      const former = ordinary(consent);
      consent = { ...consent, ...(ordinary(given) && given) };
      // Said again on every page, it was given when it was said first.
      if (ordinary(consent) !== former) consent.at = new Date();
      if (held()) return;
      if (!cookieless) keep(true);
      // Whoever denies leaves no trace.
      if (consent.analytics == false) replaceVisitor(waiting.clear() as undefined);
      waiting.forEach(send);
      save({ consent });
    },
    ready() {}, // its callback is called like that of any other call, below
  };

  for (const name in methods)
    pixel[name] = (...args: unknown[]) => {
      if (!pixel.initialized) return pixel.push([name, ...args]), pixel;
      if (name === "group" && !args[0]) return about(name);
      tell(name, args);
      const event = harmless(methods[name]!)(...args);
      // Some pages go on only in the callback, so it is called whatever becomes of the event.
      const callback = args.find((arg) => typeof arg === "function");
      setTimeout(harmless(callback as () => void)); // of none, nothing comes
      return Object.assign(Promise.resolve(event), pixel);
    };

  "debug on once off trackLink trackForm".split(" ").forEach((name) => (pixel[name] = (...args: unknown[]) => later(name, ...args)));

  pixel.user = () => ({ ...about("identify"), anonymousId });

  // What an address or an older script says of the visitor is read first.
  const former = !state().anonymousId && kept && document.cookie;
  if (settings.link || /ajs_|_px_l|pixel_off/.test(location.search + former)) extra(pixel, "arrive", settings, setAnonymousId, remember).then(begin);
  // "loading" is behind the other two in the alphabet.
  else if (document.readyState < "l" || document.title) begin();
  else listen("DOMContentLoaded", begin);
}

/** Properties or traits, and options: the objects among arguments, of which null takes the place. */
const bags = (args: unknown[]): any[] =>
  args.filter((arg) => (arg ? typeof arg === "object" : args[0] && arg == null));

/** Ids and names are text on the wire; in pages, numbers are common (and bigints). Empty is none. */
const text = (value: unknown) => (/r|gi/.test(typeof value) ? `${value}` : "");
