import { namedCall, pageCall, text } from "./calls";
import { createDelivery } from "./delivery";
import { harmless } from "./harmless";
import { newId } from "./id";
import { type Bag, encode, plain } from "./json";
import { context, pageFacts } from "./page";
import * as visitor from "./visitor";

export interface Settings {
  writeKey: string;
  /** Where batches are posted. */
  endpoint: string;
}

export type Pixel = Record<string, (...args: unknown[]) => unknown>;

/** The calls of a page. None throws; all but `user` return what they were called on. */
export function createPixel({ writeKey, endpoint }: Settings): Pixel {
  const deliver = createDelivery(endpoint, writeKey);
  let debugging = false;

  const methods: Pixel = {
    page(...args) {
      const { category, name, properties } = pageCall(args);
      const { search, ...facts } = pageFacts();
      record("page", { name, category, properties: { ...facts, category, ...plain(properties) } });
    },
    identify(...args) {
      const { name, bag } = namedCall(args);
      const traits = plain(bag);
      visitor.identify(name, traits);
      record("identify", { traits });
    },
    track(...args) {
      const { name, bag } = namedCall(args);
      if (name) record("track", { event: name, properties: bag });
    },
    group(...args) {
      const { name, bag } = namedCall(args);
      if (name) record("group", { groupId: name, traits: bag });
    },
    alias(to, from) {
      const userId = text(to);
      const previousId = text(from) || visitor.userId() || visitor.anonymousId();
      if (userId) record("alias", { userId, previousId });
    },
    reset: visitor.reset,
    setAnonymousId(id) {
      visitor.setAnonymousId(text(id) || newId());
    },
    ready() {}, // its callback is called like that of any other call, below
    debug(on) {
      debugging = on !== false;
    },
    user() {
      return { id: visitor.userId, anonymousId: visitor.anonymousId, traits: visitor.traits };
    },
  };

  function record(type: string, fields: Bag): void {
    const event = {
      type,
      messageId: newId(),
      anonymousId: visitor.anonymousId(),
      userId: visitor.userId(),
      timestamp: new Date().toISOString(),
      context: context(),
      ...fields,
    };
    deliver(event.messageId, encode(event));
    if (debugging) console.log("[pixel]", event);
  }

  for (const name of Object.keys(methods)) {
    const method = harmless(methods[name]!);
    methods[name] = function (this: unknown, ...args) {
      // Some pages go on only in the callback, so it is called whatever becomes of the event.
      const callback = args.find((arg) => typeof arg === "function");
      if (callback) setTimeout(callback as () => void);
      return method(...args) || this;
    };
  }
  return methods;
}
