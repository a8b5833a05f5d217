import { newId } from "./id";
import type { Bag } from "./json";
import { type State, kept, replace, save, state } from "./storage";

/** A cleared storage is healed by our cookie, or by the collector's, which outlives both. */
export const anonymousId = (): string =>
  state().anonymousId || setAnonymousId((kept && /_px_aid=([^;]+)/.exec(document.cookie)?.[1]) || newId(), { fresh: true });

/** Without an id, nobody is known. The news are for the collector. */
export function setAnonymousId(anonymousId = "", news?: State["news"]): string {
  save({ anonymousId, news });
  if (kept) document.cookie = `_px_aid=${anonymousId};path=/;max-age=31536000;samesite=lax`;
  return anonymousId;
}

/** Nothing of the former visitor stays. */
export function reset(): void {
  replace({ consent: state().consent });
  setAnonymousId(newId(), { reset: true });
}

/** Nobody takes the former visitor's place. */
export function forget(): void {
  replace({});
  setAnonymousId();
}

/** Another user at the same browser is another visitor; the traits of another one are not ours. */
export function remember(call: "identify" | "group", id?: string, traits?: Bag): void {
  const former = state()[call] || {};
  const other = id && former.id && id !== former.id;
  if (other && call === "identify") reset();
  save({ [call]: { id: id || former.id, traits: { ...(!other && former.traits), ...traits } } });
}

/** What is known of who was named, in the manner of analytics.js. */
export const about = (call: "identify" | "group") => ({
  id: () => state()[call]?.id,
  traits: () => state()[call]?.traits || {},
});
