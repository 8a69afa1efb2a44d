/// <reference types="vitest/config" />
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vite";

// `npm run dev -- --mode fake` answers /api from tests/fake/server.ts, for working without a model.
function fakeServer(): Plugin {
  return {
    name: "fake-server",
    async configureServer(vite) {
      const { FakeServer } = await vite.ssrLoadModule("/tests/fake/server.ts");
      const fake = new FakeServer();
      vite.middlewares.use("/api", async (request, response) => {
        let body = "";
        for await (const part of request.setEncoding("utf8")) body += String(part);
        const answer: Response = await fake.fetch(`/api${request.url}`, { method: request.method, body: body || undefined });
        response.statusCode = answer.status;
        response.end(new Uint8Array(await answer.arrayBuffer()));
      });
    },
  };
}

/** Hand on /api to a running `residuum serve`, and `?token=` so that the cookie is set. */
function proxied(target: string) {
  const own = { target, changeOrigin: true, headers: { Origin: target } };
  return { "/api": own, "^/\\?token=": own };
}

// The workbench's pages, built into the package: users need no Node.
export default defineConfig(({ mode }) => ({
  base: "./",
  plugins: [svelte(), ...(mode === "fake" ? [fakeServer()] : [])],
  resolve: mode === "test" ? { conditions: ["browser"] } : undefined,
  build: {
    outDir: "../src/residuum/apps/workbench/static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  // Open the development server with the token once: http://localhost:5173/?token=... works through it.
  server: { proxy: mode === "fake" ? undefined : proxied(process.env.RESIDUUM ?? "http://127.0.0.1:8642") },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
}));
