import { harmless } from "../harmless";
import type { Pixel } from "../pixel";

type Listener = (...args: any[]) => void;

/** The script's own reports, beside the names of methods. */
const RECORDED = "recorded";
const SENT = "sent";

interface Watch {
  listeners: { name: unknown; listener: Listener; once: boolean }[];
  debugging: boolean;
}

const watches = new WeakMap<Pixel, Watch>();

/** Of one pixel among those of the page. */
function watchOf(pixel: Pixel): Watch {
  let watch = watches.get(pixel);
  if (!watch) watches.set(pixel, (watch = { listeners: [], debugging: false }));
  return watch;
}

function add(pixel: Pixel, name: unknown, listener: unknown, once: boolean): void {
  if (typeof listener === "function") watchOf(pixel).listeners.push({ name, listener: listener as Listener, once });
}

/** In the manner of analytics.js: a listener gets the arguments of the call of that name. */
export const on = (pixel: Pixel, name: unknown, listener: unknown) => add(pixel, name, listener, false);
export const once = (pixel: Pixel, name: unknown, listener: unknown) => add(pixel, name, listener, true);

export function off(pixel: Pixel, name: unknown, listener?: unknown): void {
  const watch = watchOf(pixel);
  watch.listeners = watch.listeners.filter((known) => known.name !== name || (listener && known.listener !== listener));
}

/** One line in the console for each event, and for what became of it. */
export function debug(pixel: Pixel, enabled?: unknown): void {
  watchOf(pixel).debugging = enabled !== false;
}

/** A call, or a report of the script. */
export function tell(pixel: Pixel, name: string, args: unknown[]): void {
  const watch = watchOf(pixel);
  for (const known of watch.listeners.filter((each) => each.name === name)) {
    if (known.once) watch.listeners = watch.listeners.filter((each) => each !== known);
    harmless(known.listener)(...args);
  }
  if (watch.debugging && name === RECORDED) sayRecorded(args[0]);
  if (watch.debugging && name === SENT) saySent((args[0] as string[]).length, args[1] as number, args[2]);
}

function sayRecorded(event: any): void {
  console.log(`[pixel] ${event.type} ${event.event || event.name || event.userId || ""}`, event);
}

function saySent(events: number, status: number, answer: any): void {
  const count = `[pixel] ${events} event${events === 1 ? "" : "s"}`;
  if (status === 200) console.log(`${count} stored`, answer);
  else console.warn(`${count} not stored: ${status} ${answer.message}`, answer);
}
