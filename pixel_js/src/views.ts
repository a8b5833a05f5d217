import { harmless, listen } from "./harmless";
import type { Bag } from "./json";
import { pageFacts } from "./page";
import type { Pixel } from "./pixel";

/** Frameworks set the title a little after the address. */
const TITLE_MS = 50;

/** Page views after the first, by themselves. Gives what records the one that waits for its title. */
export function watchViews(pixel: Pixel, hash?: string): () => void {
  const address = () => location.href.replace(hash == null ? /#.*/ : "", "");
  let here = address();
  /** What is known of the page view that waits for its title. */
  let view: Bag | 0 | undefined;

  function settle(facts = view): void {
    view = 0; // before a page's own wrapper of `page` moves on
    if (facts) pixel.page({ ...facts, title: document.title });
  }

  const moved = harmless((replaced?: boolean) => {
    const referrer = here;
    const url = (here = address());
    // Apps keep their filters in the query by replaceState: that is no other page.
    const page = (url: string) => url.replace(replaced ? /\?[^#]*/ : "", "");
    if (page(url) === page(referrer)) return;
    settle();
    view = { ...pageFacts(), url, path: location.pathname + (hash == null ? "" : location.hash), referrer };
    setTimeout(settle, TITLE_MS);
  });

  listen("popstate", () => moved());
  // Again on a return from the browser's memory of pages.
  listen("pageshow", (event) => event.persisted && pixel.page());
  for (const name of ["pushState", "replaceState"] as const) {
    const change = history[name];
    history[name] = function (...args) {
      change.call(history, ...args);
      moved(name > "r");
    };
  }
  return settle;
}
