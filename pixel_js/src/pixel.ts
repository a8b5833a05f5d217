import { createDelivery } from "./delivery";
import { harmless, listen } from "./harmless";
import { newId } from "./id";
import { type Bag, ordinary, stringify } from "./json";
import { context, pageFacts } from "./page";
import { type Consent, keep, save, state } from "./storage";
import { about, anonymousId, forget, remember, reset, setAnonymousId } from "./visitor";

/** As they stand on the script: `data-key`, `data-consent` and so on. */
export interface Settings {
  key: string;
  /** Where batches are posted. */
  endpoint: string;
  /** "required": nothing is kept or sent before consent. */
  consent?: string;
  /** Nothing is kept in the browser; the collector tells visitors apart for a day. */
  cookieless?: string;
  /** The part after # is a page of its own. */
  hash?: string;
}

export type Pixel = Record<string, (...args: any[]) => any>;

/** Runs what few pages use, in the second file. The id is of the time of the call. */
export type Extra = (pixel: Pixel, name: string, args: unknown[], id: string) => Promise<unknown>;

/** The calls of a page, none of which throws, and what begins the page views by themselves. */
export function createPixel({ key, endpoint, consent: rule, cookieless, hash }: Settings, extra: Extra) {
  keep(true);
  const { off: switched, consent: known } = state();
  const off = switched || /pixel_off(?!=)/.test(location.search);
  let consent: Consent = known || {};
  let held: Bag[] | false | undefined | "" = rule && consent.analytics == null && [];
  let watched = false;

  if (cookieless != null || held || off) keep(false);
  const deliver = createDelivery(endpoint, key, tell);

  function record(type: string, fields: Bag): Bag | undefined {
    if (off || consent.analytics === false) return;
    const event = { type, messageId: newId(), timestamp: new Date(), userId: state().identify?.id, context: context(), ...fields };
    if (held) held.push(event);
    else send(event);
    return event;
  }

  function send(event: any): void {
    if (cookieless == null) event.anonymousId = anonymousId();
    if (consent.at) event.context.consent = consent;
    const text = ordinary(event);
    if (text) deliver(event.messageId, text);
    else later("mend", event, deliver);
    tell("recorded", [event]);
  }

  /** What few pages use. From then on the second file hears of every call. */
  function later(name: string, ...args: unknown[]): Pixel {
    watched = true;
    extra(methods, name, args, newId());
    return methods;
  }

  function tell(name: string, args: unknown[]): void {
    if (watched) later("tell", name, args);
  }

  const methods: Pixel = {
    page(...args) {
      const [first, second] = args.filter((arg) => arg && typeof arg === "string");
      const category = second && first;
      return record("page", { name: second || first, category, properties: { ...pageFacts(), category, ...bag(args) } });
    },
    track(...args) {
      const event = text(args[0]);
      return event && record("track", { event, properties: bag(args) });
    },
    identify(...args) {
      const traits = bag(args);
      remember("identify", text(args[0]), ordinary(traits) && (traits as any));
      return record("identify", { traits });
    },
    setAnonymousId: (id) => setAnonymousId(text(id)),
    reset,
    consent(given) {
      const former = stringify(consent);
      consent = { ...consent, ...given };
      // Said again on every page, it was given when it was said first.
      if (stringify(consent) !== former) consent.at = new Date();
      if (held && consent.analytics == null) return;
      if (cookieless == null) keep(true);
      // Whoever denies leaves no trace.
      if (consent.analytics === false) forget();
      else if (held) held.forEach(send);
      held = false;
      save({ consent });
    },
    ready() {}, // its callback is called like that of any other call, below
  };

  for (const name in methods) {
    const method = harmless(methods[name]!);
    methods[name] = (...args) => {
      tell(name, args);
      const event = method(...args);
      // Some pages go on only in the callback, so it is called whatever becomes of the event.
      const callback = args.find((arg) => typeof arg === "function");
      if (callback) setTimeout(harmless(callback));
      return Object.assign(Promise.resolve(event), methods);
    };
  }

  for (const name of ["debug", "on", "once", "off", "trackLink", "trackForm", "alias"])
    methods[name] = (...args) => later(name, ...args);

  methods.group = (...args) => (args[0] ? later("group", remember, ...args) : about("group"));
  methods.user = () => ({ ...about("identify"), anonymousId });

  /** Page views after the first, by themselves. */
  function watch(): void {
    // Again on a return from the browser's memory of pages.
    listen("pageshow", (event) => event.persisted && methods.page!());
    const address = () => location.href.replace(hash == null ? /#.*/ : "", "");
    let here = address();
    const moved = harmless((replaced?: boolean) => {
      const from = here;
      here = address();
      if (from !== here) later("moved", from, here, replaced);
    });
    listen("popstate hashchange", () => moved());
    for (const name of ["pushState", "replaceState"] as const) {
      const change = history[name];
      history[name] = function (...args) {
        change.apply(this, args);
        moved(name > "r");
      };
    }
  }

  methods._ = record; // for the second file
  return [methods, watch] as const;
}

/** The first object among arguments. */
const bag = (args: unknown[]) => args.find((arg) => arg && typeof arg === "object" && !Array.isArray(arg)) as Bag | undefined;

/** Ids and names are text on the wire; in pages, numbers are common. Empty is none. */
const text = (value: unknown) => (/str|num|big/.test(typeof value) && `${value}`) || undefined;
