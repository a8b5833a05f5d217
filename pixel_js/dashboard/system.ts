import { brief, card, count, h, later, panel, table, when, type Child } from "./page";
import { address, get, question, read, type Told } from "./state";

interface System {
  status: Record<string, string>;
  counts: Record<string, number>;
  gauges: Record<string, number>;
  store: { bytes: number; free_bytes: number };
  settings: Record<string, string>;
}

const words = (name: string): string => name.replace(/_/g, " ");

async function forwarding(): Promise<Child[]> {
  const said = await get<unknown>("api/forward");
  const upstreams = Array.isArray(said) ? said : ((said as { upstreams?: unknown[] }).upstreams ?? []);
  if (!upstreams.length) return [h("p", { class: "empty" }, "No upstream in the settings.")];
  return upstreams.map((one) => table("Upstream", ["", "Now"], Object.entries(one as object).map(([name, value]) => [words(name), brief(value)])));
}

export function system(): HTMLElement[] {
  let last: { at: number; stored: number } | undefined;
  const load = async (): Promise<Child[]> => {
    const said = await get<System>("api/system");
    const upstreams = panel("Upstreams", later(forwarding));
    const stored = said.counts.stored_events ?? 0;
    const rate = last ? (stored - last.stored) / Math.max(0.001, (Date.now() - last.at) / 1000) : stored / Math.max(1, Date.now() / 1000 - (said.counts.started_at ?? 0));
    last = { at: Date.now(), stored };
    const waited = (name: string): string => (said.gauges[name] ? `${(said.gauges[name] * 1000).toLocaleString(undefined, { maximumFractionDigits: 1 })} ms` : "–");
    const megabytes = (n: number): string => `${(n / 1e6).toLocaleString(undefined, { maximumFractionDigits: 1 })} MB`;
    return [
      h("div", { class: "cards" }, card("Stored per second", rate.toLocaleString(undefined, { maximumFractionDigits: 1 })), card("Answered, half within", waited("answer_p50_seconds"), "p50"), card("99 % within", waited("answer_p99_seconds"), "p99"),
        card("Buffered", count(said.gauges.buffered_events ?? 0)),
        card("Store", megabytes(said.store.bytes)), card("Write-ahead log", megabytes(said.gauges.wal_bytes ?? 0)),
        card("Duplicates", count(said.counts.duplicate_events ?? 0)), card("Rejected", count(said.counts.rejected_events ?? 0)), card("Failed commits", count(said.counts.failed_commits ?? 0))),
      h("div", { class: "grid" },
        panel("State", table("State", ["", "Now"], Object.entries(said.status).map(([name, value]) => [name, brief(value)]), [1])),
        upstreams,
        panel("Counted since start", table("Counts", ["", "Count"], Object.entries(said.counts).filter(([name]) => name !== "started_at").map(([name, value]) => [words(name), count(value)]), [1])),
      ),
      h("details", { class: "panel settings" }, h("summary", {}, "Settings in force"), h("p", { class: "muted" }, `Running since ${when((said.counts.started_at ?? 0) * 1000)}`), table("Settings", ["Setting", "Value"], Object.entries(said.settings).map(([name, value]) => [name, brief(value)]))),
    ];
  };
  const place = h("div", {}, later(load));
  const again = h("button", { type: "button", click: () => place.replaceChildren(later(load)) }, "Read again");
  return [h("p", {}, again), place];
}

export function funnels(): HTMLElement[] {
  const steps = read().query.getAll("step");
  const go = (next: string[]): void => {
    const query = new URLSearchParams(read().query);
    query.delete("step");
    for (const step of next) query.append("step", step);
    location.hash = `#/funnels?${query.toString()}`;
  };
  const kind = h("select", { "aria-label": "Kind of step" }, h("option", { value: "path" }, "Page"), h("option", { value: "event" }, "Event")) as HTMLSelectElement;
  const known = h("datalist", { id: "known" });
  const input = h("input", { list: "known", placeholder: "/pricing", "aria-label": "Path or event name", required: true }) as HTMLInputElement;
  const offer = async (): Promise<void> => {
    const { rows } = await get<{ rows: { value: string }[] }>(`api/top?${question({ by: kind.value, limit: "100" })}`);
    known.replaceChildren(...rows.filter((r) => r.value).map((r) => h("option", { value: r.value.slice(0, 500) })));
    input.placeholder = kind.value === "path" ? "/pricing" : "Purchase";
  };
  kind.addEventListener("change", () => void offer());
  void offer();
  const add = (event: Event): void => {
    event.preventDefault();
    go([...steps, `${kind.value}:${input.value.trim()}`]);
  };
  const form = h("form", { class: "tools", submit: add }, kind, input, known, h("button", { disabled: steps.length >= 8 }, "Add step"), h("a", { href: address("funnels", { step: null }) }, "Clear"));
  const chosen = h("ol", { class: "steps" }, ...steps.map((step, i) => h("li", {}, named(step), h("button", { type: "button", "aria-label": `Remove step ${i + 1}`, click: () => go(steps.filter((_, n) => n !== i)) }, "×"))));
  const load = async (told: Told): Promise<Child[]> => {
    const asked = new URLSearchParams(question());
    for (const step of steps) asked.append("step", step);
    const found = await get<{ steps: { step: string; visitors: number; wait_s: number | null }[] }>(`api/funnel?${asked.toString()}`, told);
    const first = found.steps[0]?.visitors ?? 0;
    const step = (s: { step: string; visitors: number }, of: number): HTMLElement => {
      const bar = h("span", { class: "meter", "aria-hidden": "true" });
      bar.style.width = `${of ? (100 * s.visitors) / of : 0}%`;
      return h("span", { class: "step" }, named(s.step), bar);
    };
    const share = (n: number, of: number): string => (of ? `${((100 * n) / of).toFixed(1)} %` : "–");
    return [table("Funnel", ["Step", "Visitors", "Of the first", "Of the one before", "Median time between"], found.steps.map((s, i) => [step(s, first), count(s.visitors), share(s.visitors, first), i ? share(s.visitors, found.steps[i - 1]?.visitors ?? 0) : "", s.wait_s === null ? "" : lasting(s.wait_s)]), [1, 2, 3, 4])];
  };
  return [panel("Steps", form, chosen), steps.length >= 2 ? panel("Conversion", later(load)) : h("p", { class: "empty" }, "Add two steps or more to see how many visitors go from one to the next.")];
}

/** `path:/pricing` as it is read. */
function named(step: string): HTMLElement {
  const [, kind, value] = /^(path|event):([^]*)$/.exec(step) ?? ["", "", step];
  return h("span", {}, kind === "path" ? "Page " : "Event ", brief(value, 80));
}

function lasting(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86400).toFixed(1)} days`;
}
