"use strict";
// The snippet in long: a queue that takes calls at once, and the script that answers them.
{
  const asked = new URLSearchParams(location.search);
  const queue = (window.pixel = window.pixel || []);
  for (const method of ["page", "identify", "track", "group", "alias", "reset", "consent", "debug", "on", "trackLink"])
    queue[method] = (...args) => (queue.push([method, ...args]), queue);
  const script = document.createElement("script");
  script.async = true;
  script.src = `${asked.get("collector") || "http://127.0.0.1:8080"}/c.js`;
  script.dataset.key = asked.get("key") || "";
  document.head.append(script);
}
