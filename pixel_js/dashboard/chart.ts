import uPlot from "uplot";
import { count, h } from "./page";

/** How far apart marks on the axis may be, in seconds. */
const STEPS: Record<string, number[]> = { hour: [1, 2, 3, 6, 12, 24].map((n) => n * 3600), day: [1, 2, 3, 5, 7, 14, 30].map((n) => n * 86400) };
const color = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Lines over time, drawn anew when the width changes; the same numbers stand in a table for screen readers. */
export function chart(title: string, at: number[], lines: { label: string; values: (number | null)[]; color: string }[], unit: string): HTMLElement {
  const dated = (s: number): string => {
    const date = new Date(s * 1000);
    if (unit === "hour") return date.toLocaleString(undefined, { weekday: "short", hour: "numeric", minute: "2-digit" });
    return date.toLocaleDateString(undefined, unit === "month" ? { year: "numeric", month: "short" } : { month: "short", day: "numeric" });
  };
  const place = h("div", { class: "chart", role: "img", "aria-label": `${title}: ${lines.map((l) => `${l.label} up to ${count(Math.max(0, ...l.values.map(Number)))}`).join(", ")}` });
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
          { ...axis, space: 70, ...(STEPS[unit] && { incrs: STEPS[unit] }), values: (_, splits) => splits.map(dated) },
          { ...axis, size: 52, values: (_, splits) => splits.map((v) => (Number.isInteger(v) ? Intl.NumberFormat(undefined, { notation: "compact" }).format(v) : "")) },
        ],
        series: [
          { value: (_, v) => (v === null ? "–" : dated(v)), label: "time" },
          ...lines.map((line) => ({ label: line.label, stroke: color(line.color), width: 2, fill: `${color(line.color)}18`, points: { show: line.values.filter((v) => v !== null).length < 3 }, value: (_: uPlot, v: number | null) => (v === null ? "–" : count(v)) })),
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
