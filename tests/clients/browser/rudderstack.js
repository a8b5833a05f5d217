import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";

// Loads the client and resolves with it; it has no error callback but its log.
window.load = ({ key, url, ...options }) => {
  window.failures = [];
  const log = console.error;
  console.error = (...words) => {
    failures.push(words.join(" "));
    log(...words);
  };
  return new Promise((done) => {
    const analytics = new RudderAnalytics();
    analytics.load(key, url, { configUrl: url, onLoaded: () => done(analytics), ...options });
  });
};
