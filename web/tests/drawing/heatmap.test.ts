import { describe, expect, it } from "vitest";
import { exportCsv, exportJson, exportSvg } from "../../src/drawing/export";
import { HeatMapChart, type HeatMapData } from "../../src/drawing/heatmap_chart";
import { hexOf, STOPS } from "../../src/drawing/palette";
import { themed } from "../../src/drawing/theme";
import { Recorder } from "./recorder";

const EVIL = '</script><b onload="x">\'&';
const data = (more: Partial<HeatMapData> = {}): HeatMapData => ({
  values: Float32Array.of(0.5, NaN, -2, 1, 0.25, 0), rows: ["L0", EVIL], cols: ["The", " cat", "a,b"], unit: "logits", x: "token", y: "layer", ...more,
});

function drawn(chart: HeatMapChart, width = 800) {
  const pen = new Recorder(), plan = chart.layout(width);
  chart.draw(pen, plan, themed("light"));
  return { pen, plan };
}

describe("heat map", () => {
  it("finds the cell it draws", () => {
    const chart = new HeatMapChart(data());
    for (const width of [120, 390, 800, 1600]) {
      const plan = chart.layout(width);
      for (let at = 0; at < 6; at++) expect(chart.probe(plan, ...chart.where(plan, at))).toBe(at);
      expect(chart.probe(plan, plan.x - 1, plan.y + 1)).toBeNull();
      expect(chart.probe(plan, plan.x + plan.w + 1, plan.y + 1)).toBeNull();
    }
  });
  it("moves by keys and stays inside", () => {
    const chart = new HeatMapChart(data());
    expect(["ArrowRight", "ArrowDown", "End", "Home", "PageDown", "ArrowUp"].map((key) => chart.move(1, key))).toEqual([2, 4, 2, 0, 4, 1]);
    expect(chart.move(null, "ArrowDown")).toBe(0);
    expect(chart.move(null, "End")).toBe(2);
    expect(chart.move(0, "x")).toBeUndefined();
  });
  it("tells the exact value, the row and the column", () => {
    const chart = new HeatMapChart(data({ note: (r, c) => [`${r} ${c}`] }));
    expect(chart.lines(2)).toEqual(["−2 logits", "layer: L0", "token: a,b", "0 2"]);
    expect(chart.lines(1)[0]).toBe("no value possible here");
    expect(new HeatMapChart(data({ impossible: "not computed yet" })).lines(1)[0]).toBe("not computed yet");
  });
  it("paints each cell with its colour", () => {
    const { picture } = drawn(new HeatMapChart(data())).pen.of("picture")[0];
    expect([picture.cols, picture.rows]).toEqual([3, 2]);
    expect(hexOf(picture.pixels[2])).toBe(STOPS.diverging.light[0]);
    expect(hexOf(picture.pixels[5])).toBe(STOPS.diverging.light[4]);
  });
  it("fills in: set cells get the colour that drawing anew would give", () => {
    const chart = new HeatMapChart(data({ low: -2, high: 2 }));
    chart.pixels("light");
    chart.pixels("dark");
    chart.set([[0, 1], [1, 2]], [1.5, NaN]);
    const anew = new HeatMapChart(data({ values: Float32Array.of(0.5, 1.5, -2, 1, 0.25, NaN), low: -2, high: 2 }));
    for (const theme of ["light", "dark"] as const) expect(chart.pixels(theme)).toEqual(anew.pixels(theme));
  });
  it("labels never overlap", () => {
    const many = (count: number) => Array.from({ length: count }, (_, i) => `name${i}`);
    for (const count of [3, 40, 300]) {
      const chart = new HeatMapChart({ values: new Float32Array(count * count), rows: many(count), cols: many(count) });
      const { pen } = drawn(chart, 700);
      const ends = pen.of("text").filter((mark) => mark.lettering.anchor === "end" && !mark.lettering.turn).map(({ at }) => at[1]);
      const gaps = ends.slice(1).map((y, i) => y - ends[i]);
      expect(Math.min(...gaps)).toBeGreaterThan(10);
      expect(pen.texts.some((text) => text.includes(`${count - 1}`))).toBe(true);
    }
  });
  it("fills a given height", () => {
    const chart = new HeatMapChart({ values: new Float32Array(200), rows: Array(20).fill("r"), cols: Array(10).fill("c"), most: 100 });
    for (const height of [200, 400, 800]) expect(Math.abs(chart.layout(600, { height }).height - height)).toBeLessThan(30);
  });
  it("outlines what is selected and nothing outside", () => {
    const chart = new HeatMapChart(data()), plan = chart.layout(600), count = (marks: object) => {
      const pen = new Recorder();
      chart.outline(pen, plan, marks, themed("dark"));
      return pen.marks.length;
    };
    expect([count({}), count({ row: 1 }), count({ row: 7, col: -1 }), count({ cells: [[1, 2], [2, 0]] })]).toEqual([0, 1, 0, 2]);
  });
});

describe("maps of names", () => {
  const chart = new HeatMapChart(data({
    values: Float32Array.of(0, 1, 2, NaN, 1, 0), categories: ["none", "copy", "induction", "absent"], unsure: [[false, true, false], [false, false, false]], unsureName: "not shown",
  }));
  it("tell names, with doubt", () => {
    expect(chart.lines(1)[0]).toBe("copy (not shown)");
    expect(chart.lines(2)[0]).toBe("induction");
    expect(exportCsv(chart).split("\r\n")[1]).toBe("L0,none,copy?,induction");
  });
  it("have a key of what occurs, and hatch", () => {
    const { pen } = drawn(chart);
    expect(pen.texts).toEqual(expect.arrayContaining(["none", "copy", "induction", "not shown"]));
    expect(pen.texts).not.toContain("absent");
    expect(pen.of("line").length).toBeGreaterThan(5);
  });
});

describe("files", () => {
  const chart = new HeatMapChart(data({ text: [[EVIL, "x", "\u0000"], ["a", "b", "c"]] }));
  it("CSV quotes and keeps eight digits", () => {
    expect(exportCsv(chart).split("\r\n").slice(0, 2)).toEqual(['layer \\ token,The, cat,"a,b"', "L0,0.5,,-2"]);
  });
  it("JSON holds the values, NaN as null, and reads back", () => {
    const read = JSON.parse(exportJson(chart, { title: "T" }));
    expect(read).toMatchObject({ title: "T", kind: "heatmap", values: [[0.5, null, -2], [1, 0.25, 0]], low: -2, high: 2, unit: "logits" });
  });
  it("SVG escapes all text and is whole", () => {
    const svg = exportSvg(chart, { title: EVIL });
    expect(svg).not.toContain("<b");
    expect(svg).not.toMatch(/[\u0000-\u0008]/);
    expect(svg.match(/<svg/g)).toHaveLength(1);
    expect(svg.endsWith("</svg>")).toBe(true);
    expect(svg.match(new RegExp(STOPS.diverging.light[0], "g"))!.length).toBeGreaterThanOrEqual(1);
  });
});
