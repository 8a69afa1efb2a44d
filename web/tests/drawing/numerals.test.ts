import { expect, it } from "vitest";
import { exact, number, shownLabel, visible } from "../../src/drawing/numerals";

it("writes numbers short, with a real minus", () => {
  expect([0.5, -2.25, 123456, 1e-7, -3e8, 0, -0].map((v) => number(v, 5))).toEqual(
    ["0.5", "−2.25", "123460", "1e−7", "−3e8", "0", "0"]);
  expect([NaN, Infinity, -Infinity].map((v) => number(v))).toEqual(["impossible", "∞", "−∞"]);
});

it("writes files with eight digits and nothing for no value", () => {
  expect(exact(Math.fround(0.1))).toBe(0.1);
  expect(exact(NaN)).toBe("");
});

it("shows what cannot be seen", () => {
  expect(visible(" cat\n")).toBe("·cat⏎");
  expect(visible("")).toBe("∅");
  expect(shownLabel("a\u202Eb\u0000c\u200Dd\ud800e")).toBe("a⟨202E⟩b⟨0000⟩c⟨200D⟩d⟨D800⟩e");
  expect(shownLabel("שלום 😀 Ġ")).toBe("שלום 😀 Ġ");
});
