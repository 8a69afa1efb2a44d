import { expect, it } from "vitest";
import { ArcChart } from "../../src/drawing/arcs";
import { themed } from "../../src/drawing/theme";
import { Recorder } from "./recorder";

const weights = Float32Array.of(1, NaN, NaN, 0.3, 0.7, NaN, 0.04, 0.06, -0.9);
const chart = new ArcChart({ tokens: ["The", " cat", " sat"], weights, threshold: 0.05 });

it("draws an arc from query to key for each weight above the threshold", () => {
  const pen = new Recorder(), plan = chart.layout(500);
  chart.draw(pen, plan, themed("light"));
  expect(pen.of("curve")).toHaveLength(5);
  const middle = (at: number) => chart.where(plan, at)[0];
  const [weak] = pen.of("curve").slice().sort((a, b) => a.stroke.width! - b.stroke.width!);
  expect([weak.from[0], weak.to[0]]).toEqual([middle(2), middle(1)]);
});

it("thicker is stronger, whatever the sign", () => {
  const pen = new Recorder(), plan = chart.layout(500);
  chart.draw(pen, plan, themed("light"));
  const widths = pen.of("curve").map(({ stroke }) => stroke.width!);
  expect(widths).toEqual([...widths].sort((a, b) => a - b));
  expect(chart.arcs.map(({ weight }) => Math.abs(weight))).toEqual([...chart.arcs.map(({ weight }) => Math.abs(weight))].sort((a, b) => a - b));
});

it("finds tokens, moves between them, tells the strongest first", () => {
  const plan = chart.layout(500);
  for (let at = 0; at < 3; at++) expect(chart.probe(plan, ...chart.where(plan, at))).toBe(at);
  expect(chart.move(1, "ArrowRight")).toBe(2);
  expect(chart.lines(1)).toEqual(["1 ·cat", "0.7 → 1 ·cat", "0.3 → 0 The"]);
  expect(chart.table().rows[0]).toEqual(["0 The", "0 The", 1]);
});

it("grows with its tokens instead of squeezing them, up to a width; then names stand upright", () => {
  const chartOf = (count: number) => new ArcChart({ tokens: Array(count).fill(" token"), weights: new Float32Array(count * count) });
  expect(chartOf(100).layout(500).width).toBeGreaterThan(3000);
  const plan = chartOf(512).layout(500);
  expect([plan.upright, plan.width]).toEqual([true, 8 + 512 * 9]);
  for (const at of [0, 200, 511]) expect(chartOf(512).probe(plan, ...chartOf(512).where(plan, at))).toBe(at);
});
