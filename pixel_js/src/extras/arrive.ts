import { harmless, listen } from "../harmless";
import type { Bag } from "../json";
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

/** The first file's own, which keep to what the visitor allows. */
type SetAnonymousId = (id: string) => void;
type Remember = (call: "identify", id?: string, traits?: Bag) => void;

/** What the address, or an older script, says of the visitor: before the page view is recorded. */
export function arrive(pixel: Pixel, given: Given, setAnonymousId: SetAnonymousId, remember: Remember): void {
  const parameters = new URLSearchParams(location.search);
  /** An id from outside: it becomes part of a cookie. */
  const adopt = (id?: string | null) => {
    if (id && /^[\w.~:-]{1,100}$/.test(id)) setAnonymousId(String(id));
  };
  harmless(takeOver)(adopt, remember);
  if (given.link) harmless(link)(pixel, given.link, parameters, adopt);
  if (given.query !== undefined) harmless(query)(pixel, parameters, adopt);
  const off = parameters.get("pixel_off");
  if (off !== null) harmless(change)({ off: off !== "0" });
}

type Adopt = (id?: string | null) => void;

/** A site that moves here from analytics.js keeps its visitors. Only where there is no id yet. */
function takeOver(adopt: Adopt, remember: Remember): void {
  if (known().anonymousId) return;
  // In cookies, as text or as JSON of it, and beside them in the storage.
  const kept = (name: string) => {
    const [, cookie] = document.cookie.match(`(?:^|; )ajs_${name}=([^;]+)`) || [];
    const text = cookie ? decodeURIComponent(cookie) : localStorage[`ajs_${name}`];
    return harmless(JSON.parse)(text) ?? text;
  };
  adopt(kept("anonymous_id"));
  const [user, traits] = [kept("user_id"), kept("user_traits")];
  const sound = traits && typeof traits === "object" && !Array.isArray(traits) && Object.keys(traits).length > 0;
  if (user || sound) remember("identify", user ? String(user) : undefined, sound ? traits : undefined);
}

/** The first file's state, where it may keep one. */
const known = (): State => JSON.parse(localStorage._px || "{}");
const change = (changes: State) => (localStorage._px = JSON.stringify({ ...known(), ...changes }));

/** Segment's: `ajs_uid`, `ajs_aid`, `ajs_event`, `ajs_trait_NAME`, `ajs_prop_NAME`. */
function query(pixel: Pixel, parameters: URLSearchParams, adopt: Adopt): void {
  const named = (prefix: string) =>
    Object.fromEntries(
      [...parameters].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [key.slice(prefix.length), value]),
    );
  const [user, anonymous, event] = ["ajs_uid", "ajs_aid", "ajs_event"].map((key) => parameters.get(key));
  adopt(anonymous);
  if (user) pixel.identify(user, named("ajs_trait_"));
  if (event) pixel.track(event, named("ajs_prop_"));
}

function link(pixel: Pixel, named: string, parameters: URLSearchParams, adopt: Adopt): void {
  const domains = named.split(/[\s,]+/);
  const ours = (host: string) => domains.some((domain) => host === domain || host.endsWith("." + domain));

  const [, time, id] = /^(\w+)\.(.+)$/.exec(parameters.get(PARAMETER) || "") || [];
  if (id) {
    const age = Date.now() - parseInt(time!, 36);
    // Anyone can write such an address: only our own pages are believed.
    if (Math.abs(age) < MAX_AGE_MS && ours(new URL(document.referrer).hostname)) adopt(id);
    const url = new URL(location.href);
    url.searchParams.delete(PARAMETER);
    history.replaceState(history.state, "", url);
  }

  listen("click", ({ target }) => {
    const anchor = target.closest && (target.closest("a[href]") as HTMLAnchorElement | null);
    if (!anchor || anchor.hostname === location.hostname || !ours(anchor.hostname)) return;
    const url = new URL(anchor.href);
    url.searchParams.set(PARAMETER, `${Date.now().toString(36)}.${pixel.user().anonymousId()}`);
    anchor.href = url.href;
  });
}
