// @segment/analytics-node, as it is.
import { Analytics } from "@segment/analytics-node";
import { given, say } from "./run.mjs";

const analytics = new Analytics({ writeKey: given.key, host: given.url, flushAt: given.flushAt });
const found = { delivered: [], failures: [] };
analytics.on("error", ({ code, reason }) => found.failures.push(`${code}: ${reason.message}`));
for (const { type, ...call } of given.calls)
  analytics[type](call, (error, context) => error || found.delivered.push(context.event.messageId));
await analytics.closeAndFlush({ timeout: 60_000 });
say(found);
