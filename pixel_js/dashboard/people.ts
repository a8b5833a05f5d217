import { ask, brief, count, h, later, money, panel, table, text, when, type Child } from "./page";
import { address, get, question, read, send } from "./state";

interface Person {
  id: string;
  site: string;
  user_id: string | null;
  email: string | null;
  traits: Record<string, unknown> | null;
  first_seen: number;
  last_seen: number;
}
interface Full extends Person {
  keys: { kind: string; value: string; first_seen: number; last_seen: number; shared: number }[];
  purchases: { timestamp: number; order_id: string | null; currency: string | null; total_micros: number | null; counted: number }[];
  leads: { email: string; timestamp: number; source: string | null; times: number }[];
  audiences: { name: string; entered_at: number }[];
  events: { seq: number; timestamp: number; type: string; event: string | null; path: string | null; properties: unknown }[];
}

export const personLink = (id: string | null, shown: unknown): Child =>
  id ? h("a", { href: address("people", { id }) }, brief(shown || id, 60)) : brief(shown, 60);

function found(q: string, part: string): HTMLElement {
  return later(async (told) => {
    const { people, whole } = await get<{ people: Person[]; whole: boolean }>(`api/people?${new URLSearchParams({ q, part }).toString()}`, told);
    if (!people.length) return [h("p", { class: "empty" }, q ? "Nobody found." : "Nobody yet: people come from identify calls and leads.")];
    return [table("People", ["Person", "Site", "User id", "First seen", "Last seen"],
      people.map((p) => [personLink(p.id, p.email ?? p.user_id), brief(p.site), brief(p.user_id, 40), when(p.first_seen), when(p.last_seen)])),
    whole && h("p", {}, h("a", { href: address("people", { part: "1" }) }, "Whoever has it in an address, id or trait"))];
  });
}

interface Report {
  people: number;
  names: number;
  removed: Record<string, number>;
  found_in: string[];
}

/** The person by one of its names, as forget and access take it. */
function named(p: Full): Record<string, string> | undefined {
  const own = p.keys.filter((k) => !k.shared);
  const key = ["user", "email", "anonymous"].flatMap((kind) => own.filter((k) => k.kind === kind))[0];
  return key && { [key.kind]: key.value, site: p.site };
}

function forgotten(said: Report): HTMLElement {
  const rows = Object.entries(said.removed).map(([name, number]): Child[] => [name.replace(/_/g, " "), count(number)]);
  const left = said.found_in.length ? h("p", { class: "error", role: "alert" }, `A name is still to be found in: ${said.found_in.join(", ")}`) : h("p", { class: "up" }, "None of the names is to be found in any file any more.");
  return panel("Forgotten", h("p", { role: "status" }, `${count(said.people)} people with ${count(said.names)} names. Nothing of them is taken again. Removed rows:`), table("Removed", ["Of", "Rows"], rows, [1]), left);
}

function rights(p: Full): Child {
  const whom = named(p);
  if (!whom) return null;
  const alert = h("p", { role: "alert", class: "error" });
  const busy = h("p", { role: "status" });
  const go = async (event: Event): Promise<void> => {
    const button = event.target as HTMLButtonElement;
    button.disabled = true;
    busy.textContent = "Erasing, and searching all files…";
    try {
      const said = await send<Report>("POST", "api/forget", whom);
      button.closest("main")?.replaceChildren(h("h1", {}, "Person"), forgotten(said), h("p", {}, h("a", { href: address("people", { id: null }) }, "To the people")));
    } catch (error) {
      busy.textContent = "";
      alert.textContent = String(error);
      button.disabled = false;
    }
  };
  const sure = (): void => ask("Forget this person?", "All events, ids, purchases and leads of the person are erased, and whatever comes under these names from now on is not taken. It cannot be undone.", "Forget for ever", (event) => void go(event), busy, alert);
  return h("p", { class: "tools" }, h("a", { class: "button", href: `api/access?${new URLSearchParams(whom).toString()}`, download: `person-${p.id}.ndjson` }, "All that is stored"), h("button", { type: "button", class: "danger", click: sure }, "Forget…"));
}

async function one(id: string): Promise<Child[]> {
  const p = await get<Full>(`api/people/${encodeURIComponent(id)}`);
  const traits = Object.entries(p.traits ?? {});
  return [
    h("h1", { tabindex: -1 }, brief(p.email ?? p.user_id ?? p.id)),
    h("p", { class: "muted" }, `First seen ${when(p.first_seen)}, last ${when(p.last_seen)}, site ${p.site}, person ${p.id}`),
    rights(p),
    h("div", { class: "grid" },
      panel("Traits", table("Traits", ["Trait", "Value"], traits.map(([name, value]) => [brief(name), brief(value)]))),
      panel("Ids", table("Ids", ["Kind", "Id", "Last seen"], p.keys.map((k) => [k.kind + (k.shared ? " (shared)" : ""), brief(k.value, 60), when(k.last_seen)]))),
      panel("Purchases", table("Purchases", ["When", "Order", "Total"], p.purchases.map((b) => [when(b.timestamp), brief(b.order_id), money(b.total_micros, b.currency) + (b.counted ? "" : " (repeat)")]), [2])),
      panel("Leads", table("Leads", ["When", "Address", "Source", "Times"], p.leads.map((l) => [when(l.timestamp), brief(l.email), brief(l.source), count(l.times)]), [3])),
      panel("Audiences", table("Audiences", ["Audience", "Since"], p.audiences.map((a) => [h("a", { href: address("audiences", { name: a.name }) }, brief(a.name)), when(a.entered_at)])))),
    panel("Timeline", h("ol", { class: "timeline" }, ...p.events.map((e) =>
      h("li", {}, h("time", {}, when(e.timestamp)), h("span", { class: "tag kind" }, e.type), h("details", {}, h("summary", {}, brief(e.event ?? e.path ?? e.type)), h("pre", { tabindex: 0 }, text(JSON.stringify(e, null, 2)))))))),
  ];
}

export function people(): HTMLElement[] {
  const { query } = read();
  const id = query.get("id");
  const input = h("input", { type: "search", value: query.get("q") ?? "", placeholder: "E-mail, id or trait", "aria-label": "Search people" }) as HTMLInputElement;
  const submit = (event: Event): void => {
    event.preventDefault();
    location.hash = address("people", { q: input.value.trim() || null, id: null, part: null });
  };
  const form = h("form", { class: "tools", role: "search", submit }, input, h("button", {}, "Search"));
  return id ? [form, later(() => one(id))] : [form, panel("People", found(query.get("q") ?? "", query.get("part") ?? ""))];
}

interface Bought {
  timestamp: number;
  site: string;
  person_id: string | null;
  email: string | null;
  user_id: string | null;
  order_id: string | null;
  items: string | null;
  currency: string | null;
  total_micros: number | null;
  counted: number;
}

export function sales(): HTMLElement[] {
  const bought = async (): Promise<Child[]> => {
    const { purchases } = await get<{ purchases: Bought[] }>(`api/purchases?${question()}`);
    return [table("Purchases", ["When", "Who", "Items", "Order", "Total"], purchases.map((p) => [when(p.timestamp), personLink(p.person_id, p.email ?? p.user_id ?? "anonymous"), brief(p.items, 70), brief(p.order_id, 40), money(p.total_micros, p.currency) + (p.counted ? "" : " (repeat)")]), [4])];
  };
  const captured = async (): Promise<Child[]> => {
    const { leads } = await get<{ leads: { timestamp: number; email: string; person_id: string | null; source: string | null; times: number }[] }>(`api/leads?${question()}`);
    return [table("Leads", ["First captured", "Address", "Source", "Times"], leads.map((l) => [when(l.timestamp), personLink(l.person_id, l.email), brief(l.source, 60), count(l.times)]), [3])];
  };
  const by = (title: string, by: string): HTMLElement => {
    const part = panel(title, later(async () => {
      const { rows } = await get<{ rows: { value: string | null; currency: string | null; micros: number | null; count: number }[] }>(`api/revenue?${question({ by })}`);
      return [table(title, ["", "Number", "Revenue"], rows.map((r) => [brief(r.value ?? "None", 60), count(r.count), money(r.micros, r.currency)]), [1, 2])];
    }));
    part.dataset.revenue = by;
    return part;
  };
  return [
    h("div", { class: "grid" }, by("Revenue by product", "product"), by("Revenue by category", "category"), by("Revenue by campaign of first touch", "first"), by("Revenue by campaign of last touch", "last")),
    panel("Purchases", later(bought)),
    panel("Leads", later(captured)),
  ];
}
