import { describe, expect, it } from "vitest";

import type { Arrays, NdArray } from "../../src/api/arrays";
import { strongest, rowsOf } from "../../src/views/attention_card";
import { addressOf, shownInWords, touched, touchedBy, weightingOf } from "../../src/views/attention_heads";
import { allHeads, brighter, chooseScore, scoreOf, scoreTable, scoresOf, strongestHead, thumbOf } from "../../src/views/attention_scores";

const sizes = { layers: [0, 1, 2], heads: 4 };
const at = (address: string, more = {}) => touchedBy({ kind: "zero", at: address }, { ...sizes, ...more }).map(({ layer, head }) => `${layer}.${head}`);

describe("heads touched by an edit", () => {
  it.each([
    ["L1.z[H2]", ["1.2"]],
    ["L1.z[H2]@-1", ["1.2"]],
    ["L1.pattern[H0]@0:3", ["1.0"]],
    ["z[H3]", ["0.3", "1.3", "2.3"]],
    ["L*.z[H1]", ["0.1", "1.1", "2.1"]],
    ["L1:.z[H1]", ["1.1", "2.1"]],
    ["L:1.z[H*]", ["0.0", "0.1", "0.2", "0.3"]],
    ["L2.head_out", ["2.0", "2.1", "2.2", "2.3"]],
    ["L9.z[H0]", []],
    ["L1.mlp_out", []],
    ["L1.resid_post@3", []],
    ["L1.mlp_act[N2]", []],
    ["not an address!", []],
  ])("%s", (address, expected) => expect(at(address)).toEqual(expected));

  it("count key and value heads by the query heads that share them", () => {
    expect(at("L0.v[H1]", { kvHeads: 2 })).toEqual(["0.2", "0.3"]);
    expect(at("L0.q[H1]", { kvHeads: 2 })).toEqual(["0.1"]);
    expect(at("L0.k[H1]")).toEqual(["0.1"]);
  });

  it("are told once each, with all that is done to them", () => {
    const found = touched([{ kind: "zero", at: "L0.z[H1]" }, { kind: "scale", at: "L0.v[H1]", factor: 2 }], sizes);
    expect([...found]).toEqual([["0.1", ["zero at L0.z[H1]", "scale at L0.v[H1]"]]]);
  });
});

describe("words and addresses", () => {
  it("write a head's address, at all tokens or one", () => {
    expect([addressOf({ layer: 2, head: 3 }), addressOf({ layer: 2, head: 3 }, 0)]).toEqual(["L2.z[H3]", "L2.z[H3]@0"]);
  });
  it("take a weighting only from the list", () => expect(["value", "nonsense", undefined].map(weightingOf)).toEqual(["value", "pattern", "pattern"]));
  it("say which run is shown", () => {
    expect(shownInWords("B", true, 0, false)).toContain("same as A");
    expect(shownInWords("B", false, 2, false)).toBe("B, with 2 edits");
    expect(shownInWords("B-A", true, 0, false)).toContain("nothing differs");
    expect(shownInWords("A", false, 2, true)).toContain("pinned");
  });
});

const floats = (name: string, shape: number[], values: number[]): NdArray => ({ name, dtype: "f4", shape, data: Float32Array.from(values) });
const all = allHeads({
  meta: { run: "r", minus: null, view: "attention", tokens: ["a", "b"], ids: [7, 8], layers: [1, 3], heads: 2, causal: true, unit: "attention", limit: 1, block: 1, scores: ["entropy", "induction"], about: {} },
  arrays: {
    thumbs: { name: "thumbs", dtype: "u1", shape: [2, 2, 2, 2], data: Uint8Array.from({ length: 16 }, (_, i) => i) },
    scores: floats("scores", [2, 2, 2], [0, 1, 2, 3, 4, 5, 6, NaN]),
  },
  bytes: 0,
});

describe("scores", () => {
  it("of one kind are a matrix of layers and heads", () => expect([...scoreOf(all, "induction")]).toEqual([1, 3, 5, NaN]));
  it("are chosen by name, else what has a value on this prompt", () => {
    expect(chooseScore(all, "entropy")).toBe("entropy");
    expect([chooseScore(all, undefined), chooseScore(all, "nonsense")]).toEqual(["induction", "induction"]);
    const none = { ...all, scores: all.scores.map((value, i) => (i % 2 ? NaN : value)) };
    expect(chooseScore(none, undefined)).toBe("entropy");
  });
  it("of one head are found by its row", () => expect(scoresOf(all, 1, 0)).toEqual([["entropy", 4], ["induction", 5]]));
  it("stand in the table under the model's own layer numbers; what is impossible stays empty", () => {
    const { head, rows } = scoreTable(all);
    expect(head).toEqual(["head", "entropy (nats)", "induction (share of attention)"]);
    expect(rows).toEqual([["L1H0", 0, 1], ["L1H1", 2, 3], ["L3H0", 4, 5], ["L3H1", 6, ""]]);
  });
  it("and thumbnails belong to the same head", () => expect([...thumbOf(all, 1, 0)]).toEqual([8, 9, 10, 11]));
});

describe("contrast", () => {
  it("brightens bytes up to the end of the colours, zero staying zero", () => {
    expect([...brighter(Uint8Array.of(0, 10, 100, 255), 4, 0)]).toEqual([0, 40, 255, 255]);
    expect([...brighter(Uint8Array.of(1, 118, 128, 138, 255), 4, 128)]).toEqual([1, 88, 128, 168, 255]);
    expect([...brighter(Uint8Array.of(7), 1, 128)]).toEqual([7]);
  });
});

describe("the inspector's numbers", () => {
  const one: Arrays = {
    meta: { ...all.meta, layers: [3] },
    arrays: { pattern: floats("pattern", [2, 2], [1, NaN, 0.25, 0.75]), value_norm: floats("value_norm", [2], [2, 4]) },
    bytes: 0,
  };
  it("name the chosen cell and the value behind it", () => {
    expect(rowsOf(all, one, { layer: 3, head: 0 }, 1, 1).slice(0, 2)).toEqual([["1 b → 1 b", 0.75, "attention"], ["value's length at 1", 4]]);
  });
  it("never show an impossible cell as a number", () => expect(String(rowsOf(all, one, { layer: 3, head: 0 }, 0, 1)[0][1])).toContain("impossible"));
  it("tell the strongest key where none is chosen", () => expect(rowsOf(undefined, one, { layer: 3, head: 0 }, 1)[0]).toEqual(["most: 1 b → 1 b", 0.75, "attention"]));
  it("find the largest size among what is possible", () => {
    expect([strongest([NaN, -3, 2]), strongest([NaN, NaN]), strongest([])]).toEqual([1, -1, -1]);
  });
});

it("the strongest head of a score is the largest in size; what has no value does not count", () => {
  expect(strongestHead(all, "entropy")).toEqual({ layer: 3, head: 1 });
  expect(strongestHead(all, "induction")).toEqual({ layer: 3, head: 0 });
});
