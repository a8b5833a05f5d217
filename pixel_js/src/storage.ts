import { harmless } from "./harmless";
import { type Bag, parse, stringify } from "./json";

/** The browser's storage, or where it does not or must not keep anything, the page's memory. */
let store: Record<string, string> = {};
export let kept: boolean;

/** Whether the browser may keep anything of ours. What was written in between is kept then. */
export const keep = harmless((allowed: boolean) => {
  store = allowed ? Object.assign(localStorage, store) : {};
  kept = allowed;
});

export const read = (key: string) => store[key]!;

export function write(key: string, value: string): void {
  try {
    store[key] = value;
  } catch {
    store = { ...store, [key]: value }; // full
  }
}

export const remove = harmless((key: string) => {
  delete store[key];
  delete localStorage[key];
});

/** Sorted. */
export const keysWith = (prefix: string) =>
  Object.keys(store)
    .filter((key) => !key.indexOf(prefix))
    .sort();

/** What is known of the visitor, read anew at each call, so that tabs agree. */
export interface State {
  anonymousId?: string | undefined;
  /** What the collector has to be told of the anonymous id until it has answered. */
  news?: { fresh?: boolean; reset?: boolean } | undefined;
  /** Who was named by these calls. */
  identify?: Named;
  group?: Named;
  consent?: Consent | undefined;
  /** Switched off by the visitor. */
  off?: unknown;
}

export interface Named {
  id?: string | undefined;
  traits?: Bag | undefined;
}

/** What the visitor allowed, by purpose, and when; it goes with every event. */
export interface Consent {
  analytics?: boolean;
  ads?: boolean;
  at?: Date;
}

export const state = (): State => harmless(parse)(read("_px")) || {};

export const replace = (known: State) => write("_px", stringify(known));

export const save = (changes: State) => replace({ ...state(), ...changes });
