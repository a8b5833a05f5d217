import { chart } from "./chart";
import { brief, card, count, h, later, money, panel, table, type Child } from "./page";
import { filtered, get, question, read, type Told } from "./state";

interface Totals {
  visitors: number;
  views: number;
  events: number;
  leads: number;
  purchases: number;
  revenue: { currency: string | null; micros: number; purchases: number }[];
}
interface Lines {
  unit: string;
  at: number[];
  views: number[];
  visitors: number[];
  events: number[];
}

function compared(label: string, now: string, ratio: number | null, name: string): HTMLElement {
  const change = ratio === null ? "new" : !ratio ? "±0 %" : ratio > 10 ? `×${Math.round(ratio + 1).toLocaleString()}` : `${ratio >= 0 ? "+" : "−"}${Math.abs(Math.round(ratio * 100))} %`;
  const shown = card(label, now, name);
  shown.append(h("span", { class: ratio === null || ratio > 0 ? "up" : ratio ? "down" : "muted" }, change, h("span", { class: "muted" }, " vs. before")));
  return shown;
}

const ratio = (now: number, before: number): number | null => (before ? now / before - 1 : now ? null : 0);

async function totals(told: Told): Promise<Child[]> {
  const { now, before } = await get<{ now: Totals; before: Totals }>(`api/totals?${question()}`, told);
  const names = [["visitors", "Visitors"], ["views", "Page views"], ["events", "Events"], ["leads", "Leads"], ["purchases", "Purchases"]] as const;
  const cards = names.map(([name, label]) => compared(label, count(now[name]), ratio(now[name], before[name]), name));
  for (const line of now.revenue) {
    const earlier = before.revenue.find((b) => b.currency === line.currency)?.micros ?? 0;
    cards.push(compared(`Revenue ${line.currency ?? "without currency"}`, money(line.micros, line.currency), ratio(line.micros, earlier), `revenue-${line.currency}`));
  }
  return [h("div", { class: "cards" }, ...cards)];
}

async function over(told: Told): Promise<Child[]> {
  const lines = await get<Lines>(`api/chart?${question()}`, told);
  return [chart("Over time", lines.at, [
    { label: "Visitors", values: lines.visitors, color: "--accent" },
    { label: "Page views", values: lines.views, color: "--second" },
  ], lines.unit)];
}

const NONE: Record<string, string> = { referrer: "Direct or none", device: "Unknown", browser: "Unknown", path: "No path" };
const HIDDEN = ["campaign", "country"];

/** The most frequent values as bars, each a link that filters by it. */
export function top(title: string, by: string, limit = 10): HTMLElement {
  const load = async (told: Told): Promise<Child[]> => {
    const found = await get<{ rows: { value: string; count: number }[] }>(`api/top?${question({ by, limit: String(limit) })}`, told);
    const rows = found.rows.filter((row) => row.value || !HIDDEN.includes(by));
    if (!rows.length) return [h("p", { class: "empty" }, by === "country" ? "None. Set admin.country_database to see them." : "Nothing in this range.")];
    const most = Math.max(...rows.map((row) => row.count));
    const name = (row: { value: string }): Child => brief(row.value || NONE[by] || "None", 60);
    return [h("ol", { class: "bars" }, ...rows.map((row) => {
      const bar = h("span", { class: "bar", "aria-hidden": "true" });
      bar.style.width = `${(row.count / most) * 100}%`;
      return h("li", {}, bar, h("a", { href: filtered(by, row.value), title: `Only ${by} ${row.value.slice(0, 200) || "none"}` }, name(row)), h("span", { class: "number" }, count(row.count)));
    }))];
  };
  const part = panel(title, later(load));
  part.dataset.top = by;
  return part;
}

export function overview(): HTMLElement[] {
  return [
    later(totals),
    panel("Over time", later(over)),
    h("div", { class: "grid" }, top("Pages", "path"), top("Referrers", "referrer"), top("Events", "event"), top("Campaigns", "campaign"),
      top("Devices", "device"), top("Browsers", "browser"), top("Countries", "country")),
  ];
}

export function events(): HTMLElement[] {
  const chosen = read().query.get("event");
  const named = async (told: Told): Promise<Child[]> => {
    const { rows } = await get<{ rows: { value: string; count: number }[] }>(`api/top?${question({ by: "event", limit: "200" })}`, told);
    return [table("Events by name", ["Event", "Count"], rows.map((row) => [h("a", { href: filtered("event", row.value) }, brief(row.value)), count(row.count)]), [1])];
  };
  const trend = async (told: Told): Promise<Child[]> => {
    const lines = await get<Lines>(`api/chart?${question()}`, told);
    return [chart("Events over time", lines.at, [{ label: "Events", values: lines.events, color: "--accent" }, { label: "Visitors", values: lines.visitors, color: "--second" }], lines.unit)];
  };
  const seen = async (): Promise<Child[]> => {
    const found = await get<{ properties: { name: string; type: string; count: number; example: unknown }[] }>(`api/properties?${question()}`);
    return [h("p", { class: "muted" }, "Of the newest 500 events of this name in the range."),
      table("Properties", ["Property", "Type", "Seen", "Example"], found.properties.map((p) => [brief(p.name), p.type, count(p.count), brief(p.example)]), [2])];
  };
  return [
    panel(chosen ? `Trend of ${chosen.slice(0, 80)}` : "Trend of all events", later(trend)),
    h("div", { class: "grid" }, panel("Names", later(named)), top("Types", "type")),
    ...(chosen ? [panel("Properties", later(seen))] : []),
  ];
}
