/** Milliseconds of the last id, and below them, 12 bits for the ids of that millisecond. */
let last = 0;

/**
 * A UUIDv7 (RFC 9562) whose text order is the order of the calls: a clock that is set back does not
 * take the ids with it. Steps of two, since beyond 2^53, from 2039 on, there are no others.
 */
export function newId(): string {
  last = Math.max(last + 2, Date.now() * 4096);
  return (0 + last.toString(16) + ((1 + Math.random()) * 2 ** 56).toString(16)).replace(/(.{8})(.{4})(...)(...)/, "$1-$2-7$3-8$4-");
}
