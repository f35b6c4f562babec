import preact from "@preact/preset-vite";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// The pages are served by hongyan itself, from `hongyan/pages` of the wheel.
export default defineConfig({
  plugins: [preact()],
  base: "/",
  resolve: {
    alias: [
      { find: /^@hongyan\/sdk$/, replacement: here("../sdk/ts/src/index.ts") },
      { find: /^@hongyan\/sdk\/(.+)$/, replacement: here("../sdk/ts/src/$1.ts") },
    ],
  },
  build: {
    outDir: here("../src/hongyan/pages"),
    emptyOutDir: true,
    assetsInlineLimit: 0, // the content security policy allows no data: scripts or styles
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: {
        app: here("index.html"),
        console: here("console/index.html"),
        docs: here("docs/index.html"),
      },
    },
  },
  server: { proxy: { "/v1": { target: "http://127.0.0.1:8000", ws: true }, "/files": "http://127.0.0.1:8000" } },
});
