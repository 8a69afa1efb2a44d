import { describe, expect, it } from "vitest";

import type { Arrays } from "../../src/api/arrays";
import { lensChart, likely } from "../../src/views/lens_map";
import { lensCaption, placeOfRow, type Quantity, rowOf, rowsShown, strideFor } from "../../src/views/lens_words";

const ROWS = ["embed", "L0", "L1"];
const VALUES = [0.125, 0.25, NaN, 0.375, 0.875, 1];

function arrays(quantity: Quantity = "prob", values = VALUES, minus: string | null = null): Arrays {
  const probs = Array.from({ length: 12 }, (_, i) => i / 12);
  return {
    bytes: 0,
    meta: {
      run: "r", minus, view: "lens", tokens: ["<s>", " the"], ids: [0, 1], rows: ROWS, positions: [0, 1], kind: "logit", site: "resid_post",
      quantity, unit: "probability", targets: [7, 8], strings: { 7: " cat", 8: "</script><b>", 9: "\n" }, missing: {},
    },
    arrays: {
      value: { name: "value", dtype: "f4", shape: [3, 2], data: Float32Array.from(values) },
      top_ids: { name: "top_ids", dtype: "i4", shape: [3, 2, 2], data: Int32Array.from([7, 8, 8, 7, 9, 7, 7, 9, 8, 9, 7, 8]) },
      top_probs: { name: "top_probs", dtype: "f4", shape: [3, 2, 2], data: Float32Array.from(probs) },
    },
  };
}

describe("rows of the lens", () => {
  it("keeps the first and the last row at every stride, and each row once", () => {
    for (const count of [1, 2, 5, 13, 49, 97]) {
      for (const stride of [1, 2, 4, 8]) {
        const rows = rowsShown(count, stride);
        expect(rows[0]).toBe(0);
        expect(rows.at(-1)).toBe(count - 1);
        expect(new Set(rows).size).toBe(rows.length);
        expect(rows).toEqual([...rows].sort((a, b) => a - b));
        if (stride === 1) expect(rows).toHaveLength(count);
        else if (count > 2 * stride) expect(rows.length).toBeLessThan(count);
      }
    }
  });
  it("strides only when there are too many layers", () => {
    expect([5, 13].map((rows) => strideFor(rows))).toEqual([1, 1]);
    for (const rows of [33, 49, 81, 127]) expect(rowsShown(rows, strideFor(rows)).length).toBeLessThanOrEqual(16);
    expect(strideFor(49)).toBe(4);
  });
  it("has the selected row among them", () => {
    expect(rowsShown(13, 4)).toEqual([0, 4, 8, 12]);
    expect(rowsShown(13, 4, 7)).toEqual([0, 4, 7, 8, 12]);
    expect(rowsShown(5, 4, 9)).toEqual([0, 4]);
  });
  it("names places that edits can use, and finds them again", () => {
    for (const row of ROWS) {
      const { layer, site } = placeOfRow(row, "resid_post");
      expect(rowOf(ROWS, layer, site)).toBe(ROWS.indexOf(row));
    }
    expect(rowOf(ROWS, undefined, undefined)).toBeNull();
    expect(rowOf(ROWS, 7, "z")).toBeNull();
    expect(rowOf(ROWS, 1, "z")).toBe(2);
  });
});

describe("map of the lens", () => {
  it("shows the values, the likeliest token, and NaN as no value", () => {
    const chart = lensChart(arrays());
    expect(Array.from(chart.told)).toEqual(Array.from(Float32Array.from(VALUES)));
    expect(chart.data.text?.map((line) => [...line])).toEqual([["cat", "</script><b>"], ["⏎", "cat"], ["</script><b>", "cat"]]);
    expect(chart.lines(2)[0]).not.toMatch(/^0/);
    expect(chart.table().rows[1].slice(1)).toEqual(["", 0.375]);
    expect(chart.data).toMatchObject({ low: 0, high: 1, scale: "sequential" });
  });
  it("colours a part as it colours the whole", () => {
    const whole = lensChart(arrays("kl")), part = lensChart(arrays("kl"), { rows: [0, 2], first: 1, count: 1 });
    expect([part.data.low, part.data.high]).toEqual([whole.data.low, whole.data.high]);
    expect(Array.from(part.told)).toEqual([whole.told[1], whole.told[5]]);
    expect(part.data.note?.(1, 0)[0]).toContain("position 1");
  });
  it("tells ranks as they are and colours them by their logarithm", () => {
    const chart = lensChart(arrays("rank", [1, 10, 100, 1, 1, 2]));
    expect(Array.from(chart.values.slice(0, 3))).toEqual([-0, -1, -2]);
    expect(chart.lines(2)[0]).toMatch(/^100 /);
    expect(chart.table().rows[0]).toEqual(["embed", 1, 10]);
    expect(chart.json().values).toEqual([[1, 10], [100, 1], [1, 2]]);
  });
  it("colours a change of rank by the places gained: fewer is more", () => {
    const chart = lensChart(arrays("rank", [-9, 9, 0, 0, 0, 0], "a"));
    expect(chart.values[0]).toBeCloseTo(1);
    expect(chart.values[1]).toBeCloseTo(-1);
    expect(chart.data.scale).toBe("diverging");
    expect(chart.lines(0)[0]).toMatch(/^−9 ranks/);
  });
  it("does not colour tiny changes of a probability as large ones", () => {
    expect(lensChart(arrays("prob", [1e-5, 0, 0, 0, 0, 0], "a")).data.high).toBe(0.01);
    expect(lensChart(arrays("prob", [0.5, 0, 0, 0, 0, 0], "a")).data).toMatchObject({ low: -0.5, high: 0.5 });
  });
  it("lists what is likely in a cell, in order", () => {
    expect(likely(arrays(), 1, 1).map(({ id }) => id)).toEqual([7, 9]);
    expect(likely(arrays(), 2, 0)[0]).toMatchObject({ id: 8, token: "</script><b>" });
  });
});

describe("caption", () => {
  it("says the run, the lens, the quantity and of which token", () => {
    expect(lensCaption("prob", "logit", "B", undefined)).toBe("B, logit lens: probability of the token that the model answers at each position");
    expect(lensCaption("prob", "tuned", "A", "cat")).toBe("A, tuned lens: probability of “cat”");
    expect(lensCaption("entropy", "logit", "B-A", "cat")).toBe("B − A, logit lens: change of the entropy of each layer's answer");
    expect(lensCaption("logit", "logit", "B-A", undefined)).toContain("the token that A answers");
  });
});
