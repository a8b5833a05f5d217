import type { Bag } from "./json";

declare const __VERSION__: string;

/** Asked for once: it costs more than the rest of an event. */
const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** As analytics.js: the url is without its hash, which is no part of what the server sees. */
export const pageFacts = () => ({
  title: document.title,
  referrer: document.referrer,
  search: location.search,
  path: location.pathname,
  url: location.href.replace(/#.*/, ""),
});

/** How the visitor came, by the names of Segment's context: utm_campaign is the campaign's name. */
function campaign(): Bag | undefined {
  let found: Bag | undefined;
  for (const [key, value] of new URLSearchParams(location.search))
    if (/^utm_|clk?id$/.test(key)) (found ||= {})[key.replace("utm_campaign", "name").replace("utm_", "")] = value;
  return found;
}

export function context(): Bag {
  return {
    gpc: (navigator as any).globalPrivacyControl,
    library: { name: "pixel", version: __VERSION__ },
    dnt: (navigator.doNotTrack as any) > 0,
    campaign: campaign(),
    timezone,
    bot: navigator.webdriver,
    screen: { width: screen.width, height: screen.height },
    locale: navigator.language,
    page: { ...pageFacts(), canonical: document.querySelector<HTMLLinkElement>("[rel=canonical]")?.href },
  };
}
