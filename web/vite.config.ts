import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// The workbench's pages, built into the package: users need no Node.
export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "../src/residuum/apps/workbench/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8642" } },
});
