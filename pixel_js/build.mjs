// node build.mjs [FOLDER]: builds the scripts, and the dashboard, into FOLDER (the Python package by
// default). node build.mjs --module FOLDER: builds what the npm package holds.
// The output depends on the sources and on the locked tools alone; a test compares the bytes.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { minify } from "terser";
import uglify from "uglify-js";

const here = fileURLToPath(new URL(".", import.meta.url));
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));

/** Bytes at most, by compression: what a page pays. */
export const budgets = {
  "c.js": { gzip: 3000, brotli: 2700 },
  "c2.js": { gzip: 2500 },
  "snippet.js": { gzip: 600 },
};

const outputs = {
  "c.js": { entry: "src/main.ts", format: "iife", target: "es2021" },
  "c2.js": { entry: "src/extras.ts", format: "esm", target: "es2021" },
  // Goes before c.js where Segment's snippet loads it.
  "segment.js": { entry: "src/segment.ts", format: "iife", target: "es2021" },
  // ES5: where the script itself cannot run, the page's calls must still find their stubs.
  "snippet.js": { entry: "src/snippet.ts", format: "iife", target: "es5" },
};

/** Seen by operators only: its size matters less than the seconds that terser takes. */
const dashboard = {
  "dashboard.js": { entry: "dashboard/main.ts", format: "iife", target: "es2020", minify: true },
  "dashboard.css": { entry: "dashboard/dashboard.css", format: "iife", target: "es2020", minify: true },
};

function bundle({ entry, format, target, minify = false }) {
  const { outputFiles } = buildSync({
    absWorkingDir: here,
    entryPoints: [entry],
    bundle: true,
    minify,
    write: false,
    format,
    target,
    charset: "ascii",
    legalComments: "none",
    define: { __VERSION__: JSON.stringify(version) },
    tsconfigRaw: { compilerOptions: { strict: false } },
  });
  return outputFiles[0].text;
}

/**
 * Terser makes the scripts a twentieth smaller than esbuild does, and the names that UglifyJS gives
 * are another hundredth; so is `let` for `const`, which compresses better for being shorter.
 */
async function small(text, { format, target }) {
  const ecma = target === "es5" ? 5 : 2021;
  const modern = { unsafe_arrows: true, unsafe_methods: true };
  const { code } = await minify(text.replace(/\bconst /g, "let "), {
    ecma,
    module: format === "esm",
    compress: { passes: 2, ecma, pure_getters: true, hoist_funs: true, reduce_funcs: false, unsafe: true, ...(ecma > 5 && modern) },
    format: { ascii_only: true, quote_style: 3 },
  });
  if (format === "esm" || ecma === 5) return Buffer.from(code);
  const compress = { passes: 2, unsafe: true, pure_getters: true, reduce_vars: false };
  const named = uglify.minify(code, { compress, output: { ascii_only: true } });
  if (named.error) throw named.error;
  return Buffer.from(named.code);
}

export async function build() {
  const built = [];
  for (const [name, output] of Object.entries(outputs)) built.push({ name, bytes: await small(bundle(output), output) });
  for (const [name, output] of Object.entries(dashboard)) built.push({ name, bytes: Buffer.from(bundle(output)) });
  return built;
}

export const sizes = (bytes) => ({ gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes).length });

/** Others by their own builds of 2026, in kilobytes of gzip. */
const others = { "Plausible": 2.7, "Umami": 2.2, "Matomo": 21.9, "Snowplow": 17.4, "analytics-next": 30, "Jitsu": 39.4, "posthog-js": 122 };

/** docs/PIXEL.md with the sizes as they are. */
export function documented(text, built) {
  const rows = built
    .filter(({ name }) => budgets[name])
    .map(({ name, bytes }) => `| ${name} | ${sizes(bytes).gzip} | ${sizes(bytes).brotli} | ${budgets[name].gzip} |`);
  const table = ["| file | gzip | brotli | budget, gzip |", "|---|---|---|---|", ...rows];
  const beside = ["| beside it, gzip | KB |", "|---|---|", ...Object.entries(others).map(([name, size]) => `| ${name} | ${size} |`)];
  const parts = [...table, "", ...beside].join("\n");
  return text.replace(/(<!-- sizes: .*-->\n)[^]*(<!-- end of sizes -->)/, `$1${parts}\n$2`);
}

export const pageOfDocs = join(here, "../docs/PIXEL.md");

/** The package's own: the same core as a module, whose second file is a chunk of its own. */
function buildModule(folder) {
  buildSync({
    absWorkingDir: here,
    entryPoints: ["src/index.ts"],
    outdir: folder,
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    target: "es2021",
    define: { __VERSION__: JSON.stringify(version) },
  });
}

async function buildScripts(given) {
  const folder = resolve(given ?? join(here, "../collector/static"));
  mkdirSync(folder, { recursive: true });
  const built = await build();
  if (!given) writeFileSync(pageOfDocs, documented(readFileSync(pageOfDocs, "utf8"), built));
  for (const { name, bytes } of built) {
    writeFileSync(join(folder, name), bytes);
    const { gzip, brotli } = sizes(bytes);
    console.log(`${name}: ${bytes.length} bytes, ${gzip} gzip, ${brotli} brotli`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [first, folder] = process.argv.slice(2);
  if (first === "--module") buildModule(resolve(folder));
  else await buildScripts(first);
}
