// Part of the inline snippet, so ES5: where the script cannot run, its stubs must.

/** The global until the script takes over: an array of calls, each `[method, ...arguments]`. */
export interface Queue extends Array<unknown> {
  /** The snippet has run. */
  invoked?: boolean;
  /** The script has run. */
  initialized?: boolean;
  [method: string]: any;
}

/** The queue under `name` in window, made and given its recording methods where they are missing. */
export function stubbedQueue(name: string): Queue {
  var globals = window as any;
  // An element with id="pixel" is window.pixel too: only an array is a queue.
  var queue: Queue = Array.isArray(globals[name]) ? globals[name] : (globals[name] = []);
  if (!queue.page)
    "page identify track group alias reset ready consent debug setAnonymousId on off once trackLink trackForm user"
      .split(" ")
      .forEach(function (method) {
        queue[method] = function () {
          queue.push([method].concat([].slice.call(arguments)));
          return queue;
        };
      });
  return queue;
}
