import { harmless } from "../harmless";
import type { Pixel } from "../pixel";

/** Frameworks set the title a little after the address. */
const TITLE_MS = 50;

let waiting: (() => void) | undefined;

/** The page view that waits for its title. */
function settle(): void {
  const view = waiting;
  waiting = undefined;
  view?.();
}
addEventListener("pagehide", harmless(settle), true);

/**
 * An app of one page went on. Its page before is the referrer. Apps keep their filters in the
 * query by replaceState: that is no other page.
 */
export function moved(pixel: Pixel, from: string, to: string, replaced?: boolean): void {
  if (replaced && path(from) === path(to)) return;
  const { pathname, hash, search } = new URL(to);
  settle();
  waiting = () => pixel.page!({ url: to, path: pathname + hash, search, referrer: from });
  setTimeout(harmless(settle), TITLE_MS);
}

const path = (url: string) => url.replace(/\?[^#]*/, "");
