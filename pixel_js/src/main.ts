import { harmless, listen } from "./harmless";
import { type Extra, createPixel } from "./pixel";
import { kept, state } from "./storage";

function load({ src, dataset }: HTMLScriptElement): void {
  const page = window as any;
  const name = dataset.global || "pixel";
  // An element with id="pixel" is window.pixel too: only an array is a queue.
  const queue: any = page[name]?.push ? page[name] : (page[name] = []);
  if (queue.invoked > 1) return;
  queue.invoked = 2;

  // A module: fetched at its first use, once, under the nonce of this script.
  const second = new URL("c2.js", src) as any;
  const extra: Extra = (...call) => import(second).then(({ run }) => run(...call)).catch(() => {});
  const run = harmless(([method, ...args]: any) => methods[method]!(...args));

  function begin(): void {
    if (queue.initialized || (document as any).prerendering) return;
    queue.initialized = 1;
    const calls = queue.splice(0);
    queue.push = (...later: unknown[]) => later.forEach(run);
    const auto = dataset.auto !== "false";
    if (auto) methods.page!();
    queue.push(...calls);
    if (auto) watch();
  }

  // Before the delivery listens, so that at the end of the page it finds these calls queued.
  listen("pagehide visibilitychange", begin);
  const [methods, watch] = createPixel({ endpoint: new URL("c", src), ...dataset } as any, extra);
  // In the place of the stubs, in the same object: the page may hold it by now.
  for (const name in methods)
    queue[name] = (...args: unknown[]) => (queue.initialized ? methods[name]!(...args) : (queue.push([name, ...args]), queue));
  // What an address or an older script says of the visitor is read first.
  if (dataset.link || /ajs_|_px_l|pixel_off/.test(location.search) || kept && !state().anonymousId && /ajs_a/.test(document.cookie))
    extra(methods, "arrive", [dataset], "").then(begin);
  else if (document.title || document.readyState !== "loading") begin();
  else listen("DOMContentLoaded", begin);
}

harmless(load)(document.currentScript as HTMLScriptElement);
