import { harmless, listen } from "../harmless";
import type { Pixel } from "../pixel";
import type { State } from "../storage";

const PARAMETER = "_px_l";
/** A link is followed at once; one that was copied and passed on is another visitor's. */
const MAX_AGE_MS = 120_000;

interface Given {
  /** `data-query`: addresses may name the visitor, and an event. */
  query?: string;
  /** `data-link`: domains whose visitors are the same, by commas. */
  link?: string;
}

/** What the address, or an older script, says of the visitor: before the page view is recorded. */
export function arrive(pixel: Pixel, given: Given): void {
  const parameters = new URLSearchParams(location.search);
  harmless(takeOver)(pixel);
  if (given.link) harmless(link)(pixel, given.link, parameters);
  if (given.query !== undefined) harmless(query)(pixel, parameters);
  const off = parameters.get("pixel_off");
  if (off !== null) harmless(change)({ off: off !== "0" });
}

/** A site that moves here from analytics.js keeps its visitors. Only where there is no id yet. */
function takeOver(pixel: Pixel): void {
  if (known().anonymousId) return;
  const [user, anonymous] = ["user", "anonymous"].map((name) => {
    const [, value] = document.cookie.match(`(?:^|; )ajs_${name}_id=([^;]+)`) || [];
    return value && decodeURIComponent(value).replace(/"/g, "");
  });
  adopt(pixel, anonymous);
  if (user) change({ identify: { id: user } });
}

/** An id from outside: it becomes part of a cookie. */
function adopt(pixel: Pixel, id?: string | null): void {
  if (id && /^[\w.~:-]{1,100}$/.test(id)) pixel.setAnonymousId!(id);
}

/** The first file's state, where it may keep one. */
const known = (): State => JSON.parse(localStorage._px || "{}");
const change = (changes: State) => (localStorage._px = JSON.stringify({ ...known(), ...changes }));

/** Segment's: `ajs_uid`, `ajs_aid`, `ajs_event`, `ajs_trait_NAME`, `ajs_prop_NAME`. */
function query(pixel: Pixel, parameters: URLSearchParams): void {
  const named = (prefix: string) =>
    Object.fromEntries(
      [...parameters].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [key.slice(prefix.length), value]),
    );
  const [user, anonymous, event] = ["ajs_uid", "ajs_aid", "ajs_event"].map((key) => parameters.get(key));
  adopt(pixel, anonymous);
  if (user) pixel.identify!(user, named("ajs_trait_"));
  if (event) pixel.track!(event, named("ajs_prop_"));
}

function link(pixel: Pixel, named: string, parameters: URLSearchParams): void {
  const domains = named.split(/[\s,]+/);
  const ours = (host: string) => domains.some((domain) => host === domain || host.endsWith("." + domain));

  const [, time, id] = /^(\w+)\.(.+)$/.exec(parameters.get(PARAMETER) || "") || [];
  if (id) {
    const age = Date.now() - parseInt(time!, 36);
    // Anyone can write such an address: only our own pages are believed.
    if (Math.abs(age) < MAX_AGE_MS && ours(new URL(document.referrer).hostname)) adopt(pixel, id);
    const url = new URL(location.href);
    url.searchParams.delete(PARAMETER);
    history.replaceState(history.state, "", url);
  }

  listen("click", ({ target }) => {
    const anchor = target.closest && (target.closest("a[href]") as HTMLAnchorElement | null);
    if (!anchor || anchor.hostname === location.hostname || !ours(anchor.hostname)) return;
    const url = new URL(anchor.href);
    url.searchParams.set(PARAMETER, `${Date.now().toString(36)}.${pixel.user!().anonymousId()}`);
    anchor.href = url.href;
  });
}
