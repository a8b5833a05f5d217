import { harmless } from "./harmless";
import { type Extra, start } from "./pixel";

function load({ src, dataset }: HTMLScriptElement): void {
  const name = dataset.global || "pixel";
  // An element with id="pixel" is window.pixel too: only an array is a queue.
  const queue = (window as any)[name]?.push ? (window as any)[name] : ((window as any)[name] = []);
  if (queue.invoked > 1) return;
  queue.invoked = 2;

  // A module beside this script: fetched at its first use, once, under the nonce of this script. Its
  // calls wait for one promise, since several imports of one file need not end in their order.
  let module: Promise<any> | 0;
  const extra: Extra = (...call) => (module ||= import(new URL("c2.js", src) as any)).then((module) => module.run(...call)).catch(() => (module = 0));

  start(queue, { endpoint: new URL("c", src), ...dataset } as any, extra);
}

harmless(load)(document.currentScript as HTMLScriptElement);
