import { harmless, listen } from "./harmless";
import type { Bag } from "./json";
import type { Pixel } from "./pixel";

/** Frameworks set the title a little after the address. */
const TITLE_MS = 50;

/** Page views after the first, by themselves. Gives what records the one that waits for its title. */
export function watchViews(pixel: Pixel, hash?: string): () => void {
  const address = () => location.href.replace(hash == null ? /#.*/ : "", "");
  let here = address();
  /** What is known of the page view that waits for its title, and of the one being recorded. */
  let view: Bag | 0 | undefined, current: typeof view;

  function settle(): void {
    // It waits until it is recorded: Firefox may break this off, and takes it up again.
    if (view) pixel.page((current = view));
    if (view == current) view = 0;
  }

  const moved = harmless((replaced?: boolean) => {
    const referrer = here;
    here = address();
    // Apps keep their filters in the query by replaceState: that is no other page.
    const page = (url: string) => url.replace(replaced ? /\?[^#]*/ : "", "");
    if (page(here) == page(referrer)) return;
    view == current || settle(); // not within a page's own wrapper of `page` that moves on
    view = { url: here, search: location.search, referrer, path: location.pathname + (hash == null ? "" : location.hash) };
    setTimeout(settle, TITLE_MS);
  });

  listen("popstate", () => moved());
  // Again on a return from the browser's memory of pages.
  listen("pageshow", (event) => event.persisted && pixel.page());
  "pushState replaceState".split(" ").forEach((name: any) => {
    const change = (history as any)[name];
    (history as any)[name] = function (...args: any) {
      change.call(history, ...args);
      moved(name > "r");
    };
  });
  return settle;
}
