import { brief, clock, h, later, panel, text, when, type Child } from "./page";
import { get, read } from "./state";

interface Row {
  seq?: number;
  id?: number;
  site: string;
  type?: string;
  event?: string | null;
  path?: string | null;
  title?: string | null;
  user_id?: string | null;
  anonymous_id?: string | null;
  received_at: number;
  violations?: string[] | null;
  bot?: number | null;
  code?: string;
  message?: string;
  body?: string;
}
const MOST = 200;

function detail(row: Row): HTMLElement {
  const fields = Object.entries(row).filter(([, value]) => value !== null);
  return h("dl", {}, ...fields.flatMap(([name, value]) => [
    h("dt", {}, name),
    h("dd", {}, typeof value === "object" ? h("pre", { tabindex: 0 }, text(JSON.stringify(value, null, 2))) : h("span", { class: "text", dir: "auto" }, name.endsWith("_at") || name === "timestamp" ? `${when(Number(value))} (${String(value)})` : text(value)))]));
}

function line(row: Row): HTMLElement {
  const bad = row.code !== undefined;
  const what = bad ? `${row.code}: ${row.message}` : row.event ?? row.path ?? row.type;
  const mark = bad ? h("span", { class: "tag bad" }, "rejected") : row.violations ? h("span", { class: "tag warn" }, "violations") : row.bot ? h("span", { class: "tag" }, "bot") : null;
  const item = h("details", { class: "event" },
    h("summary", {}, h("time", {}, clock(row.received_at)), h("span", { class: "tag kind" }, row.type ?? "refused"), mark, brief(what, 80), h("span", { class: "muted who" }, brief(row.user_id ?? row.anonymous_id ?? "", 40))));
  if (row.violations) item.append(h("ul", { class: "warn" }, ...row.violations.map((v) => h("li", {}, text(v)))));
  item.addEventListener("toggle", () => {
    if ((item as HTMLDetailsElement).open && !item.querySelector("dl")) item.append(detail(row));
  });
  return item;
}

async function sites(): Promise<Child[]> {
  const { sites } = await get<{ sites: { name: string; snippet: string; last_at: number | null }[] }>("api/sites");
  return sites.map((site) => {
    const box = h("textarea", { readonly: true, rows: 4, spellcheck: "false", "aria-label": `Snippet of ${site.name}` }) as HTMLTextAreaElement;
    box.value = site.snippet;
    const said = h("span", { role: "status", class: "muted" });
    const copy = (): void => {
      box.select();
      navigator.clipboard?.writeText(site.snippet).then(() => (said.textContent = " copied"), () => (said.textContent = " select and copy"));
    };
    return h("div", { class: "site" }, h("h3", {}, site.name),
      h("p", { class: site.last_at ? "up" : "muted" }, site.last_at ? `✓ Events come in, the last one ${when(site.last_at)}` : "No event from this site yet. Paste this into its pages, before </head>:"),
      box, h("p", {}, h("button", { type: "button", click: copy }, "Copy the snippet"), said));
  });
}

export function live(leaving: AbortSignal): HTMLElement[] {
  const list = h("div", { class: "events", role: "log", "aria-label": "Events as they arrive" });
  const state = h("span", { role: "status", class: "muted" }, "connecting…");
  const filter = h("input", { type: "search", placeholder: "Filter", "aria-label": "Show only lines with this text" }) as HTMLInputElement;
  const kind = h("select", { "aria-label": "Which" }, h("option", { value: "" }, "All"), h("option", { value: "bad" }, "Rejected"), h("option", { value: "warn" }, "Violations")) as HTMLSelectElement;
  const button = h("button", { type: "button", "aria-pressed": "false" }, "Pause");
  const waiting: HTMLElement[] = [];
  let paused = false;
  const said = new WeakMap<HTMLElement, string>();
  const show = (item: HTMLElement): void => {
    const text = !filter.value || (said.get(item) ?? "").includes(filter.value.toLowerCase());
    item.hidden = !(text && (!kind.value || item.querySelector(`summary .${kind.value}`)));
  };
  const add = (item: HTMLElement): void => {
    list.prepend(item);
    while (list.childElementCount > MOST) list.lastElementChild?.remove();
  };
  const take = (data: string): void => {
    const row = JSON.parse(data) as Row;
    const item = line(row);
    said.set(item, data.toLowerCase());
    show(item);
    if (paused) {
      waiting.push(item);
      if (waiting.length > MOST) waiting.shift();
      state.textContent = `paused, ${waiting.length} waiting`;
    } else add(item);
  };
  const again = (): void => {
    for (const item of list.children) show(item as HTMLElement);
  };
  filter.addEventListener("input", again);
  kind.addEventListener("change", again);
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Go on" : "Pause";
    state.textContent = paused ? "paused" : "live";
    if (!paused) waiting.splice(0).forEach(add);
  });
  const site = read().query.get("site");
  const source = new EventSource(`api/live${site === null ? "" : `?${new URLSearchParams({ site }).toString()}`}`);
  source.addEventListener("open", () => {
    list.replaceChildren();
    if (!paused) state.textContent = "live";
  });
  source.addEventListener("error", () => (state.textContent = "connection lost, trying again…"));
  for (const name of ["stored", "rejected"]) source.addEventListener(name, (event) => take((event as MessageEvent<string>).data));
  leaving.addEventListener("abort", () => source.close());
  return [h("div", { class: "beside" },
    panel("Events as they arrive", h("div", { class: "tools" }, filter, kind, button, state), list),
    panel("Install the pixel", later(sites)))];
}
