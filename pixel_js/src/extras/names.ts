import type { Bag } from "../json";
import type { Pixel } from "../pixel";
import { plain } from "./mend";

const text = (value: unknown) => (/^(string|number|bigint)$/.test(typeof value) ? String(value) : "");

/** What belongs to the group that the user is in; `group()` tells which. */
export function group(pixel: Pixel, remember: (call: string, id: string, traits?: Bag) => void, id: unknown, ...args: unknown[]): void {
  const groupId = text(id);
  const given = args.find((arg) => arg && typeof arg === "object" && !Array.isArray(arg));
  const traits = given && plain(given);
  if (groupId) {
    remember("group", groupId, traits);
    pixel._!("group", { groupId, traits });
  }
  const callback = args.find((arg) => typeof arg === "function");
  if (callback) setTimeout(callback as () => void);
}

/** The user is known by another id from now on; the former one is given, or the visitor's own. */
export function alias(pixel: Pixel, to: unknown, from?: unknown): void {
  const known = pixel.user!();
  const previousId = text(from) || known.id() || known.anonymousId();
  if (text(to)) pixel._!("alias", { userId: text(to), previousId });
}
