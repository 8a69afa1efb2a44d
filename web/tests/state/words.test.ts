import { describe, expect, it } from "vitest";

import { fileName } from "../../src/frame/saving";
import { answerRows } from "../../src/state/answer";
import { placeInWords, readAddress, writeAddress } from "../../src/state/address";
import { readPlace, writePlace } from "../../src/state/drag";
import { Selection } from "../../src/state/selection.svelte";
import { editInWords, number, percent, points, seen, share } from "../../src/state/words";

describe("addresses", () => {
  it.each(["L9.z[H6]@-1", "embed", "L0.resid_post@11", "L5.resid_post/sae-1[F31]", "logits@3", "L3.mlp_act[N512]"])("%s comes back as it was", (text) => {
    expect(writeAddress(readAddress(text)!)).toBe(text);
  });

  it.each(["L*.z", "z[H*]", "L3:6.z", "", "L2.z[H3]@", "Lx.z"])("%s is no single place", (text) => {
    expect(readAddress(text)).toBeUndefined();
  });

  it.each([
    ["L2.z[H3]", "the output of head 2.3"],
    ["L2.z", "the output of the heads of layer 2"],
    ["L1.resid_post@1", "the stream after layer 1 at token 1 (Mary)"],
    ["L0.mlp_act[N7]@-1", "the MLP's neurons in layer 0 (neuron 7) at the last token"],
    ["embed", "the token embedding"],
    ["L3.ln2", "ln2 in layer 3"],
    ["L*.z", "L*.z"],
  ])("%s in words", (text, words) => {
    expect(placeInWords(text, ["When", " Mary"])).toBe(words);
  });
});

describe("words", () => {
  it("of edits", () => {
    expect(editInWords({ kind: "zero", at: "L2.z[H3]" })).toBe("Zero the output of head 2.3");
  });

  it("of numbers", () => {
    expect([0.9942, 0.5, 0.0004, 0, 1, 0.99998].map(percent)).toEqual(["99.4", "50.0", "<0.1", "0", "100", ">99.9"]);
    expect([0.25, -0.498, 0.0001].map(points)).toEqual(["+25.0", "−49.8", "±0.0"]);
    expect([1.23456, -0.00001234, 12, NaN, -Infinity].map((each) => number(each))).toEqual(["1.235", "−1.234e−5", "12", "no value", "−∞"]);
  });

  it("of tokens show what cannot be seen", () => {
    expect([" Mary", "\n", "", "a b"].map(seen)).toEqual(["·Mary", "↵", "∅", "a b"]);
  });
});

describe("the answer line", () => {
  const at = (id: number, prob: number) => ({ pos: 3, id, token: `t${id}`, prob, logit: 0 });

  it("lists what is likely in A or in B, with the change where both are known", () => {
    const rows = answerRows([at(1, 0.9), at(2, 0.05)], [at(2, 0.6), at(3, 0.2)], 3);
    expect(rows.map((row) => row.id)).toEqual([1, 2, 3]);
    expect(rows[1].change).toBeCloseTo(0.55);
    expect(rows[0].change).toBeUndefined();
    expect(rows[2].a).toBeUndefined();
  });
});

describe("the selection", () => {
  it("has an address once a layer is chosen", () => {
    const selection = new Selection();
    selection.set({ q: 4 });
    expect(selection.address).toBeUndefined();
    selection.set({ layer: 2 });
    expect(selection.address).toBe("L2.resid_post@4");
    selection.set({ head: 3 });
    expect(selection.address).toBe("L2.z[H3]@4");
    selection.set({ site: "mlp_out" });
    expect(selection.address).toBe("L2.mlp_out@4");
  });

  it("stays inside the prompt", () => {
    const selection = new Selection();
    selection.set({ q: 9, k: 2 });
    selection.fit(5);
    expect(selection.place).toEqual({ k: 2 });
  });

  it("shows the latest view's card, and another one's when that is withdrawn", () => {
    const selection = new Selection();
    selection.inspect({ title: "one", rows: [] }, "lens");
    selection.inspect({ title: "two", rows: [] }, "attention");
    expect(selection.card?.title).toBe("two");
    selection.withdraw("attention");
    expect(selection.card?.title).toBe("one");
  });
});

describe("a dragged place", () => {
  class Transfer {
    data = new Map<string, string>();
    effectAllowed = "";
    setData = (type: string, text: string) => void this.data.set(type, text);
    getData = (type: string) => this.data.get(type) ?? "";
  }

  it("comes back from the drop", () => {
    const transfer = new Transfer() as unknown as DataTransfer;
    writePlace(transfer, { run: "abc", at: "L2.z[H3]" });
    expect(readPlace(transfer)).toEqual({ run: "abc", at: "L2.z[H3]" });
  });

  it("is none when something else is dropped", () => {
    const transfer = new Transfer();
    transfer.setData("text/plain", "hello");
    expect(readPlace(transfer as unknown as DataTransfer)).toBeUndefined();
  });
});

describe("shares", () => {
  it.each([[1.011e-6, "<0.0001"], [-2e-5, "−<0.0001"], [0, "0"], [0.08226, "0.08226"], [NaN, "no value"]])("%s", (value, text) => {
    expect(share(value)).toBe(text);
  });
});

describe("file names", () => {
  it("have at most 60 letters, cut between words", () => {
    const name = fileName("ioi-32-pairs-heads-layer-head-denoise-and-more-words-than-fit", "json", "0123456789abcdef");
    expect(name.length).toBeLessThanOrEqual(60);
    expect(name).toMatch(/-denoise-and-more-01234567\.json$/);
    expect(fileName("x".repeat(90), "svg", "").length).toBe(60);
    expect(fileName("lens", "csv", "")).toBe("lens.csv");
  });
});
