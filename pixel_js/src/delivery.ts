/**
 * The way from a call to the collector.
 *
 * - Each event is in the browser's storage from its call until the collector has settled it; what
 *   is left there is sent by the next page. Its message id was fixed at the call, so sending it
 *   again is harmless.
 * - One request at a time, the oldest events first: rows arrive in the order of the calls. What a
 *   leaving page hands over begins with the events in flight, for the same reason.
 */
import { byteLength } from "./json";
import { keysWith, read, remove, write } from "./storage";
import { beacon, post } from "./transport";

const GATHER_MS = 50;
/** Doubled with each failure: the first pause is half a second to a second. */
const RETRY_MS = 500;
const MAX_RETRY_MS = 120_000;
const MAX_QUEUED = 1_000;
/** Browsers refuse keepalive bodies over 64 KB; the envelope takes its part. */
const MAX_CHUNK_BYTES = 60_000;

interface Item {
  readonly id: string;
  readonly json: string;
  /** The browser took it as a beacon, which has no answer. */
  handedOver?: boolean;
}

/** Takes an event as JSON text. Ids grow with time: their order is the order of the calls. */
export type Deliver = (id: string, json: string) => void;

export function createDelivery(url: string, writeKey: string): Deliver {
  const prefix = `_px_q:${writeKey}:`;
  let queue = leftOver(prefix);
  let inFlight: Item[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let leaving = false;

  function deliver(id: string, json: string): void {
    queue.push({ id, json });
    write(prefix + id, json);
    if (queue.length > MAX_QUEUED) forget(queue.slice(0, -MAX_QUEUED));
    if (leaving) handOver();
    if (!timer && !inFlight.length) sendIn(GATHER_MS);
  }

  function sendIn(ms: number): void {
    clearTimeout(timer);
    timer = setTimeout(send, ms);
  }

  async function send(): Promise<void> {
    timer = undefined;
    if (inFlight.length || !queue.length) return;
    inFlight = firstChunk(queue);
    const waitMs = await post(url, body(inFlight));
    if (waitMs === undefined) forget(inFlight);
    failures = waitMs === undefined ? 0 : failures + 1;
    inFlight = [];
    if (queue.length) sendIn(waitMs || backoffMs(failures));
  }

  /** The page may end here. Where not all fits into a beacon, at least what is not on its way. */
  function handOver(): void {
    const fresh = queue.filter((item) => !item.handedOver);
    if (fresh.length && !beaconAll(queue)) beaconAll(fresh.filter((item) => !inFlight.includes(item)));
  }

  function beaconAll(items: Item[]): boolean {
    const chunk = firstChunk(items);
    if (!chunk.length) return true;
    if (!beacon(url, body(chunk))) return false;
    for (const item of chunk) item.handedOver = true;
    return beaconAll(items.slice(chunk.length));
  }

  function forget(items: Item[]): void {
    queue = queue.filter((item) => !items.includes(item));
    for (const { id } of items) remove(prefix + id);
  }

  function body(items: Item[]): string {
    const head = JSON.stringify({ writeKey, sentAt: new Date().toISOString() }).slice(0, -1);
    return `${head},"batch":[${items.map(({ json }) => json)}]}`;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) handOver();
  });
  addEventListener("pagehide", () => {
    leaving = true;
    handOver();
  });
  addEventListener("pageshow", () => {
    leaving = false;
  });
  addEventListener("online", () => sendIn(0));
  if (queue.length) sendIn(GATHER_MS);
  return deliver;
}

function leftOver(prefix: string): Item[] {
  const keys = (keysWith(prefix) || []).sort();
  return keys.map((key) => ({ id: key.slice(prefix.length), json: read(key) || "" })).filter(({ json }) => json);
}

function firstChunk(items: Item[]): Item[] {
  let bytes = 0;
  return items.filter(({ json }, i) => (bytes += byteLength(json) + 1) <= MAX_CHUNK_BYTES || !i);
}

function backoffMs(failures: number): number {
  return failures && Math.min(RETRY_MS * 2 ** failures, MAX_RETRY_MS) * (0.5 + Math.random() / 2);
}
