export type Bag = Record<string, unknown>;

/** The collector refuses an event over 32 KB: one that is larger is cut until it fits. */
const MAX_EVENT_BYTES = 32_000;
const MAX_DEPTH = 20;

export function isBag(value: unknown): value is Bag {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** JSON text of an event, whatever the page put into it. When it is cut, the first fields stay. */
export function encode(event: Bag): string {
  let text: string;
  let maxChars = MAX_EVENT_BYTES;
  do {
    event = plain(event, maxChars);
    text = JSON.stringify(event);
    maxChars /= 2;
  } while (byteLength(text) > MAX_EVENT_BYTES);
  return text;
}

/**
 * A copy that JSON can hold and the collector takes: no cycles, no getters that throw, no BigInt,
 * no NUL or lone surrogate in texts, no integer beyond 64 bits, and about `maxChars` characters at
 * most, so that a value of a megabyte costs no more than a small one.
 */
export function plain<T>(value: T, maxChars = MAX_EVENT_BYTES): T {
  let left = maxChars;

  function copy(value: any, above: object[]): unknown {
    if (typeof value === "bigint" || (typeof value === "number" && Math.abs(value) >= 2 ** 63)) value = String(value);
    if (typeof value === "string") {
      const cut = value.slice(0, Math.max(left, 0));
      left -= cut.length;
      return soundText(cut);
    }
    if (typeof value === "function") return undefined;
    if (typeof value !== "object" || !value) return value;
    if (above.length >= MAX_DEPTH || above.includes(value)) return undefined;

    const inside = [...above, value];
    if (typeof value.toJSON === "function") return copy(value.toJSON(), inside);
    // Without a prototype, a key named __proto__ is a key like any other.
    const copied = Array.isArray(value) ? [] : Object.create(null);
    for (const key of Object.keys(value)) {
      left -= key.length + 3;
      if (left < 0) break;
      try {
        copied[soundText(key)] = copy(value[key], inside);
      } catch {
        // A getter of the page's own: the other fields are still worth sending.
      }
    }
    return copied;
  }

  return copy(value, []) as T;
}

function soundText(text: string): string {
  return text.replace(/[\0\ud800-\udfff]/gu, "\ufffd");
}
