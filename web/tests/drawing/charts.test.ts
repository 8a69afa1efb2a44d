import { describe, expect, it } from "vitest";
import { BarsChart } from "../../src/drawing/bars";
import { exportCsv, exportJson, exportSvg, fileName } from "../../src/drawing/export";
import { LinesChart, runs, type LinesData } from "../../src/drawing/lines_chart";
import { themed } from "../../src/drawing/theme";
import { Recorder } from "./recorder";

const data: LinesData = {
  xs: Float32Array.of(0, 1, 2, 3), x: "layer", unit: "logits", labels: ["embed", "L0", "L1", "L2"], guides: [{ y: 0, label: "none" }],
  series: [
    { name: "one", y: Float32Array.of(1, NaN, 3, 4), lo: Float32Array.of(0, NaN, 2, 3), hi: Float32Array.of(2, NaN, 4, 5) },
    { name: "two", y: Float32Array.of(0, 1, 2, 3) },
  ],
};

describe("lines", () => {
  it("break where there is no value", () => expect(runs(data.series[0].y)).toEqual([[0], [2, 3]]));
  it("find the nearest x and tell all series", () => {
    const chart = new LinesChart(data), plan = chart.layout(600);
    for (let at = 0; at < 4; at++) {
      const [x, y] = chart.where(plan, at);
      expect(chart.probe(plan, x + 3, y)).toBe(at);
    }
    expect(chart.lines(2)).toEqual(["layer: L1", "one: 3 logits [2, 4]", "two: 2 logits"]);
    expect(chart.lines(1)[1]).toBe("one: no value");
    expect(chart.move(null, "End")).toBe(3);
  });
  it("hidden series leave the picture, the tip and the range", () => {
    const chart = new LinesChart(data), before = chart.layout(600).high;
    chart.hidden.add(0);
    expect(chart.layout(600).high).toBeLessThan(before);
    expect(chart.lines(2)).toHaveLength(2);
  });
  it("keep ends and bands in files", () => {
    expect(exportCsv(new LinesChart(data)).split("\r\n").slice(0, 3)).toEqual(["layer,one,one low,one high,two", "embed,1,0,2,0", "L0,,,,1"]);
    expect(JSON.parse(exportJson(new LinesChart(data))).series[0].y).toEqual([1, null, 3, 4]);
  });
  it("logarithmic axes place by ratio", () => {
    const chart = new LinesChart({ xs: Float32Array.of(1, 10, 100), xScale: "log", yScale: "log", series: [{ name: "a", y: Float32Array.of(1, 0, 100) }] });
    const plan = chart.layout(600), x = [0, 1, 2].map((at) => chart.where(plan, at)[0]);
    expect(x[1] - x[0]).toBeCloseTo(x[2] - x[1]);
  });
});

describe("bars", () => {
  const chart = new BarsChart({ names: ["a", "<b>", "c"], values: Float32Array.of(2, -1, NaN), lo: Float32Array.of(1, -2, NaN), hi: Float32Array.of(3, 0, NaN), unit: "logits" });
  it("stand on zero, to the side of their sign", () => {
    const pen = new Recorder(), plan = chart.layout(600);
    chart.draw(pen, plan, themed("light"));
    const [a, b] = pen.of("rect").map(({ box }) => box);
    expect(pen.of("rect")).toHaveLength(2);
    expect(a[0]).toBeCloseTo(b[0] + b[2]);
    expect(a[2]).toBeCloseTo(2 * b[2]);
  });
  it("find, move and tell", () => {
    const plan = chart.layout(600);
    for (let at = 0; at < 3; at++) expect(chart.probe(plan, ...chart.where(plan, at))).toBe(at);
    expect(chart.move(0, "ArrowDown")).toBe(1);
    expect([chart.lines(0), chart.lines(2)]).toEqual([["a", "2 logits", "interval [1, 3]"], ["c", "no value"]]);
  });
  it("escape their names in SVG", () => expect(exportSvg(chart)).toContain("&lt;b&gt;"));
});

it("names files after titles", () => {
  expect(fileName("Every head: L0–L3!", ".svg")).toBe("every-head-l0-l3.svg");
  expect(fileName("שלום", ".csv")).toBe("figure.csv");
});
