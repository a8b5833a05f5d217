/**
 * Served before the script where Segment's snippet looks for its own: what that snippet left in the
 * page becomes what the script expects. The snippet's stubs would call themselves for ever once the
 * script is there and has no such method, and add what they know of the page to each call's
 * arguments, which the script finds out by itself.
 */
import { harmless } from "./harmless";
import type { Queue } from "./stubs";

function adapt(script: HTMLScriptElement): void {
  const [base, key] = script.src.split("/analytics.js/v1/") as [string, string];
  const name = script.getAttribute("data-global-segment-analytics-key") || "analytics";
  const queue: Queue = (window as any)[name];
  for (const method of queue.methods)
    queue[method] = (...args: unknown[]) => {
      queue.push([method, ...args]);
      return queue;
    };
  for (const call of queue as unknown[][]) {
    const last = call[call.length - 1] as { __t?: string } | null;
    if (last && last.__t === "bpc") call.pop();
  }
  Object.assign(script.dataset, { key: decodeURIComponent(key.split("/")[0]!), global: name, auto: "false" });
  // A script that has begun is not fetched again; the script takes its endpoint from here.
  script.src = base + "/c.js";
}

harmless(adapt)(document.currentScript as HTMLScriptElement);
