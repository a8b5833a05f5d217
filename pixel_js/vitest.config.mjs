import { defineConfig } from "vitest/config";

export default defineConfig({
  define: { __VERSION__: '"test"' },
  test: {
    environment: "happy-dom",
    environmentOptions: {
      happyDOM: {
        url: "https://shop.example/",
        settings: { disableJavaScriptFileLoading: true, handleDisabledFileLoadingAsSuccess: true },
      },
    },
    include: ["tests/*.test.{ts,mjs}"],
    // A busy machine takes long over values of a megabyte.
    testTimeout: 60_000,
    restoreMocks: true,
    unstubGlobals: true,
  },
});
