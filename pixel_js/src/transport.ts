import { harmless } from "./harmless";

const TIMEOUT_MS = 20_000;
const MAX_RETRY_AFTER_MS = 300_000;

/**
 * Resolves to undefined once the body is settled: stored, or refused for good. Otherwise to the
 * milliseconds the collector asks to wait before it is sent again, 0 when it does not say.
 * A body given as text goes as text/plain, which needs no preflight.
 */
export async function post(url: string, body: string): Promise<number | undefined> {
  const request = new AbortController();
  const deadline = setTimeout(() => request.abort(), TIMEOUT_MS);
  try {
    const { signal } = request;
    const { status, headers } = await fetch(url, { method: "POST", body, keepalive: true, signal });
    if (status < 500 && status !== 408 && status !== 429) return undefined;
    return Math.min(Number(headers.get("Retry-After")) * 1000 || 0, MAX_RETRY_AFTER_MS);
  } catch {
    return 0;
  } finally {
    clearTimeout(deadline);
  }
}

/** Falsy when the browser does not take it: leaving pages share 64 KB. */
export const beacon = harmless((url: string, body: string) =>
  navigator.sendBeacon ? navigator.sendBeacon(url, body) : !!post(url, body),
);
