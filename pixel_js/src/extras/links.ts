import { harmless } from "../harmless";
import type { Pixel } from "../pixel";

type Given<T> = T | ((element: Element) => T);

/**
 * As in analytics.js: records an event when one of the links is followed, or one of the forms
 * sent. Nothing has to wait for it, since a leaving page hands over what it has.
 */
export const trackLink = tracker("click");
export const trackForm = tracker("submit");

function tracker(type: string) {
  return (pixel: Pixel, given: unknown, event: Given<string>, properties?: Given<object>) => {
    for (const element of elements(given))
      element.addEventListener(
        type,
        harmless(() => pixel.track!(value(event, element), value(properties, element))),
      );
  };
}

/** One element, or a list of any kind: an array, a NodeList, jQuery's. */
function elements(given: any): Element[] {
  return given instanceof Element ? [given] : Array.from(given || []);
}

function value<T>(given: Given<T>, element: Element): T {
  return typeof given === "function" ? (given as (element: Element) => T)(element) : given;
}
