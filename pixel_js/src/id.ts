let lastMs = 0;
let counter = 0;

/**
 * A UUIDv7 (RFC 9562) whose text order is the order of the calls: the 12 bits after the time
 * count the ids of one millisecond, and a clock that is set back does not take the ids with it.
 */
export function newId(): string {
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    counter = 0;
  } else if (++counter > 0xfff) {
    lastMs++;
    counter = 0;
  }
  const time = hex(lastMs, 12);
  const random = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => hex(byte, 2)).join("");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(counter, 3)}-8${random.slice(1, 4)}-${random.slice(4)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
