import { AnalyticsBrowser } from "@segment/analytics-next";

// Loads the client and resolves with it; what its error callback says is in `window.failures`.
window.load = async ({ key, url, deliveryStrategy }) => {
  window.failures = [];
  const destination = { apiHost: url.replace("http://", "") + "/v1", deliveryStrategy };
  const analytics = AnalyticsBrowser.load(
    { writeKey: key, cdnURL: url },
    { integrations: { "Segment.io": destination } },
  );
  analytics.on("error", ({ code, reason }) => failures.push(`${code}: ${reason.message}`));
  return (await analytics)[0];
};
