import type { Told } from "./state";

// Building blocks. What was tracked comes into the page as text nodes only.
export type Child = Node | string | number | null | undefined | false;
export type Attributes = Record<string, string | number | boolean | ((event: Event) => void) | undefined>;

export function h(tag: string, attributes: Attributes = {}, ...children: Child[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((c): c is Node | string | number => c !== null && c !== undefined && c !== false).map((c) => (typeof c === "number" ? String(c) : c)));
  return element;
}

export const count = (n: number): string => n.toLocaleString();
export const when = (ms: number): string => new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
export const clock = (ms: number): string => new Date(ms).toLocaleTimeString();

/** Any value as one line of text. Overrides of direction would change what stands beside them. */
export function text(value: unknown): string {
  const said = typeof value === "string" ? value : value === null || value === undefined ? "" : JSON.stringify(value);
  return said.replace(/[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/g, "\ufffd");
}

/** A long word is cut; the whole stands in the title. */
export function brief(value: unknown, most = 120): HTMLElement {
  const said = text(value);
  const cut = said.length > most;
  return h("span", { class: "text", dir: "auto", title: cut ? said.slice(0, 2000) : undefined }, cut ? said.slice(0, most) + "…" : said);
}

export function money(micros: number | null, currency: string | null): string {
  if (micros === null) return "–";
  const value = micros / 1e6;
  if (!currency) return value.toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  try {
    return value.toLocaleString(undefined, { style: "currency", currency });
  } catch {
    return `${value.toLocaleString()} ${currency}`;
  }
}

export function panel(title: string, ...children: Child[]): HTMLElement {
  return h("section", { class: "panel", "aria-label": title }, h("h2", {}, title), ...children);
}

/** A number that is to be seen at once; `name` is for tests. */
export function card(label: string, value: string, name?: string): HTMLElement {
  return h("div", { class: "card", "data-total": name }, h("span", { class: "label" }, label), h("strong", {}, value));
}

export function table(caption: string, heads: string[], rows: Child[][], numeric: number[] = []): HTMLElement {
  if (!rows.length) return h("p", { class: "empty" }, "Nothing here yet.");
  const cell = (tag: string, child: Child, i: number): HTMLElement =>
    h(tag, { class: numeric.includes(i) ? "number" : undefined, scope: tag === "th" ? "col" : undefined }, child);
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, ...heads.map((head, i) => cell("th", head, i)))),
      h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((child, i) => cell("td", child, i)))))));
}

/** A question that must be answered before anything is done. */
export function ask(title: string, what: string, yes: string, go: (event: Event) => void, ...more: Child[]): void {
  const dialog = h("dialog", { "aria-label": title }, h("h2", {}, brief(title)), h("p", {}, what), ...more,
    h("p", { class: "tools" }, h("button", { type: "button", class: "danger", click: go }, yes), h("button", { type: "button", autofocus: true, click: () => dialog.close() }, "Cancel"))) as HTMLDialogElement;
  dialog.addEventListener("close", () => dialog.remove());
  document.querySelector("main")?.append(dialog);
  dialog.showModal();
}

/** A place that says that it is loading, and how far it is when it takes long, then what `load` gives, or why it could not, with a way to try again. */
export function later(load: (told: Told) => Promise<Child[]>): HTMLElement {
  const place = h("div", { class: "later", "aria-busy": "true" }, h("p", { class: "loading", role: "status" }, "Loading…"));
  const bar = h("progress", { "aria-label": "Looked through", max: 1 }) as HTMLProgressElement;
  const told = (share: number): void => {
    bar.value = share;
    if (!bar.isConnected) place.firstElementChild?.replaceChildren("Looking through… ", bar);
  };
  load(told).then(
    (children) => {
      place.replaceChildren(...children.filter((c): c is Node => c instanceof Node));
      place.removeAttribute("aria-busy");
    },
    (error: unknown) => {
      const again = h("button", { type: "button", click: () => place.replaceWith(later(load)) }, "Try again");
      place.replaceChildren(h("p", { class: "error", role: "alert" }, `Could not load: ${error instanceof Error ? error.message : String(error)} `, again));
      place.removeAttribute("aria-busy");
    },
  );
  return place;
}
