import type { Bag } from "./json";

declare const __VERSION__: string;

export interface PageFacts extends Bag {
  path: string;
  referrer: string;
  search: string;
  title: string;
  url: string;
}

/** Asked for once: it costs more than the rest of an event. */
const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** As analytics.js: the url is without its hash, which is no part of what the server sees. */
export function pageFacts(): PageFacts {
  return {
    path: location.pathname,
    referrer: document.referrer,
    search: location.search,
    title: document.title,
    url: location.href.replace(/#.*/, ""),
  };
}

export function context(): Bag {
  return {
    page: pageFacts(),
    locale: navigator.language,
    timezone,
    screen: { width: screen.width, height: screen.height },
    library: { name: "pixel", version: __VERSION__ },
  };
}
