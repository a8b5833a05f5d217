/**
 * The inline loader. The placeholders stand where a JavaScript expression stands: the name of the
 * global, the script's address, and an object of the script's data attributes. The collector's
 * `snippet` command puts JSON there, in one pass over all three: ASCII only (the default of
 * Python's json.dumps), and `<` written as \u003c, so that no value can end the script element.
 */
import { stubbedQueue } from "./stubs";

declare var __GLOBAL__: string;
declare var __SRC__: string;
declare var __DATA__: { [attribute: string]: string };

(function (name: string, src: string, data: { [attribute: string]: string }) {
  var queue = stubbedQueue(name);
  if (queue.invoked) return;
  queue.invoked = true;
  var script = document.createElement("script");
  script.async = true;
  script.src = src;
  // Where the page's policy goes by nonces, what this script loads needs the same one.
  script.nonce = (document.currentScript || script).nonce;
  for (var attribute in data) script.setAttribute("data-" + attribute, data[attribute]!);
  (document.head || document.documentElement).appendChild(script);
})(__GLOBAL__, __SRC__, __DATA__);
