// @vitest-environment node
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { build } from "../build.mjs";

const built = Object.fromEntries(build().map(({ name, bytes }) => [name, bytes]));

test.each([
  ["c.js", 3000],
  ["snippet.js", 600],
])("%s stays within %i bytes of gzip", (name, budget) => {
  expect(gzipSync(built[name], { level: 9 }).length).toBeLessThanOrEqual(budget);
});

test("the snippet has each placeholder once", () => {
  expect(built["snippet.js"].toString().match(/__[A-Z]+__/g)).toEqual(["__GLOBAL__", "__SRC__", "__KEY__"]);
});
