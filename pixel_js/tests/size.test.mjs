// @vitest-environment node
import { expect, test } from "vitest";
import { budgets, build, sizes } from "../build.mjs";

const built = Object.fromEntries((await build()).map(({ name, bytes }) => [name, bytes]));

test.each(Object.entries(budgets))("%s stays within its budget", (name, budget) => {
  const size = sizes(built[name]);
  for (const [kind, bytes] of Object.entries(budget)) expect(size[kind], kind).toBeLessThanOrEqual(bytes);
});

test("the snippet has each placeholder once", () => {
  expect(built["snippet.js"].toString().match(/__[A-Z]+__/g)).toEqual(["__GLOBAL__", "__SRC__", "__DATA__"]);
});
