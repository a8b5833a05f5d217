/** The second file: what few pages use. A module, since the first one imports it when it is used. */
import { arrive } from "./extras/arrive";
import { image } from "./extras/image";
import { trackForm, trackLink } from "./extras/links";
import { mend } from "./extras/mend";
import { debug, off, on, once, tell } from "./extras/watch";
import { harmless } from "./harmless";
import type { Pixel } from "./pixel";

const table: Record<string, (pixel: Pixel, ...args: any[]) => unknown> = {
  arrive, debug, image, mend, off, on, once, tell, trackForm, trackLink,
};

export const run = (pixel: Pixel, name: string, ...args: unknown[]) => harmless(table[name]!)(pixel, ...args);
