/** Milliseconds of the last id and, below them, the number of the ids in that millisecond. */
let last = 0;

/**
 * A UUIDv7 (RFC 9562) whose text order is the order of the calls: the 12 bits after the time
 * count the ids of one millisecond, and a clock that is set back does not take the ids with it.
 */
export function newId(): string {
  last = Math.max(last + 1, Date.now() * 1024);
  const [a, b] = crypto.getRandomValues(new Uint32Array(2));
  const time = hex(Math.floor(last / 1024), 12);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(last % 1024, 3)}-8${hex(a!, 3)}-${hex(a! >>> 16, 4)}${hex(b!, 8)}`;
}

const hex = (value: number, digits: number) => (value + 2 ** 52).toString(16).slice(-digits);
