import { readFileSync } from "node:fs";
import type { Plugin } from "vite";
import { defineConfig } from "vite";
import { STOPS, type Scale } from "./src/drawing/palette";

const HERE = new URL("./src/drawing/", import.meta.url);

/** The palettes as gradients that follow the theme. */
function ramps(): string {
  const one = (scale: Scale) => {
    const stops = STOPS[scale].light.map((light, k) => `light-dark(${light}, ${STOPS[scale].dark[k]})`);
    return `  --rz-${scale}: linear-gradient(90deg, ${stops.join(", ")});\n`;
  };
  return `:root {\n${(Object.keys(STOPS) as Scale[]).map(one).join("")}}\n`;
}

/** figures.css: the drawings' styles, then those of report pages. */
function styles(): Plugin {
  const read = (name: string) => readFileSync(new URL(name, HERE), "utf-8");
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
    rolldownOptions: { output: { banner: "/*! Built from web/src/drawing by make pages. */" } },
    lib: { entry: "src/drawing/report/start.ts", formats: ["iife"], name: "residuumDrawing", fileName: () => "figures.js" },
  },
});
