import { harmless } from "./harmless";
import { type Pixel, createPixel } from "./pixel";
import { type Queue, stubbedQueue } from "./stubs";

/**
 * Puts the pixel in the place of the stubs, in the same object: the page may hold it by now.
 * Methods that the pixel does not have stay stubs, whose calls are passed over.
 */
function takeOver(queue: Queue, pixel: Pixel, pageView: boolean): void {
  const run = harmless((call: ArrayLike<unknown>) => {
    const [method, ...args] = Array.from(call);
    pixel[method as string]!(...args);
  });
  const calls = queue.splice(0);
  Object.assign(queue, pixel, { push: (...later: ArrayLike<unknown>[]) => later.forEach((call) => run(call)) });
  if (pageView) run(["page"]);
  queue.push(...calls);
}

function start(script: HTMLScriptElement): void {
  const { key = "", global = "pixel", auto } = script.dataset;
  const queue = stubbedQueue(global);
  if (queue.initialized) return;
  queue.invoked = queue.initialized = true;

  let begun = false;
  const begin = () => {
    if (!begun) takeOver(queue, pixel, auto !== "false");
    begun = true;
  };
  // A script from the cache can run before the parser has met the title. Listening for the end of
  // the page before the delivery does, so that it finds these calls in its queue.
  addEventListener("DOMContentLoaded", begin);
  addEventListener("pagehide", begin);
  const pixel = createPixel({ writeKey: key, endpoint: new URL("c", script.src).href });
  if (document.title || document.readyState !== "loading") begin();
}

harmless(start)((document.currentScript || document.querySelector("script[data-key]")) as HTMLScriptElement);
