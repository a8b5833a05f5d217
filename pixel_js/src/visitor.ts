import { newId } from "./id";
import type { Bag } from "./json";
import { type State, kept, replace, save, state } from "./storage";

/** A cleared storage is healed by our cookie, or by the collector's, which outlives both. */
export const anonymousId = (): string =>
  state().anonymousId || setAnonymousId((kept && document.cookie.split("_px_aid=")[1]?.split(";")[0]) || newId(), { fresh: true });

/** Without an id, nobody is known. The news are for the collector. */
export function setAnonymousId(anonymousId = "", news?: State["news"]): string {
  save({ anonymousId, news });
  if (kept) document.cookie = "_px_aid=" + anonymousId + ";path=/;max-age=33333333;samesite=lax";
  return anonymousId;
}

/** Nothing of the former visitor stays but the consent; somebody else may take the place. */
export function replaceVisitor(id?: string, news?: State["news"]): void {
  replace({ consent: state().consent });
  setAnonymousId(id, news);
}

export const reset = () => replaceVisitor(newId(), { reset: true });

/** Another user at the same browser is another visitor; the traits of another one are not ours. */
export function remember(call: "identify" | "group", id?: string, traits?: Bag): string | undefined {
  let former = state()[call] || {};
  if (id && (former.id || id) !== id) {
    if (call === "identify") reset();
    former = {};
  }
  id ||= former.id;
  save({ [call]: { id, traits: { ...former.traits, ...traits } } });
  return id;
}

/** What is known of who was named, in the manner of analytics.js. */
export const about = (call: "identify" | "group") => ({
  id: () => state()[call]?.id,
  traits: () => state()[call]?.traits || {},
});
