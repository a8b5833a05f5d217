// @vitest-environment node
import { expect, test } from "vitest";
import { readFileSync } from "node:fs";
import { budgets, build, documented, pageOfDocs, sizes } from "../build.mjs";

const all = await build();
const built = Object.fromEntries(all.map(({ name, bytes }) => [name, bytes]));

test.each(Object.entries(budgets))("%s stays within its budget", (name, budget) => {
  const size = sizes(built[name]);
  for (const [kind, bytes] of Object.entries(budget)) expect(size[kind], kind).toBeLessThanOrEqual(bytes);
});

test("the table in docs/PIXEL.md says so", () => {
  const text = readFileSync(pageOfDocs, "utf8");
  expect(documented(text, all), "run: make pixel").toBe(text);
});

test("the snippet has each placeholder once", () => {
  expect(built["snippet.js"].toString().match(/__[A-Z]+__/g)).toEqual(["__GLOBAL__", "__SRC__", "__DATA__"]);
});
