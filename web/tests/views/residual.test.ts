import { describe, expect, it } from "vitest";

import type { NdArray } from "../../src/api/arrays";
import { colourEnd, linesAt, placeOfRow, rowOf, streamOf } from "../../src/views/residual_stream";
import { type Residual, capped, cellOf, gapOf, partAddress, partAt, residual, strongestParts, termsOf } from "../../src/views/residual_sum";

const floats = (name: string, shape: number[], values: number[]): NdArray => ({ name, dtype: "f4", shape, data: Float32Array.from(values) });

function found(more: Record<string, unknown> = {}, added = [1, 2, 4, 0.5, -1, NaN, 8, 0.25]): Residual {
  return residual({
    meta: {
      run: "r", minus: null, view: "residual", tokens: ["a", "b", "c"], ids: [1, 2, 3], rows: ["embed", "L0.mid", "L0", "L1.mid", "L1"], columns: ["H0", "H1", "MLP", "bias"],
      writers: ["attn_out", "mlp_out"], pos: 2, answer: 5, wrong: null, embed: 0.125, bias: -0.5, rest: 0, total: 14.375, logits: 14.375, convention: "", strings: {}, reason: "", ...more,
    },
    arrays: {
      norm: floats("norm", [5, 3], Array.from({ length: 15 }, (_, i) => i)),
      cosine: floats("cosine", [5, 3], Array.from({ length: 15 }, (_, i) => i / 15)),
      added: floats("added", [2, 4], added),
      added_norm: floats("added_norm", [2, 2, 3], Array.from({ length: 12 }, (_, i) => i)),
    },
    bytes: 0,
  });
}

describe("the sum", () => {
  it("adds heads, MLPs and biases apart, a part that is not there as nothing", () => {
    expect(termsOf(found()).map(({ value }) => value)).toEqual([0.125, 2, 12, 0.75, -0.5]);
  });
  it("meets the total, and a gap shows", () => {
    expect(gapOf(found())).toBeCloseTo(0, 5);
    expect(gapOf(found({ total: 10 }))).toBeCloseTo(4.375, 5);
    expect(gapOf(found({ total: null }))).toBeNaN();
  });
  it("names what edits wrote into the stream, and only then", () => {
    expect(termsOf(found({ rest: 1e-7 })).length).toBe(5);
    expect(termsOf(found({ rest: 3 })).at(-1)).toEqual({ name: "written by edits", value: 3 });
  });
  it("knows a soft cap from rounding", () => {
    expect(capped(found().meta)).toBe(false);
    expect(capped(found({ logits: 14.3751 }).meta)).toBe(false);
    expect(capped(found({ logits: 12 }).meta)).toBe(true);
  });
  it("lists the parts that count most by size, with their signs", () => {
    expect(strongestParts(found(), 3).map(({ name, value }) => [name, value])).toEqual([["MLP 1", 8], ["MLP 0", 4], ["head 0.1", 2]]);
  });
});

describe("cells and places", () => {
  it.each([[0, 1], [1, 2], [1, 3]])("row %i, column %i: there and back", (layer, column) => {
    expect(cellOf(partAt(layer, column, 2), 2)).toEqual([layer, column]);
  });
  it("write addresses that edits understand", () => {
    expect([0, 2, 3].map((column) => partAddress(partAt(1, column, 2)))).toEqual(["L1.z[H0]", "L1.mlp_out", "L1.attn_out"]);
    expect([partAddress({ layer: 1, head: 0 }), partAddress({ layer: 1 }), partAddress({})]).toEqual(["L1.z[H0]", "L1.resid_post", undefined]);
  });
  it("leave the stream out of the matrix", () => expect(cellOf({ layer: 1, site: "resid_post" }, 2)).toBeUndefined());
  it("read rows by their labels", () => {
    expect(["embed", "L3.mid", "L12"].map(placeOfRow)).toEqual([
      { layer: 0, head: undefined, site: "resid_pre" }, { layer: 3, head: undefined, site: "resid_mid" }, { layer: 12, head: undefined, site: "resid_post" },
    ]);
  });
});

describe("the stream", () => {
  it("finds the row of each of its own places", () => {
    for (const quantity of ["norm", "added"] as const) {
      const table = streamOf(found(), quantity);
      table.places.forEach((place, row) => expect(rowOf(table, place)).toBe(row));
    }
    expect(rowOf(streamOf(found(), "norm"), { layer: 1, head: 0 })).toBe(-1);
  });
  it("gives one position over the rows", () => {
    expect([...linesAt(found(), "norm", 1).series[0].y]).toEqual([1, 4, 7, 10, 13]);
    const { series, labels } = linesAt(found(), "added", 2);
    expect(series.map(({ name, y }) => [name, ...y])).toEqual([["attention", 2, 8], ["MLP", 5, 11]]);
    expect(labels).toEqual(["L0", "L1"]);
  });
  it("ends its colours at the other tokens where the first is far longer, and counts what lies beyond", () => {
    expect(colourEnd(Float32Array.of(900, 1, 2, 1000, 3, 4), 3)).toEqual({ high: 4, beyond: 2 });
    expect(colourEnd(Float32Array.of(9, 1, 2, 10, 3, 4), 3)).toEqual({ high: 10, beyond: 0 });
    expect(colourEnd(Float32Array.of(NaN, NaN), 2)).toEqual({ high: 1, beyond: 0 });
  });
});
