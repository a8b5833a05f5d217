import { audiences } from "./audiences";
import { live } from "./live";
import { events, overview } from "./overview";
import { brief, h } from "./page";
import { people, sales } from "./people";
import { address, FILTERS, get, range, read } from "./state";
import { funnels, system } from "./system";

const PAGES: Record<string, { title: string; show: (leaving: AbortSignal) => HTMLElement[]; ranged: boolean | ((query: URLSearchParams) => boolean) }> = {
  overview: { title: "Overview", show: overview, ranged: true },
  live: { title: "Live", show: live, ranged: false },
  people: { title: "People", show: people, ranged: false },
  events: { title: "Events", show: events, ranged: true },
  sales: { title: "Purchases and leads", show: sales, ranged: true },
  audiences: { title: "Audiences", show: audiences, ranged: (query) => query.has("name") },
  funnels: { title: "Funnels", show: funnels, ranged: true },
  system: { title: "System", show: system, ranged: false },
};
let leaving = new AbortController();

function tools(page: string): HTMLElement {
  const { from, to, days } = range();
  const { query } = read();
  const go = (changes: Record<string, string | null>): void => {
    location.hash = address(page, changes);
  };
  const choice = h("select", { "aria-label": "Range" },
    ...[["1", "Today"], ["7", "7 days"], ["30", "30 days"], ["90", "90 days"], ["365", "12 months"], ["", "Chosen days"]].map(([value, label]) => h("option", { value: value ?? "", selected: value === days }, label ?? ""))) as HTMLSelectElement;
  choice.addEventListener("change", () => go(choice.value ? { days: choice.value, from: null, to: null } : { from, to, days: null }));
  const date = (name: string, value: string): HTMLElement => {
    const input = h("input", { type: "date", value, "aria-label": name === "from" ? "First day" : "Last day" }) as HTMLInputElement;
    input.addEventListener("change", () => input.value && go({ from, to, [name]: input.value, days: null }));
    return input;
  };
  const own = page === "audiences"; // no events are asked for there
  const bots = h("input", { type: "checkbox", id: "bots", checked: query.get("bots") === "1" }) as HTMLInputElement;
  bots.addEventListener("change", () => go({ bots: bots.checked ? "1" : null }));
  const chips = FILTERS.flatMap((name) => {
    const value = query.get(name);
    if (value === null) return [];
    return [h("a", { class: "chip", href: address(page, { [name]: null }), "aria-label": `Remove the filter ${name} ${value.slice(0, 100)}` }, `${name}: `, brief(value || "none", 50), " ×")];
  });
  return h("div", { class: "tools range" }, choice, date("from", from), date("to", to), ...(own ? [] : [h("label", { for: "bots", title: "Known bots and driven browsers are stored, and not counted unless you say so." }, bots, " include bots"), siteChoice(page), ...chips]));
}

let sites: string[] = [];
function siteChoice(page: string): HTMLElement | null {
  if (sites.length < 2) return null;
  const chosen = read().query.get("site") ?? "";
  const choice = h("select", { "aria-label": "Site" }, h("option", { value: "" }, "All sites"), ...sites.map((name) => h("option", { value: name, selected: name === chosen }, name))) as HTMLSelectElement;
  choice.addEventListener("change", () => (location.hash = address(page, { site: choice.value || null })));
  return choice;
}

function show(): void {
  leaving.abort();
  leaving = new AbortController();
  const { page, query } = read();
  const shown = PAGES[page] ?? PAGES.overview!;
  document.title = `${shown.title} · Collector`;
  const nav = h("nav", { "aria-label": "Pages" }, ...Object.entries(PAGES).map(([name, { title }]) => h("a", { href: address(name), "aria-current": name === page ? "page" : undefined }, title)));
  const out = h("button", { type: "button", class: "plain", click: () => void fetch("logout", { method: "POST" }).then(() => login()) }, "Log out");
  const main = h("main", { id: "main", tabindex: -1 }, h("h1", { class: "title" }, shown.title), (typeof shown.ranged === "function" ? shown.ranged(query) : shown.ranged) ? tools(page) : null, ...shown.show(leaving.signal));
  document.body.replaceChildren(h("a", { class: "skip", href: "#main", click: (event) => { event.preventDefault(); main.focus(); } }, "To the content"), h("header", {}, h("strong", {}, "Collector"), nav, out), main);
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
}

function login(said = ""): void {
  leaving.abort();
  document.title = "Log in · Collector";
  const input = h("input", { id: "token", type: "password", autocomplete: "current-password", required: true }) as HTMLInputElement;
  const alert = h("p", { id: "said", role: "alert" }, said);
  const submit = (event: Event): void => {
    event.preventDefault();
    void enter(input.value).then((problem) => (alert.textContent = problem));
  };
  document.body.replaceChildren(h("main", { class: "login" }, h("h1", {}, "Collector"),
    h("form", { id: "login", submit }, h("label", { for: "token" }, "Admin token"), input, h("button", {}, "Log in"), alert),
    h("p", { class: "muted" }, "The token stands in the file ", h("code", {}, "admin-token"), " in the data folder.")));
  input.focus();
}

/** Why not, or nothing. */
async function enter(token: string): Promise<string> {
  const answer = await fetch("login", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
  if (answer.status === 429) return `Too many wrong tokens. Try again in ${answer.headers.get("Retry-After") ?? "60"} s.`;
  if (!answer.ok) return "That is not the token.";
  await start();
  return "";
}

async function start(): Promise<void> {
  try {
    sites = (await get<{ sites: { name: string }[] }>("api/sites")).sites.map((site) => site.name);
  } catch {
    return;
  }
  show();
}

addEventListener("unauthorized", () => login());
addEventListener("hashchange", () => document.querySelector("nav") && show());
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  history.replaceState(null, "", location.pathname);
  void enter(given).then((problem) => problem && login(problem));
} else void start();
