// Line charts: nothing is cut, nothing is written over the lines, keys look like their lines.

import { expect, test } from "vitest";
import { dashed } from "../../src/drawing/lines";
import { LinesChart } from "../../src/drawing/lines_chart";
import { HeatMapChart } from "../../src/drawing/heatmap_chart";

const line = { name: "a", y: Float32Array.from([0, 1]) };
const data = { xs: Float32Array.from([1, 2]), series: [line] };

test("a long title of y goes on two lines", () => {
  const chart = new LinesChart({ ...data, y: "prefix matching, best head", unit: "share of attention" });
  expect(chart.layout(420).titles).toEqual(["prefix matching, best head", "(share of attention)"]);
  expect(new LinesChart({ ...data, y: "loss", unit: "nats" }).layout(420).titles).toEqual(["loss (nats)"]);
});

test("names of level lines have room at the right", () => {
  const bare = new LinesChart(data).layout(420), named = new LinesChart({ ...data, guides: [{ y: 0.1, label: "uniform attention" }] }).layout(420);
  expect(named.width - named.x - named.w).toBeGreaterThan(bare.width - bare.x - bare.w + 40);
});

test("a key is dashed as its line is", () => {
  expect(dashed([])).not.toContain("transparent");
  expect(dashed([6, 3])).toContain("transparent 6px 9px");
  expect(dashed([2, 2])).toContain("transparent 2px 4px");
});

test("a key of categories goes below a map that is too wide for it", () => {
  const categories = ["none", "S-inhibition-like"], text = [Array(8).fill("ind")];
  const chart = new HeatMapChart({ values: Float32Array.from([1, 0, 1, 0, 1, 0, 1, 0]), rows: ["L0"], cols: [..."01234567"].map((k) => `H${k}`), categories, text });
  const narrow = chart.layout(440), wide = chart.layout(900);
  expect([narrow.keyBelow, wide.keyBelow]).toEqual([true, false]);
  expect(narrow.width).toBeLessThanOrEqual(440);
});
