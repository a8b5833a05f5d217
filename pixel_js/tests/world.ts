import { afterEach, beforeEach, vi } from "vitest";

export interface Sent {
  writeKey: string;
  sentAt: string;
  batch: any[];
}

type Reply = { status: number; headers?: Record<string, string> } | "down";

/** A browser page with a collector behind it, whose answers a test decides. */
export const world = {
  posts: [] as Sent[],
  beacons: [] as Sent[],
  /** The answers to come; when they are used up, everything is stored. */
  replies: [] as Reply[],
  beaconTakes: (_body: string): boolean => true,
  events: (): any[] => world.posts.flatMap(({ batch }) => batch),
};

const listening: [EventTarget, string, EventListener][] = [];

async function fakeFetch(_url: string, request: RequestInit): Promise<Response> {
  world.posts.push(JSON.parse(request.body as string));
  const reply = world.replies.shift() ?? { status: 200 };
  if (reply === "down") throw new TypeError("Failed to fetch");
  return new Response("{}", { status: reply.status, headers: reply.headers ?? {} });
}

function fakeBeacon(_url: string, body: string): boolean {
  const taken = world.beaconTakes(body);
  if (taken) world.beacons.push(JSON.parse(body));
  return taken;
}

/** Each test loads the modules anew, as a page does; the listeners of the one before must go. */
function remember(target: EventTarget): void {
  const add = target.addEventListener.bind(target);
  vi.spyOn(target, "addEventListener").mockImplementation((type: string, listener: any) => {
    listening.push([target, type, listener]);
    add(type, listener);
  });
}

export function usePage(): void {
  beforeEach(() => {
    vi.resetModules();
    vi.useFakeTimers({ now: Date.UTC(2026, 0, 2) });
    Object.assign(world, { posts: [], beacons: [], replies: [], beaconTakes: () => true });
    localStorage.clear();
    document.cookie = "_px_aid=; Path=/; Max-Age=0";
    document.title = "A page";
    vi.stubGlobal("fetch", fakeFetch);
    Object.defineProperty(navigator, "sendBeacon", { value: fakeBeacon, configurable: true });
    remember(window);
    remember(document);
  });
  afterEach(() => {
    for (const [target, type, listener] of listening.splice(0)) target.removeEventListener(type, listener);
    vi.useRealTimers();
  });
}

/** As after a click that leads elsewhere. */
export function leave(): void {
  dispatchEvent(new Event("pagehide"));
}

export const delivered = () => vi.advanceTimersByTimeAsync(200);

export async function newPixel(writeKey = "wk_1", settings: object = {}) {
  const { start } = await import("../src/pixel");
  const { run } = await import("../src/extras");
  const pixel: any = [];
  const all = { key: writeKey, endpoint: "https://collect.example/c", auto: "false", ...settings };
  start(pixel, all, async (...call) => run(...call));
  return pixel as Record<string, (...args: unknown[]) => any>;
}
