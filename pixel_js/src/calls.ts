import { isBag } from "./json";

// What the arguments of a call mean, in the manner of analytics.js: leading ones may be left out.
type Arguments = readonly unknown[];

/** `(category, name, properties)`, `(name, properties)`, `(properties)`, each end optional. */
export function pageCall(args: Arguments) {
  const names = args.filter((arg) => arg && typeof arg === "string");
  const [category, name] = names.length > 1 ? names : [undefined, names[0]];
  return { category, name, properties: args.find(isBag) };
}

/** track, identify and group: `(name or id, bag)`, `(name or id)`, `(bag)`. */
export function namedCall(args: Arguments) {
  return { name: text(args[0]), bag: args.slice(0, 2).find(isBag) };
}

/** Ids and names are text on the wire; in pages, numbers are common. Empty is none. */
export function text(value: unknown): string | undefined {
  return /^(string|number|bigint)$/.test(typeof value) ? String(value) || undefined : undefined;
}
