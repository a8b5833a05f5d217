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
    restoreMocks: true,
    unstubGlobals: true,
  },
});
