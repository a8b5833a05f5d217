// @snowplow/node-tracker, as it is.
import * as snowplow from "@snowplow/node-tracker";
import { given, say } from "./run.mjs";

const found = { delivered: [], failures: [] };
const ids = (events) => events.map((event) => event.eid);
const tracker = snowplow.newTracker(
  { namespace: "sp", appId: given.appId, encodeBase64: given.encodeBase64 },
  {
    endpoint: given.url,
    eventMethod: given.method,
    bufferSize: given.bufferSize,
    serverAnonymization: given.anonymous,
    connectionTimeout: 30_000,
    onRequestSuccess: (events) => found.delivered.push(...ids(events)),
    onRequestFailure: ({ events, status, message, willRetry }) =>
      found.failures.push({ ids: ids(events), status, message, willRetry }),
  },
);
for (const [name, value] of Object.entries(given.who)) tracker[name](value);
let given_up = 0;
for (const [name, event] of given.calls) {
  const built = snowplow[name](event);
  // Consent events come with an entity of their own.
  tracker.track(built.event ?? built, [...(built.context ?? []), ...given.entities], given.when);
}
// The tracker tries again with the next flush, which in an application the next event brings.
while (found.delivered.length + given_up < given.calls.length) {
  await tracker.flush();
  await new Promise((done) => setTimeout(done, 50));
  const last = found.failures.filter((failure) => !failure.willRetry);
  given_up = last.flatMap((failure) => failure.ids).length;
}
await tracker.flush();
say(found);
