/**
 * The inline loader. The three placeholders stand where a JavaScript expression stands. The
 * collector's `snippet` command puts JSON string literals there, in one pass over all three: ASCII
 * only (the default of Python's json.dumps), and `<` written as \u003c, so that no value can end
 * the script element.
 */
import { stubbedQueue } from "./stubs";

declare var __GLOBAL__: string;
declare var __SRC__: string;
declare var __KEY__: string;

(function (name: string, src: string, key: string) {
  var queue = stubbedQueue(name);
  if (queue.invoked) return;
  queue.invoked = true;
  var script = document.createElement("script");
  script.async = true;
  script.src = src;
  script.setAttribute("data-key", key);
  script.setAttribute("data-global", name);
  (document.head || document.documentElement).appendChild(script);
})(__GLOBAL__, __SRC__, __KEY__);
