/**
 * The way from a call to the collector.
 *
 * - The queue is the browser's storage, shared by the tabs of a site. An event is in it from its
 *   call until the collector has settled it; its message id was fixed at the call, so sending it
 *   again is harmless, and what a page leaves there is sent by the next one.
 * - One request at a time among all tabs, the oldest events first, by a lock of the browser. Nobody
 *   waits for the lock or for an answer for longer than half a minute.
 * - A leaving page hands what it has not sent to the browser as a beacon, which has no answer: the
 *   next page sends it again. A request in flight outlives its page.
 */
import { PATIENCE_MS, listen } from "./harmless";
import { stringify } from "./json";
import { keysWith, read, remove, state, write } from "./storage";
import { setAnonymousId } from "./visitor";

const GATHER_MS = 50;
/** Doubled with each failure: the first pause is half a second to a second. */
const RETRY_MS = 250;
const MAX_WAIT_MS = 300_000;
/** Half a megabyte or less in most pages; an origin may store five. */
const MAX_QUEUED = 500;
/** Browsers refuse keepalive bodies over 64 KB; a character takes up to three bytes. */
const MAX_CHUNK_CHARS = 20_000;

/**
 * Neither a request that is never answered nor a page that was put away with the lock (WebKit bug
 * 283528) holds up later events: what is sent twice for that is stored once.
 */
const patience = () => ({ signal: AbortSignal.timeout?.(PATIENCE_MS) });

/** Takes an event as JSON text. Ids grow with time: their order is the order of the calls. */
export type Deliver = (id: string, json: string) => void;
/** Hears what became of events: their keys, the answer's status, the answer. */
export type Tell = (name: "sent", args: [string[], number, unknown]) => void;

export function createDelivery(url: string | URL, writeKey: string, tell: Tell, later: (name: string, ...args: unknown[]) => void): Deliver {
  const prefix = "_px_q:" + writeKey + ":";
  /** Keys of the storage: what this page has not handed to the browser in any way. */
  const own = new Set<string>();
  /** Something will be sent, or is on its way. */
  let timer: any;
  let failures = 0;

  function deliver(id: string, json: string): void {
    write(prefix + id, json);
    own.add(prefix + id);
    // The oldest give way.
    keysWith(prefix).slice(0, -MAX_QUEUED).forEach(remove);
    if (!timer) sendIn(GATHER_MS);
  }

  function sendIn(ms: number): void {
    clearTimeout(timer);
    timer = setTimeout(() => navigator.locks?.request(prefix, patience(), send).catch(send) || send(), ms);
  }

  async function send(): Promise<unknown> {
    const chunk = take(keysWith(prefix));
    if (!chunk[0]) return (timer = 0);
    const { anonymousId } = state();
    let waitMs = (1 + Math.random()) * RETRY_MS * 2 ** failures++;
    try {
      // A body given as text goes as text/plain, which needs no preflight.
      const response = await fetch(url, { ...patience(), method: "POST", body: body(chunk), credentials: "include", keepalive: true });
      waitMs = (response.headers.get("Retry-After") as any) * 1000 || waitMs;
      // As the SDKs of analytics.js: what else is refused would be refused again.
      if (!/408|410|429|460|5../.test(response.status as any)) {
        chunk.forEach(remove);
        failures = waitMs = 0;
      }
      const answer = await response.json();
      // The collector has heard the news, and has perhaps answered who the visitor really is.
      if (!failures && anonymousId == state().anonymousId) setAnonymousId(answer.anonymousId || anonymousId);
      tell("sent", [chunk, response.status, answer]);
    } catch {
      // Not reached: as if it could not store. Where such requests never get through, images may.
      if (failures > 2) later("image", url, writeKey, chunk, read, remove);
    }
    sendIn(Math.min(waitMs, MAX_WAIT_MS));
    // Other tabs may see a little later what is no longer in the storage.
    return new Promise((done) => setTimeout(done, GATHER_MS));
  }

  function body(keys: string[]): string {
    const head = stringify({ writeKey, sentAt: new Date(), ...state().news });
    return `${head.slice(0, -1)},"batch":[${keys.map((key) => (own.delete(key), read(key)))}]}`;
  }

  /** As many as one request carries, at least one. */
  function take(keys: string[]): string[] {
    let chars = 0;
    return keys.filter((key, i) => (chars += read(key).length) < MAX_CHUNK_CHARS || !i);
  }

  /** The page may end here. Leaving pages share 64 KB: what finds no room stays for the next one. */
  function handOver(): void {
    const chunk = take([...own].filter(read));
    if (chunk[0] && navigator.sendBeacon(url, body(chunk))) handOver();
  }

  listen("online", sendIn); // an event is no number of milliseconds: at once
  // After pagehide comes visibilitychange: calls that the page makes in its own pagehide go too.
  listen("pagehide visibilitychange", handOver);
  sendIn(GATHER_MS);
  return deliver;
}
