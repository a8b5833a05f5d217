import { harmless } from "./harmless";

export type Bag = Record<string, unknown>;

/** As they are before the page replaces them. */
export const { parse, stringify } = JSON;

/**
 * JSON text of what pages usually send. Nothing where JSON fails, or where the collector might
 * refuse it: over 32 KB or 64 levels, NUL, a lone surrogate, an integer beyond 64 bits, traits that
 * are no object. The second file knows how to mend such a value (extras/mend.ts). The length is no
 * part of the pattern: /.{9999}/ begins again at each character, 300 ms for 9,500 of them.
 */
export const ordinary = harmless((value: unknown) => {
  const text = stringify(value);
  return text[9998] || /"(traits|properties)":[^{n]|\\u|\d{19}|([[{][^[{]*){60}/.test(text) ? undefined : text;
});
