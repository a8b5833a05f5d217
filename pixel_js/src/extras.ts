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

export function run(pixel: Pixel, name: string, args: unknown[]): void {
  harmless(table[name]!)(pixel, ...args);
}
