import { builder, known, type Part, type Rule } from "./builder";
import { chart } from "./chart";
import { ask, brief, card, count, h, later, panel, table, text, when, type Child } from "./page";
import { personLink } from "./people";
import { address, get, question, read, send, tried } from "./state";

interface Summary {
  name: string;
  site: string;
  evaluated_at: number | null;
  members: number;
  saved: boolean;
}
interface Audience extends Summary {
  rule: Rule;
  to: string[];
  record: boolean;
  deliveries: { destination: string; told: number; waiting: number; since: number | null; attempts: number; next_at: number | null; error: string | null; failure: string | null }[];
}
interface Tried {
  success?: boolean;
  message?: string;
  members: number;
  people: number;
  of?: number;
  who?: { id: string; user_id: string | null; email: string | null }[];
}

const here = (changes: Record<string, string | null>): string => address("audiences", { name: null, edit: null, new: null, ...changes });
const path = (name: string, more = ""): string => `api/audiences/${encodeURIComponent(name)}${more}`;
const state = (one: Summary): string => (one.evaluated_at ? "up to date" : "history is being looked through");

async function listed(): Promise<Child[]> {
  const found = await get<Summary[]>("api/audiences");
  if (!found.length) return [h("p", { class: "empty" }, "No audience yet.")];
  return [table("Audiences", ["Audience", "Members", "Site", "Defined", "State"], found.map((one) => [h("a", { href: here({ name: one.name }) }, brief(one.name)), count(one.members), one.site || "any", one.saved ? "here" : "in the settings", state(one)]), [1])];
}

async function over(name: string): Promise<Child[]> {
  const lines = await get<{ unit: string; at: number[]; members: (number | null)[]; entered: number[]; exited: number[] }>(path(name, `/chart?${question()}`));
  const sum = (values: number[]): string => count(values.reduce((a, b) => a + b, 0));
  return [
    h("div", { class: "cards" }, card("Entered", sum(lines.entered)), card("Left", sum(lines.exited))),
    h("h3", {}, "Members"), chart("Members", lines.at, [{ label: "Members", values: lines.members, color: "--accent" }], lines.unit),
    h("h3", {}, "Entered and left"), chart("Entered and left", lines.at, [{ label: "Entered", values: lines.entered, color: "--second" }, { label: "Left", values: lines.exited, color: "--bad" }], lines.unit),
  ];
}

async function members(name: string): Promise<Child[]> {
  const found = await get<{ person_id: string; user_id: string | null; email: string | null; entered_at: number }[]>(path(name, "/members?limit=25"));
  const file = (layout: string, label: string): Child => h("a", { href: path(name, `/export?layout=${layout}`), download: `${name}-${layout}.csv` }, label);
  return [
    table("Members", ["Person", "User id", "Since"], found.map((one) => [personLink(one.person_id, one.email ?? one.user_id), brief(one.user_id, 40), when(one.entered_at)])),
    h("p", { class: "muted" }, "At most 25 are shown, and nobody who refused. All of them as CSV: ", file("plain", "plain"), ", for ", file("google", "Google"), " or ", file("meta", "Meta"), " with hashed addresses, of those only who agreed."),
  ];
}

function deliveries(one: Audience): Child {
  if (!one.deliveries.length) return h("p", { class: "empty" }, one.to.length ? "Nothing to tell yet." : "Nobody is told of this audience.");
  return table("Deliveries", ["Destination", "Knows of", "Waiting", "Since", "Tries", "Next try", "State"], one.deliveries.map((to) => [
    to.destination || "the log", count(to.told), count(to.waiting), to.since === null ? "" : when(to.since), to.attempts ? count(to.attempts) : "", to.next_at ? when(to.next_at) : "",
    to.failure ?? to.error ? h("span", { class: "bad" }, brief(to.failure ?? to.error)) : to.waiting ? "on its way" : "told"]), [1, 2, 4]);
}

async function one(name: string, leaving: AbortSignal): Promise<Child[]> {
  const found = await get<Audience>(path(name));
  const size = card("Members", count(found.members), "members");
  const said = h("p", { role: "status", class: "muted" }, state(found));
  const again = async (): Promise<void> => {
    const now = await get<Audience>(path(name));
    size.querySelector("strong")!.textContent = count(now.members);
    said.textContent = state(now);
    if (now.evaluated_at) dispatchEvent(new Event("hashchange"));
    else soon();
  };
  const soon = (): unknown => setTimeout(() => leaving.aborted || void again(), 500);
  if (!found.evaluated_at) soon();
  const remove = (): void => {
    const why = h("p", { role: "alert", class: "error" });
    const go = (): void => void send("DELETE", path(name)).then(() => (location.hash = here({})), (error: Error) => (why.textContent = error.message));
    ask(`Take the audience ${name} away?`, "Its members are forgotten; destinations are told nothing.", "Take it away", go, why);
  };
  const tools = found.saved
    ? h("p", { class: "tools" }, h("a", { class: "button", href: here({ edit: name }) }, "Change"), h("button", { type: "button", click: remove }, "Take away"))
    : h("p", { class: "muted" }, "Stands in the settings, and is changed there.");
  return [
    h("h1", { tabindex: -1 }, brief(name)), tools, said,
    h("div", { class: "cards" }, size),
    panel("Over time", later(() => over(name))),
    panel("Deliveries", deliveries(found)),
    panel("Rule", h("pre", { tabindex: 0 }, text(JSON.stringify(found.rule, null, 2)))),
    panel("Members", later(() => members(name))),
  ];
}

/** The form of a rule, or its text where it says more than the form can. */
function editor(given: Rule): Part {
  const built = builder(given);
  if (built) return built;
  const box = h("textarea", { rows: 14, "aria-label": "The rule as JSON", spellcheck: "false" }) as HTMLTextAreaElement;
  box.value = JSON.stringify(given, null, 2);
  return { element: h("div", {}, h("p", { class: "muted" }, "This rule says more than the form can show:"), box), rule: () => JSON.parse(box.value) as Rule };
}

async function suggestions(): Promise<Child[]> {
  const top = async (by: string): Promise<string[]> => (await get<{ rows: { value: string }[] }>(`api/top?${question({ by, limit: "100" })}`)).rows.map((row) => row.value).filter(Boolean);
  const [events, paths, others] = await Promise.all([top("event"), top("path"), get<Summary[]>("api/audiences")]);
  return [known("events", events), known("paths", paths), known("audiences", others.map((a) => a.name)), known("traits", ["email", "name", "plan", "$first_seen", "$last_seen"])];
}

/** What properties the event has that is named beside the field. */
async function properties(target: HTMLElement, place: HTMLElement): Promise<void> {
  const name = target.closest(".did")?.querySelector<HTMLInputElement>("[list=known-events]")?.value;
  if (!name) return;
  const { properties } = await get<{ properties: { name: string }[] }>(`api/properties?${question({ event: name })}`);
  place.replaceChildren(...[known("properties", [...new Set(properties.map((p) => p.name))])].filter((c): c is Node => c instanceof Node));
}

function preview(form: () => { rule: Rule; site: string }, leaving: AbortSignal): { element: HTMLElement; start: () => Promise<void> } {
  const said = h("p", { role: "status", class: "found" });
  const list = h("div", {});
  const show = (found: Tried): void => {
    said.textContent = found.success ? `${count(found.members)} of ${count(found.people)} people belong` : `${count(found.members)} so far; ${count(found.people)} of ${count(found.of ?? 0)} people looked at…`;
    if (found.who) list.replaceChildren(table("Who", ["Person", "User id"], found.who.map((p) => [personLink(p.id, p.email ?? p.user_id), brief(p.user_id, 40)])));
  };
  const start = async (): Promise<void> => {
    said.className = "found";
    list.replaceChildren();
    said.setAttribute("aria-busy", "true");
    try {
      await tried("api/audiences/preview", form(), (found) => show(found as Tried), (why) => (said.textContent = `${why}…`), leaving);
    } catch (error) {
      said.className = "found error";
      said.textContent = error instanceof Error ? error.message : String(error);
    }
    said.removeAttribute("aria-busy");
  };
  return { element: h("div", { class: "preview" }, said, list), start };
}

async function edited(name: string | null, leaving: AbortSignal): Promise<Child[]> {
  const given: Pick<Audience, "name" | "rule" | "site" | "to" | "record"> = name === null ? { name: "", rule: {}, site: "", to: [], record: true } : await get<Audience>(path(name));
  const [{ sites }, { settings }, offered] = await Promise.all([get<{ sites: { name: string }[] }>("api/sites"), get<{ settings: Record<string, string> }>("api/system"), suggestions()]);
  const destinations = Object.entries(settings).filter(([path]) => /^destination\[\d+\]\.name$/.test(path)).map(([, value]) => JSON.parse(value) as string);
  const named = h("input", { name: "name", required: true, value: given.name, readonly: name !== null, pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]{0,62}", title: "Letters, digits, . _ and -", autocomplete: "off" }) as HTMLInputElement;
  const site = h("select", { name: "site" }, h("option", { value: "" }, "any"), ...sites.map((one) => h("option", { value: one.name, selected: one.name === given.site }, one.name))) as HTMLSelectElement;
  const rule = editor(given.rule);
  const told = destinations.map((one) => ({ one, box: h("input", { type: "checkbox", checked: given.to.includes(one) }) as HTMLInputElement }));
  const record = h("input", { type: "checkbox", checked: given.record }) as HTMLInputElement;
  const alert = h("p", { role: "alert", class: "error" });
  const json = h("pre", { tabindex: 0 });
  const trial = preview(() => ({ rule: rule.rule(), site: site.value }), leaving);
  const write = (): void => {
    try {
      json.textContent = JSON.stringify(rule.rule(), null, 2);
    } catch {
      json.textContent = "";
    }
  };
  const save = (event: Event): void => {
    event.preventDefault();
    const keep = async (): Promise<unknown> => send("PUT", path(named.value), { rule: rule.rule(), site: site.value, to: told.filter((t) => t.box.checked).map((t) => t.one), record: record.checked });
    keep().then(() => (location.hash = here({ name: named.value })), (error: Error) => (alert.textContent = error.message));
  };
  const props = h("span", {});
  const form = h("form", { class: "audience", submit: save },
    h("div", { class: "tools" }, h("label", {}, "Name", named), h("label", {}, "People of site", site)),
    panel("Who belongs: people who meet", rule.element),
    h("details", {}, h("summary", {}, "The rule as JSON"), json),
    panel("Who is told", ...(told.length ? told.map(({ one, box }) => h("label", {}, box, one)) : [h("p", { class: "muted" }, "No destination in the settings.")]), h("label", {}, record, "write Audience Entered and Audience Exited into the log")),
    h("p", { class: "tools" }, h("button", { type: "button", click: () => void trial.start() }, "See who"), h("button", { class: "primary" }, "Save"), h("a", { href: here(name === null ? {} : { name }) }, "Cancel")),
    alert, ...offered, props);
  form.addEventListener("input", write);
  form.addEventListener("change", write);
  form.addEventListener("focusin", (event) => {
    const target = event.target as HTMLElement;
    if (target.getAttribute("list") === "known-properties") void properties(target, props);
  });
  write();
  return [form, panel("Before it is saved", trial.element)];
}

export function audiences(leaving: AbortSignal): HTMLElement[] {
  const { query } = read();
  const name = query.get("name");
  if (query.has("new") || query.has("edit")) return [later(() => edited(query.get("edit"), leaving))];
  if (name !== null) return [later(() => one(name, leaving))];
  return [h("p", {}, h("a", { class: "button", href: here({ new: "1" }) }, "New audience")), panel("Audiences", later(listed))];
}
