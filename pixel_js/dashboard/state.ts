// Where we are: the page, range and filters, all of it in the address after `#`.
export const FILTERS = ["site", "path", "referrer", "campaign", "event", "device", "browser", "country"] as const;
export type Filter = (typeof FILTERS)[number];
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export interface State {
  page: string;
  query: URLSearchParams;
}

export function read(): State {
  const [page = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { page: page || "overview", query: new URLSearchParams(query) };
}

/** The address of a page with the query changed; null takes away. Range, site and bots go along to other pages. */
export function address(page: string, changes: Record<string, string | null> = {}): string {
  const state = read();
  const query = new URLSearchParams();
  for (const [name, value] of state.query) {
    if (page === state.page || ["from", "to", "days", "bots", "site"].includes(name)) query.append(name, value);
  }
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return `#/${page}${text ? `?${text}` : ""}`;
}

export const filtered = (name: string, value: string): string => address(read().page, { [name]: value });

const day = (ago: number): string => {
  const date = new Date();
  date.setDate(date.getDate() - ago);
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
};

export function range(): { from: string; to: string; days: string } {
  const { query } = read();
  const from = query.get("from");
  const to = query.get("to");
  if (from && to) return { from, to, days: "" };
  const days = query.get("days") ?? "7";
  return { from: day(Math.max(1, Number(days) || 7) - 1), to: day(0), days };
}

/** The query of an API call: range, zone, filters, and more. */
export function question(more: Record<string, string> = {}): string {
  const { query } = read();
  const asked = new URLSearchParams({ from: range().from, to: range().to, zone });
  for (const name of FILTERS) {
    const value = query.get(name);
    if (value !== null) asked.set(name, value);
  }
  if (query.get("bots") === "1") asked.set("bots", "1");
  for (const [name, value] of Object.entries(more)) asked.append(name, value);
  return asked.toString();
}

export class Unauthorized extends Error {}

export async function get<T>(path: string): Promise<T> {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (answer.status === 401) {
    dispatchEvent(new Event("unauthorized"));
    throw new Unauthorized("the session has ended");
  }
  const type = answer.headers.get("Content-Type") ?? "";
  const body: unknown = type.includes("json") ? await answer.json() : null;
  if (!answer.ok) throw new Error((body as { message?: string } | null)?.message ?? `the collector answered ${answer.status}`);
  return body as T;
}
