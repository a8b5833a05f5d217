// What the drivers of clients in Node share: input, and output as the last line.
import { text } from "node:stream/consumers";

export const given = JSON.parse(await text(process.stdin), (name, value) =>
  name === "timestamp" ? new Date(value) : value,
);

export function say(found) {
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit(0));
}
