// plausible-tracker and @plausible-analytics/tracker, as they are, for a page to call.
import * as modern from "@plausible-analytics/tracker";
import Plausible from "plausible-tracker";

const promised = (call) => new Promise((callback) => call({ callback }));

window.classic = {
  start(url, settings) {
    window.plausible = Plausible({ apiHost: url, trackLocalhost: true, ...settings });
  },
  track: (name, options) =>
    promised(({ callback }) => plausible.trackEvent(name, { ...options, callback })),
  page: (data, options) =>
    promised(({ callback }) => plausible.trackPageview(data, { ...options, callback })),
};

window.modern = {
  start: (url, settings) =>
    modern.init({ endpoint: `${url}/api/event`, captureOnLocalhost: true, ...settings }),
  track: (name, options) =>
    promised(({ callback }) => modern.track(name, { ...options, callback })),
};
