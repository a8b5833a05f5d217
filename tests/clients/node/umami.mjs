// @umami/node, as it is.
import { Umami } from "@umami/node";
import { given, say } from "./run.mjs";

const umami = new Umami({ websiteId: given.website, hostUrl: given.url, userAgent: "Agent/1" });
const found = [];
for (const [name, ...args] of given.calls) {
  try {
    const answer = await umami[name](...args);
    found.push({ status: answer.status, body: await answer.json() });
  } catch (error) {
    found.push({ error: error.message });
  }
}
say(found);
