import type { Bag } from "../json";
import { harmless } from "../harmless";
import type { Pixel } from "../pixel";

/** The collector refuses an event over 32 KB or 64 levels deep. */
const MAX_EVENT_BYTES = 32_000;
const MAX_DEPTH = 20;
/** Of names and ids: an endless one leaves room for the rest. */
const MAX_NAME_CHARS = 1_000;

/** An event that JSON or the collector would not take: what is sound of it is delivered. */
export function mend(_: Pixel, event: Bag, deliver: (id: string, json: string) => void): void {
  let maxChars = MAX_EVENT_BYTES;
  let text: string;
  for (const [name, value] of Object.entries(event)) if (typeof value === "string") event[name] = value.slice(0, MAX_NAME_CHARS);
  do text = JSON.stringify(sound(plain(event, maxChars)));
  while (new Blob([text]).size > MAX_EVENT_BYTES && (maxChars /= 2));
  deliver(event.messageId as string, text);
}

/** What the collector takes as an object is one, or is not there. */
function sound(event: any): Bag {
  for (const name of ["properties", "traits"])
    if (typeof event[name] !== "object" || Array.isArray(event[name])) delete event[name];
  return event;
}

/**
 * A copy without cycles, getters that throw, BigInt, NUL, lone surrogates and integers beyond 64
 * bits, and of about `left` characters at most: the first fields stay, so that a value of a
 * megabyte costs no more than a small one.
 */
export function plain(given: unknown, left = MAX_EVENT_BYTES): any {
  function cut(text: string): string {
    text = text.slice(0, Math.max(left, 0));
    left -= text.length + 3;
    return text.replace(/[\0\ud800-\udfff]/gu, "\ufffd");
  }

  function copy(value: any, above: unknown[]): unknown {
    if (typeof value === "bigint" || (typeof value === "number" && Math.abs(value) >= 2 ** 63)) value = String(value);
    if (typeof value === "string") return cut(value);
    if (typeof value === "function" || typeof value === "symbol") return undefined;
    if (typeof value !== "object" || !value) return value;
    if (above.length > MAX_DEPTH || above.includes(value) || value.nodeType) return undefined;

    const inside = [...above, value];
    const list = Array.isArray(value);
    if (value.toJSON && !list) return copy(value.toJSON(), inside);
    const copied: any = list ? [] : {};
    for (const key of Object.keys(value)) {
      if ((left -= 3) < 0) break;
      // A getter of the page's own may throw: the other fields are still worth sending.
      harmless(() => (copied[cut(key)] = copy(value[key], inside)))();
    }
    return copied;
  }

  return harmless(copy)(given, []);
}
