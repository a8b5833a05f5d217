// @snowplow/browser-tracker and its ecommerce plugin, as they are, for a page to call.
import * as ecommerce from "@snowplow/browser-plugin-snowplow-ecommerce";
import * as tracker from "@snowplow/browser-tracker";

const told = { delivered: [], failures: [] };
const ids = (events) => events.map((event) => event.eid);

/** Starts the tracker of a page; what its callbacks are told is gathered. */
function start(url, settings) {
  tracker.newTracker("sp", url, {
    appId: "shop",
    plugins: [ecommerce.SnowplowEcommercePlugin()],
    onRequestSuccess: (events) => told.delivered.push(...ids(events)),
    onRequestFailure: ({ events, message, status, willRetry }) =>
      told.failures.push({ ids: ids(events), message, status, willRetry }),
    ...settings,
  });
}

/** Until `count` events are delivered or given up: it tries again with the next flush, which on
 * a page the next event brings. */
async function settled(count) {
  const settledIds = () =>
    told.failures.filter((f) => !f.willRetry).flatMap((f) => f.ids).length + told.delivered.length;
  while (settledIds() < count) {
    tracker.flushBuffer();
    await new Promise((done) => setTimeout(done, 100));
  }
  return told;
}

window.sp = { ...ecommerce, ...tracker, start, settled, told };
