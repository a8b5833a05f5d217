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
/** The collector's answer is an error. */
export class Refused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** What share of the work is done. */
export type Told = (share: number) => void;

/** An answer; where it takes long, `told` hears meanwhile how far it is. */
export async function get<T>(path: string, told?: Told): Promise<T> {
  const answer = await fetch(path, { headers: { Accept: told ? "application/x-ndjson, application/json" : "application/json" } });
  await refuse(answer);
  if (!(answer.headers.get("Content-Type") ?? "").includes("ndjson")) return (await answer.json()) as T;
  let found: T | undefined;
  await lines(answer, (said) => {
    const { progress, answer } = said as { progress?: number; answer?: T };
    if (progress !== undefined) told?.(progress);
    found = answer;
  });
  if (found === undefined) throw new Refused(200, "the answer was cut off");
  return found;
}
/** Something is to be done. */
export const send = <T>(method: string, path: string, body?: unknown): Promise<T> => ask<T>(path, asJson(method, body));

const asJson = (method: string, body: unknown): RequestInit => ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });

async function ask<T>(path: string, how: RequestInit): Promise<T> {
  const answer = await fetch(path, how);
  await refuse(answer);
  return (await answer.json()) as T;
}

async function refuse(answer: Response): Promise<void> {
  if (answer.status === 401) {
    dispatchEvent(new Event("unauthorized"));
    throw new Unauthorized("the session has ended");
  }
  if (answer.ok) return;
  const json = (answer.headers.get("Content-Type") ?? "").includes("json");
  const said = json ? ((await answer.json()) as { message?: string }).message : undefined;
  throw new Refused(answer.status, said ?? `the collector answered ${answer.status}`);
}

/** Posts, and hands on each line of JSON of the answer as it comes. As long as it cannot be answered yet, `wait` is told why. */
export async function tried(path: string, body: unknown, line: (said: unknown) => void, wait: (why: string) => void, leaving: AbortSignal): Promise<void> {
  for (;;) {
    const answer = await fetch(path, { ...asJson("POST", body), signal: leaving });
    try {
      await refuse(answer);
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 503) throw error;
      wait(error.message);
      await new Promise((resolve) => setTimeout(resolve, 500));
      continue;
    }
    return lines(answer, line);
  }
}

/** Each line of JSON as it comes. */
async function lines(answer: Response, line: (said: unknown) => void): Promise<void> {
  const reader = answer.body!.pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>).getReader();
  for (let rest = "", part = await reader.read(); !part.done; part = await reader.read()) {
    const found = (rest + part.value).split("\n");
    rest = found.pop() ?? "";
    for (const text of found) {
      const said = JSON.parse(text) as { success?: boolean; message?: string };
      if (said.success === false) throw new Refused(200, said.message ?? "it failed");
      line(said);
    }
  }
}
