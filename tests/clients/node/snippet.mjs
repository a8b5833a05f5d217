// Segment's own renderer of its snippet, as it is.
import { min } from "@segment/snippet";
import { given, say } from "./run.mjs";

say(min({ apiKey: given.key, page: true }));
