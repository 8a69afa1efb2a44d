import { describe, expect, it } from "vitest";
import { MatrixChart, type MatrixData } from "../../src/drawing/matrix_chart";
import { strongest } from "../../src/drawing/pooling";
import { themed } from "../../src/drawing/theme";
import { Recorder } from "./recorder";

const names = (count: number) => Array.from({ length: count }, (_, i) => ` t${i}`);
const matrix = (rows: number, cols = rows, more: Partial<MatrixData> = {}) =>
  new MatrixChart({ values: Float32Array.from({ length: rows * cols }, (_, i) => i / (rows * cols)), rows: names(rows), cols: names(cols), ...more });

describe("matrix", () => {
  it("shows all at first, wherever it is", () => {
    for (const [rows, cols, width, height] of [[512, 512, 700, 700], [14, 14, 390, undefined], [3, 90, 800, 400], [1, 1, 200, 200]] as const) {
      const chart = matrix(rows, cols), plan = chart.layout(width, { height });
      expect(plan.sight.row).toBe(0);
      expect(plan.sight.col).toBe(0);
      expect(plan.box[2]).toBeCloseTo(cols * plan.sight.zoom);
      expect(plan.box[3]).toBeCloseTo(rows * plan.sight.zoom);
    }
  });
  it("finds the cell that is drawn, at every zoom", () => {
    const chart = matrix(60);
    for (const sight of [null, { row: 10, col: 20, zoom: 9 }, { row: 33.4, col: 0.2, zoom: 41 }]) {
      chart.sight = sight;
      const plan = chart.layout(600), [x, y, w, h] = plan.box;
      for (const part of [0.01, 0.3, 0.77, 0.99]) {
        const at = chart.probe(plan, x + part * w, y + part * h)!;
        const [cx, cy, side] = chart.cell(plan, at);
        expect(x + part * w).toBeGreaterThanOrEqual(cx - 1e-6);
        expect(x + part * w).toBeLessThanOrEqual(cx + side + 1e-6);
        expect(y + part * h).toBeLessThanOrEqual(cy + side + 1e-6);
      }
      expect(chart.probe(plan, x - 1, y)).toBeNull();
    }
  });
  it("never shows beyond its edges, nor zooms out past all", () => {
    const chart = matrix(100);
    chart.sight = { row: 500, col: -30, zoom: 20 };
    const { sight, box } = chart.layout(500);
    expect(sight.col).toBe(0);
    expect(sight.row).toBeCloseTo(100 - box[3] / 20);
    chart.sight = { row: 0, col: 0, zoom: 1e-3 };
    expect(chart.layout(500).sight.zoom).toBeCloseTo(box[2] / 100, 0);
  });
  it("takes halves and tells exact values with both tokens", () => {
    const chart = new MatrixChart({ values: Uint16Array.of(0x3c00, 0x3555, 0x7e00, 0), rows: [" a", "b"], cols: ["\n", " d"], x: "key", y: "query" });
    expect(chart.lines(1)).toEqual(["0.33325", "query: 0 ·a", "key: 1 ·d"]);
    expect(chart.lines(2)[0]).toBe("no value possible here");
  });
  it("copies only the part in sight", () => {
    const chart = matrix(512), pen = new Recorder();
    chart.sight = { row: 100, col: 200, zoom: 10 };
    const plan = chart.layout(600);
    chart.draw(pen, plan, themed("light"));
    const { part, box } = pen.of("picture")[0];
    expect(part.map(Math.round)).toEqual([200, 100, Math.round(box[2] / 10), Math.round(box[3] / 10)]);
  });
  it("writes values where there is room, and only those in sight", () => {
    const chart = matrix(100), pen = new Recorder();
    chart.sight = { row: 0, col: 0, zoom: 40 };
    chart.draw(pen, chart.layout(500), themed("light"));
    const written = pen.of("text").filter(({ lettering }) => lettering.size === 10).length;
    expect(written).toBeGreaterThan(20);
    expect(written).toBeLessThan(200);
  });
});

describe("blocks", () => {
  it("keep the largest magnitude, and NaN only where all are", () => {
    expect(Array.from(strongest(Float32Array.of(1, -5, NaN, NaN, 2, 3, NaN, NaN, NaN), 3, 3, 2))).toEqual([-5, 3, NaN, NaN]);
    expect(Array.from(strongest(Float32Array.of(NaN, 0.5, 0.25, -0.75), 2, 2, 2))).toEqual([-0.75]);
  });
});
