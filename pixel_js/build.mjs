// node build.mjs [FOLDER]: builds the scripts, and the dashboard, into FOLDER (the Python package by default).
// The output depends on the sources and on the locked esbuild alone; a test compares the bytes.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { buildSync } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));

const outputs = {
  "c.js": { entry: "src/main.ts", target: "es2018" },
  // Goes before c.js where Segment's snippet loads it.
  "segment.js": { entry: "src/segment.ts", target: "es2018" },
  // ES5: where the script itself cannot run, the page's calls must still find their stubs.
  "snippet.js": { entry: "src/snippet.ts", target: "es5" },
  "dashboard.js": { entry: "dashboard/main.ts", target: "es2020" },
  "dashboard.css": { entry: "dashboard/dashboard.css", target: "es2020" },
};

export function build() {
  return Object.entries(outputs).map(([name, { entry, target }]) => {
    const { outputFiles } = buildSync({
      absWorkingDir: here,
      entryPoints: [entry],
      bundle: true,
      minify: true,
      write: false,
      format: "iife",
      target,
      charset: "ascii",
      legalComments: "none",
      define: { __VERSION__: JSON.stringify(version) },
      tsconfigRaw: { compilerOptions: { strict: false } },
    });
    return { name, bytes: Buffer.from(outputFiles[0].contents) };
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = resolve(process.argv[2] ?? join(here, "../collector/static"));
  mkdirSync(folder, { recursive: true });
  for (const { name, bytes } of build()) {
    writeFileSync(join(folder, name), bytes);
    const gzip = gzipSync(bytes, { level: 9 }).length;
    console.log(`${name}: ${bytes.length} bytes, ${gzip} gzip, ${brotliCompressSync(bytes).length} brotli`);
  }
}
