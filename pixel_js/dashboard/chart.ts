import uPlot from "uplot";
import { count, h } from "./page";

const color = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Lines over time, drawn anew when the width changes; the same numbers stand in a table for screen readers. */
export function chart(title: string, at: number[], lines: { label: string; values: number[]; color: string }[], unit: string): HTMLElement {
  const dated = (s: number): string => {
    const date = new Date(s * 1000);
    if (unit === "hour") return date.toLocaleString(undefined, { weekday: "short", hour: "numeric", minute: "2-digit" });
    return date.toLocaleDateString(undefined, unit === "month" ? { year: "numeric", month: "short" } : { month: "short", day: "numeric" });
  };
  const place = h("div", { class: "chart", role: "img", "aria-label": `${title}: ${lines.map((l) => `${l.label} up to ${count(Math.max(0, ...l.values))}`).join(", ")}` });
  const size = (): { width: number; height: number } => ({ width: Math.max(200, place.clientWidth), height: 220 });
  const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  let plot: uPlot | undefined;
  const draw = (): void => {
    plot = new uPlot(
      {
        ...size(),
        legend: { live: true },
        scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
        axes: [
          { ...axis, space: 70, values: (_, splits) => splits.map(dated) },
          { ...axis, size: 52, values: (_, splits) => splits.map((v) => (Number.isInteger(v) ? Intl.NumberFormat(undefined, { notation: "compact" }).format(v) : "")) },
        ],
        series: [
          { value: (_, v) => (v === null ? "–" : dated(v)), label: "time" },
          ...lines.map((line) => ({ label: line.label, stroke: color(line.color), width: 2, fill: `${color(line.color)}18`, points: { show: at.length < 3 }, value: (_: uPlot, v: number | null) => (v === null ? "–" : count(v)) })),
        ],
      },
      [at.map((ms) => ms / 1000), ...lines.map((line) => line.values)],
      place,
    );
  };
  new ResizeObserver(() => {
    if (!place.isConnected || !place.clientWidth) return;
    if (plot) plot.setSize(size());
    else draw();
  }).observe(place);
  return place;
}
