/** The second file: what few pages use. A module, since the first one imports it when it is used. */
import { arrive } from "./extras/arrive";
import { trackForm, trackLink } from "./extras/links";
import { mend } from "./extras/mend";
import { moved } from "./extras/moved";
import { alias, group } from "./extras/names";
import { debug, off, on, once, tell } from "./extras/watch";
import { harmless } from "./harmless";
import type { Pixel } from "./pixel";

const table: Record<string, (pixel: Pixel, ...args: any[]) => void> = {
  alias, arrive, debug, group, mend, moved, off, on, once, tell, trackForm, trackLink,
};

const named = (name: string) => name === "alias" || name === "group";

/** Records with the id of the call, and its time, which stands in it: this file may have come later. */
const stamped = (pixel: Pixel, messageId: string) => (type: string, fields: object) => {
  const timestamp = new Date(parseInt(messageId.replace("-", "").slice(0, 12), 16));
  return pixel._!(type, { messageId, timestamp, ...fields });
};

export function run(pixel: Pixel, name: string, args: unknown[], id: string): void {
  harmless(table[name]!)(named(name) ? { ...pixel, _: stamped(pixel, id) } : pixel, ...args);
}
