import { readFileSync } from "node:fs";
import type { Plugin } from "vite";
import { defineConfig } from "vite";

const HERE = new URL("./src/drawing/", import.meta.url);

const read = (name: string) => readFileSync(new URL(name, HERE), "utf-8");

/** The palettes as gradients that follow the theme. */
function ramps(): string {
  const { stops } = JSON.parse(read("palette.json")) as { stops: Record<string, { light: string[]; dark: string[] }> };
  const lines = Object.entries(stops).map(([scale, { light, dark }]) => {
    const both = light.map((colour, k) => `light-dark(${colour}, ${dark[k]})`);
    return `  --rz-${scale}: linear-gradient(90deg, ${both.join(", ")});\n`;
  });
  return `:root {\n${lines.join("")}}\n`;
}

/** figures.css: the drawings' styles, then those of report pages. */
function styles(): Plugin {
  return {
    name: "figures-css",
    generateBundle() {
      const source = "/* Built from web/src/drawing by make pages. */\n" + ramps() + read("drawing.css") + read("report/report.css");
      this.emitFile({ type: "asset", fileName: "figures.css", source });
    },
  };
}

// The script and the styles of HTML reports and notebooks, read by residuum/figures/markup.py.
export default defineConfig({
  plugins: [styles()],
  publicDir: false,
  build: {
    outDir: "../src/residuum/figures/static",
    emptyOutDir: false,
    target: "es2022",
    rolldownOptions: { output: { postBanner: "/*! Built from web/src/drawing by make pages. */" } },
    lib: { entry: "src/drawing/report/start.ts", formats: ["iife"], name: "residuumDrawing", fileName: () => "figures.js" },
  },
});
