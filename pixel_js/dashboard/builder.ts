// A rule of docs/AUDIENCES.md, built by clicking. Each part of the form reads as its part of the rule.
import { h, type Child } from "./page";

export type Rule = { [field: string]: unknown };
export interface Part {
  element: HTMLElement;
  rule: () => Rule;
}
type Options = [value: string, label: string][];

const OPS: Options = [["eq", "is"], ["ne", "is not"], ["gt", "is more than"], ["gte", "is at least"], ["lt", "is less than"], ["lte", "is at most"], ["in", "is one of"], ["contains", "contains"], ["prefix", "begins with"], ["exists", "is there"], ["absent", "is not there"]];
const MEASURES: Options = [["gte", "at least"], ["lte", "at most"], ["eq", "exactly"], ["gt", "more than"], ["lt", "less than"], ["ne", "not exactly"]];
const UNITS: Options = [["m", "minutes"], ["h", "hours"], ["d", "days"], ["w", "weeks"]];
const KINDS: Options = [["event", "event"], ["page", "page view"], ["purchase", "purchase"], ["lead", "lead"]];
const TIMES: Options = [["", "at any time"], ["within", "in the last"], ["ago", "longer ago than"], ["dates", "between"]];
const MODES: Options = [["all", "all of these"], ["any", "any of these"], ["none", "none of these"], ["sequence", "these in this order"]];
const LINES: Options = [["did", "did"], ["didnot", "did not do"], ["trait", "has a trait"], ["nottrait", "has no trait"], ["in", "is in audience"], ["notin", "is not in audience"], ["group", "meets"]];

function choice(label: string, options: Options, value: string): HTMLSelectElement {
  return h("select", { "aria-label": label }, ...options.map(([name, text]) => h("option", { value: name, selected: name === value }, text))) as HTMLSelectElement;
}

function field(label: string, value: unknown, more: Record<string, string | number | boolean> = {}): HTMLInputElement {
  return h("input", { "aria-label": label, placeholder: label, value: value === undefined ? "" : String(value), autocomplete: "off", ...more }) as HTMLInputElement;
}

const list = (value: unknown): Rule[] => (Array.isArray(value) ? (value as Rule[]) : []);

/** What was typed: a number, true or false, else text; in quotes it is text whatever it is. */
function typed(text: string, op: string): unknown {
  if (op === "in") return text.split(",").map((one) => typed(one.trim(), "eq"));
  if (op === "contains" || op === "prefix") return text;
  if (/^".*"$/.test(text)) return text.slice(1, -1);
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return text === "true" || text === "false" ? text === "true" : text;
}

function shown(value: unknown, op: string): string {
  if (Array.isArray(value)) return value.map((one) => shown(one, "eq")).join(", ");
  if (typeof value !== "string") return value === undefined ? "" : String(value);
  return typed(value, op) === value ? value : `"${value}"`;
}

/** `op` and `value`, of a property or a trait. */
function comparison(given: Rule): Part {
  const said = given.op === "exists" && given.value === false ? "absent" : String(given.op ?? "eq");
  const op = choice("Comparison", OPS, said);
  const value = field("Value", shown(given.value, said));
  const settle = (): void => void (value.hidden = ["exists", "absent"].includes(op.value));
  op.addEventListener("change", settle);
  settle();
  const rule = (): Rule => {
    if (op.value === "exists") return { op: "exists" };
    return op.value === "absent" ? { op: "exists", value: false } : { op: op.value, value: typed(value.value, op.value) };
  };
  return { element: h("span", { class: "parts" }, op, value), rule };
}

/** How long: a number and its unit, read as `7d`. */
function duration(given: unknown, usual: string): { element: HTMLElement; text: () => string } {
  const [, number = "7", unit = "d"] = /^(\d+)([smhdw])$/.exec(String(given ?? usual)) ?? [];
  const amount = field("How many", number, { type: "number", min: 1, max: 999999 });
  const units = choice("Unit", UNITS, unit);
  return { element: h("span", { class: "parts" }, amount, units), text: () => `${amount.value}${units.value}` };
}

function time(given: Rule): Part {
  const kind = given.within ? "within" : given.from ? "dates" : given.to ? (/^\d+[smhdw]$/.test(String(given.to)) ? "ago" : "dates") : "";
  const which = choice("When", TIMES, kind);
  const age = duration(given.within ?? (kind === "ago" ? given.to : undefined), "7d");
  const [from, to] = ["from", "to"].map((name) => field(name === "from" ? "On or after" : "Before", kind === "dates" ? given[name] : undefined, { type: "date" })) as [HTMLInputElement, HTMLInputElement];
  const dates = h("span", { class: "parts" }, from, h("span", {}, "and"), to);
  const settle = (): void => {
    age.element.hidden = !["within", "ago"].includes(which.value);
    dates.hidden = which.value !== "dates";
  };
  which.addEventListener("change", settle);
  settle();
  const rule = (): Rule => {
    if (which.value === "within") return { within: age.text() };
    if (which.value === "ago") return { to: age.text() };
    return which.value === "dates" ? { ...(from.value && { from: from.value }), ...(to.value && { to: to.value }) } : {};
  };
  return { element: h("span", { class: "parts time" }, which, age.element, dates), rule };
}

function measure(given: Rule): Part {
  const counted = (given.sum ?? given.count ?? { op: "gte", value: 1 }) as Rule;
  const op = choice("How often", MEASURES, String(counted.op));
  const number = field("How many times, or how much", counted.value, { type: "number", step: "any" });
  const of = choice("Counted", [["count", "times"], ["sum", "as the sum of"]], given.sum ? "sum" : "count");
  const property = field("Property, total when empty", counted.property);
  const settle = (): void => void (property.hidden = of.value === "count");
  of.addEventListener("change", settle);
  settle();
  const rule = (): Rule => {
    const said = { op: op.value, value: Number(number.value) };
    if (of.value === "sum") return { sum: { ...(property.value && { property: property.value }), ...said } };
    return said.op === "gte" && said.value === 1 ? {} : { count: said };
  };
  return { element: h("span", { class: "parts measure" }, op, number, of, property), rule };
}

/** Parts that can be added and taken away. */
function several(kind: string, make: (given: Rule) => Part, given: Rule[], word: string): { element: HTMLElement; rules: () => Rule[]; more: HTMLElement } {
  const parts = new Map<HTMLElement, Part>();
  const place = h("ul", { class: kind });
  const add = (rule: Rule): void => {
    const part = make(rule);
    const out = h("button", { type: "button", class: "out", "aria-label": `Take away this ${word}`, click: () => {
      parts.delete(item);
      item.remove();
      place.dispatchEvent(new Event("input", { bubbles: true }));
    } }, "×");
    const item = h("li", {}, part.element, out);
    parts.set(item, part);
    place.append(item);
  };
  given.forEach(add);
  const more = h("button", { type: "button", class: "more", click: () => {
    add({});
    place.dispatchEvent(new Event("input", { bubbles: true }));
    (place.lastElementChild?.querySelector("select, input") as HTMLElement | null)?.focus();
  } }, `+ ${word}`);
  return { element: place, rules: () => [...place.children].map((item) => parts.get(item as HTMLElement)!.rule()), more };
}

function condition(given: Rule): Part {
  const property = field("Property", given.property, { list: "known-properties" });
  const compared = comparison(given);
  return { element: h("span", { class: "parts" }, h("span", {}, "where"), property, compared.element), rule: () => ({ property: property.value.trim(), ...compared.rule() }) };
}

/** An event or a page view: its name, how often, when, and what its properties must be. */
function did(given: Rule): Part {
  const name = String(given.page ?? given.event ?? "");
  const kind = choice("What", KINDS, given.page !== undefined ? "page" : name === "purchase" || name === "lead" ? name : "event");
  const named = field("Name", kind.value === "event" || kind.value === "page" ? name : "");
  const [often, when] = [measure(given), time(given)];
  const where = several("where", condition, list(given.where), "where");
  const settle = (): void => {
    named.hidden = kind.value === "purchase" || kind.value === "lead";
    named.placeholder = kind.value === "page" ? "/pricing*" : "Name of the event";
    named.setAttribute("aria-label", kind.value === "page" ? "Path, * for any characters" : "Name of the event");
    named.setAttribute("list", kind.value === "page" ? "known-paths" : "known-events");
  };
  kind.addEventListener("change", settle);
  settle();
  const rule = (): Rule => {
    const what = kind.value === "page" ? { page: named.value.trim() } : { event: named.hidden ? kind.value : named.value.trim() };
    const conditions = where.rules();
    return { ...what, ...(conditions.length && { where: conditions }), ...often.rule(), ...when.rule() };
  };
  return { element: h("span", { class: "parts did" }, kind, named, often.element, when.element, where.more, where.element), rule };
}

function trait(given: Rule): Part {
  const name = field("Trait", given.trait, { list: "known-traits" });
  const compared = comparison(given);
  return { element: h("span", { class: "parts" }, name, compared.element), rule: () => ({ trait: name.value.trim(), ...compared.rule() }) };
}

function member(given: Rule): Part {
  const name = field("Audience", given.audience, { list: "known-audiences" });
  return { element: h("span", { class: "parts" }, name), rule: () => ({ audience: name.value.trim() }) };
}

const negated = (rule: Rule): boolean => rule.not !== undefined && !list((rule.not as Rule).any).length && !(rule.not as Rule).sequence && !(rule.not as Rule).all;

/** One of a group's conditions, of any kind. */
function line(given: Rule, depth: number): Part {
  const not = negated(given);
  const inner = not ? (given.not as Rule) : given;
  const grouped = ["all", "any", "sequence", "not"].some((head) => head in inner);
  const kind = grouped ? "group" : "trait" in inner ? (not ? "nottrait" : "trait") : "audience" in inner ? (not ? "notin" : "in") : not ? "didnot" : "did";
  const which = choice("Condition", depth < 3 ? LINES : LINES.slice(0, -1), kind);
  const makers: Record<string, (rule: Rule) => Part> = { did, didnot: did, trait, nottrait: trait, in: member, notin: member, group: (rule) => group(rule, depth + 1) };
  const place = h("span", { class: "parts" });
  let part: Part;
  const make = (rule: Rule): void => {
    part = makers[which.value]!(rule);
    place.replaceChildren(part.element);
  };
  make(inner);
  let before = which.value;
  which.addEventListener("change", () => {
    const [was, is] = [before, which.value].map((name) => makers[name]);
    before = which.value;
    if (was !== is) make({});
  });
  const rule = (): Rule => (["didnot", "nottrait", "notin"].includes(which.value) ? { not: part.rule() } : part.rule());
  return { element: h("span", { class: "parts line" }, which, place), rule };
}

/** All, any or none of some conditions, or steps in an order. */
function group(given: Rule, depth: number): Part {
  const none = given.not as Rule | undefined;
  const head = none ? "none" : "any" in given ? "any" : "sequence" in given ? "sequence" : "all";
  const given_ = list(none ? none.any : given[head]);
  const mode = choice("Which of them", MODES, head);
  const within = duration(given.within, "7d");
  const span = h("span", { class: "parts" }, h("span", {}, "within"), within.element);
  const lines = several("lines", (rule) => line(rule, depth), given_.length ? given_ : [{}], "condition");
  const box = h("div", { class: "group", role: "group", "aria-label": "Conditions" });
  const settle = (): void => {
    span.hidden = mode.value !== "sequence";
    box.classList.toggle("ordered", mode.value === "sequence");
  };
  mode.addEventListener("change", settle);
  settle();
  box.append(h("span", { class: "parts" }, mode, span), lines.element, lines.more);
  const rule = (): Rule => {
    const rules = lines.rules();
    if (mode.value === "sequence") return { sequence: rules.map((step, i) => stepped(step, i === 0)), within: within.text() };
    if (mode.value === "none") return { not: { any: rules } };
    return rules.length === 1 ? rules[0]! : { [mode.value]: rules };
  };
  return { element: box, rule };
}

/** A step is not counted, and only the first has a time of its own. */
function stepped(rule: Rule, first: boolean): Rule {
  if (rule.not) return { not: stepped(rule.not as Rule, false) };
  const { count: _count, sum: _sum, within, from, to, ...step } = rule;
  return { ...step, ...(first && { ...(within !== undefined && { within }), ...(from !== undefined && { from }), ...(to !== undefined && { to }) }) };
}

/** With groups of one taken apart, as the form does. */
function plain(rule: unknown): unknown {
  if (Array.isArray(rule)) return rule.map(plain);
  if (typeof rule !== "object" || rule === null) return rule;
  const one = rule as Rule;
  for (const head of ["all", "any"]) if (list(one[head]).length === 1) return plain(list(one[head])[0]);
  return Object.fromEntries(Object.keys(one).sort().map((name) => [name, plain(one[name])]));
}

/** The form of a rule; undefined where the rule says more than the form can. */
export function builder(given: Rule): Part | undefined {
  const grouped = ["all", "any", "sequence"].some((head) => head in given) || (given.not !== undefined && !negated(given));
  const part = group(Object.keys(given).length && !grouped ? { all: [given] } : given, 0);
  const same = !Object.keys(given).length || JSON.stringify(plain(part.rule())) === JSON.stringify(plain(given));
  return same ? part : undefined;
}

export function known(name: string, values: string[]): Child {
  return h("datalist", { id: `known-${name}` }, ...values.map((value) => h("option", { value: value.slice(0, 500) })));
}
