// @rudderstack/rudder-sdk-node, as it is.
import Analytics from "@rudderstack/rudder-sdk-node";
import { given, say } from "./run.mjs";

const found = { delivered: [], failures: [] };
const analytics = new Analytics(given.key, {
  dataPlaneUrl: given.url,
  flushAt: given.flushAt,
  flushInterval: 100,
  retryCount: 10,
  logLevel: "silly",
  errorHandler: (error) => found.failures.push(error.response?.data ?? error.message),
});
const answered = given.calls.map(
  ({ type, ...call }) =>
    new Promise((done) =>
      analytics[type](call, (error) => {
        if (!error) found.delivered.push(call.messageId);
        done();
      }),
    ),
);
await Promise.all(answered);
say(found);
