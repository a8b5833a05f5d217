import { PATIENCE_MS, harmless } from "../harmless";
import type { Pixel } from "../pixel";

/** Collectors and what stands before them take addresses of 8 KB. */
const MAX_ADDRESS_CHARS = 7_000;

let busy = false;

/**
 * The last resort, where a page's policy or a blocker lets no request of the other kinds through:
 * one event at a time in the address of an image, as Segment's pixel API takes it. An image that
 * loads is an event that is settled; with the first that does not, the others wait.
 */
export async function image(
  _: Pixel,
  endpoint: string,
  writeKey: string,
  keys: string[],
  read: (key: string) => string | undefined,
  remove: (key: string) => void,
): Promise<void> {
  if (busy) return;
  busy = true;
  await harmless(async () => {
    for (const key of keys) {
      const event = JSON.parse(read(key) || "null");
      const address = event && addressOf(event, endpoint, writeKey);
      if (!address || address.length > MAX_ADDRESS_CHARS) continue;
      if (!(await loads(address))) break;
      remove(key);
    }
  })()?.catch(() => {});
  busy = false;
}

function addressOf(event: any, endpoint: string, writeKey: string): string {
  const bytes = new TextEncoder().encode(JSON.stringify({ ...event, writeKey, sentAt: new Date() }));
  const data = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return `${new URL(`v1/pixel/${event.type}`, endpoint)}?data=${encodeURIComponent(data)}`;
}

function loads(address: string): Promise<boolean> {
  return new Promise((done) => {
    setTimeout(done, PATIENCE_MS, false);
    const image = new Image();
    image.onload = () => done(true);
    image.onerror = () => done(false);
    image.src = address;
  });
}
