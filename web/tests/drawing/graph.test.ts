import { describe, expect, it } from "vitest";
import { exportCsv, exportJson } from "../../src/drawing/export";
import { curveOf, saidOf } from "../../src/drawing/graph";
import { GraphChart, placesOf, writingsOf, type GraphData } from "../../src/drawing/graph_chart";
import { themed } from "../../src/drawing/theme";
import { Recorder } from "./recorder";

const data: GraphData = {
  names: ["embed", "L0.head_out[H0]", "L0.head_out[H1]", "L0.mlp_out", "logits"], labels: ["embed", "H0", "H1", "MLP0", "logits"],
  row: [0, 1, 1, 2, 3], lane: [0, 0, 0, 1, 0], rows: ["", "L0", "", ""],
  source: [1, 0, 3, 0], target: [4, 1, 4, 4], values: Float32Array.of(2, -1, 0.5, NaN), port: [0, -0.9, 0, 0], note: ["", "q @end", "", ""],
  shown: 3, total: 30, unit: "logits", noun: "edges",
};

describe("a layered graph", () => {
  it("places rows upwards, lanes side by side, boxes apart", () => {
    const plan = new GraphChart(data).layout(600), { across } = placesOf(data);
    expect([0, 1, 3, 4].map((i) => plan.y[i])).toEqual([0, 1, 3, 4].map((i) => plan.y[i]).sort((a, b) => b - a));
    expect(plan.y[1]).toBe(plan.y[2]);
    expect(plan.x[1] + plan.half[1]).toBeLessThan(plan.x[2] - plan.half[2]);
    expect(across[3]).toBeGreaterThan(across[2]);
    expect(across[0]).toBeCloseTo((across[1] + across[2]) / 2);
    for (const width of [280, 600, 1400]) {
      const narrow = new GraphChart(data).layout(width);
      narrow.x.forEach((x, i) => expect(x + narrow.half[i]).toBeLessThanOrEqual(narrow.width));
    }
  });
  it("draws the first links only, negative ones dashed, as wide as they are strong", () => {
    const chart = new GraphChart(data), plan = chart.layout(600);
    const strokes = () => {
      const pen = new Recorder();
      chart.draw(pen, plan, themed("light"));
      return pen;
    };
    const curves = strokes().of("curve").reverse();
    expect(curves).toHaveLength(3);
    expect(curves.map(({ stroke }) => stroke.dash!.length > 0)).toEqual([false, true, false]);
    expect(curves[0].stroke.width).toBeGreaterThan(curves[1].stroke.width!);
    expect(strokes().texts).not.toContain("H1");
    chart.shown = 1;
    expect(strokes().of("curve")).toHaveLength(1);
    expect(strokes().texts).toEqual(["L0", "H0", "logits"]);
    chart.shown = 99;
    expect(chart.shown).toBe(4);
    chart.shown = 0;
    expect(chart.shown).toBe(1);
  });
  it("writes a part's own name where its role has no room", () => {
    const labels = ["embed", "H0 previous", "H1 mover (MLP)", "MLP0 writes", "logits"];
    const chart = new GraphChart({ ...data, labels, source: [1, 2, 3], target: [4, 4, 4], values: Float32Array.of(1, 1, 1), port: [0, 0, 0], note: ["", "", ""] });
    const texts = (width: number) => {
      const pen = new Recorder();
      chart.draw(pen, chart.layout(width), themed("light"));
      return pen.texts.filter((text) => text !== "L0");
    };
    expect(texts(900).sort()).toEqual(["H0 previous", "H1 mover (MLP)", "MLP0 writes", "logits"]);
    expect(texts(200)).toEqual(expect.arrayContaining(["H0 previous", "H1", "MLP0"]));
    expect(texts(150)).toEqual(expect.arrayContaining(["H0", "H1"]));
    expect(writingsOf("L2N31 writes")).toEqual(["L2N31 writes", "L2N31"]);
    for (const whole of ["H1", "a − b", "Hat 1", "embed"]) expect(writingsOf(whole)).toEqual([whole]);
  });
  it("finds boxes that are drawn, and tells their links, strongest first", () => {
    const chart = new GraphChart(data), plan = chart.layout(600);
    for (const i of [0, 1, 3, 4]) expect(chart.probe(plan, plan.x[i], plan.y[i])).toBe(i);
    expect(chart.probe(plan, plan.x[2], plan.y[2])).toBeNull();
    expect(chart.lines(4)).toEqual(["logits", "from L0.head_out[H0] 2", "from L0.mlp_out 0.5"]);
    expect(chart.lines(1)).toEqual(["L0.head_out[H0]", "from embed (q @end) −1", "to logits 2"]);
    chart.shown = 4;
    expect(chart.lines(0)).toEqual(["embed", "to L0.head_out[H0] (q @end) −1", "to logits"]);
  });
  it("moves along rows and between them", () => {
    const chart = new GraphChart({ ...data, source: [1, 2, 0], target: [4, 4, 1], values: Float32Array.of(1, 1, 1), port: [0, 0, 0], note: ["", "", ""] });
    expect(chart.move(null, "ArrowUp")).toBe(0);
    expect(chart.move(0, "ArrowUp")).toBe(1);
    expect(chart.move(1, "ArrowRight")).toBe(2);
    expect(chart.move(2, "ArrowRight")).toBe(2);
    expect(chart.move(2, "ArrowUp")).toBe(4);
    expect(chart.move(4, "ArrowUp")).toBe(4);
    expect(chart.move(4, "x")).toBeUndefined();
  });
  it("says size and share, and what was measured at just this size", () => {
    const chart = new GraphChart({ ...data, measured: { name: "faithfulness", sizes: Float32Array.of(2, 3), values: Float32Array.of(0.5, 0.75), lo: null, hi: null } });
    expect(saidOf(chart)).toBe("3 of 30 edges (10 %); faithfulness 0.75");
    expect(curveOf(chart)!.data.moments).toEqual([{ x: 3, label: "3" }]);
    chart.shown = 4;
    expect(saidOf(chart)).toBe("4 of 30 edges (13 %); faithfulness not measured at this size");
    expect(curveOf(chart)!.data.moments).toEqual([]);
    expect(saidOf(new GraphChart({ ...data, total: 0 }))).toBe("3 edges");
    expect(curveOf(new GraphChart(data))).toBeNull();
  });
  it("keeps every link in files", () => {
    expect(exportCsv(new GraphChart(data)).split("\r\n").slice(0, 3)).toEqual([
      "rank,from,to,at,logits", "1,L0.head_out[H0],logits,,2", "2,embed,L0.head_out[H0],q @end,-1",
    ]);
    expect(JSON.parse(exportJson(new GraphChart(data))).values).toEqual([2, -1, 0.5, null]);
  });
});
