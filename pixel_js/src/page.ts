import type { Bag } from "./json";

declare const __VERSION__: string;

/** Asked for once: it costs more than the rest of an event. */
const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** As analytics.js: the url is without its hash, which is no part of what the server sees. */
export const pageFacts = () => ({
  url: location.href.replace(/#.*/, ""),
  search: location.search,
  referrer: document.referrer,
  path: location.pathname,
  title: document.title,
});

/** How the visitor came, by the names of Segment's context: utm_campaign is the campaign's name. */
function campaign(): Bag | undefined {
  let found: Bag | undefined;
  new URLSearchParams(location.search).forEach((value, key) => {
    if (/^utm_|clk?id$/.test(key)) (found ||= {})[key.replace("utm_campaign", "name").replace("utm_", "")] = value;
  });
  return found;
}

export function context(): Bag {
  return {
    campaign: campaign(),
    screen: { width: screen.width, height: screen.height },
    gpc: (navigator as any).globalPrivacyControl,
    dnt: (navigator.doNotTrack as any) > 0,
    bot: navigator.webdriver,
    locale: navigator.language,
    timezone,
    library: { name: "pixel", version: __VERSION__ },
    // Last: of an event that is too long, this is what is cut off.
    page: { ...pageFacts(), canonical: document.querySelector<HTMLLinkElement>("[rel=canonical]")?.href },
  };
}
