import { describe, expect, it } from "vitest";
import { clip, largest, powers, spread, ticks } from "../../src/drawing/scales";

describe("ticks", () => {
  it("are round, inside, and about as many as asked", () => {
    for (const [low, high] of [[0, 1], [-3.7, 12.2], [1e-6, 5e-6], [-1e6, 3], [0.31, 0.32]]) {
      for (const about of [2, 5, 10]) {
        const found = ticks(low, high, about);
        expect(found.length).toBeGreaterThanOrEqual(1);
        expect(found.length).toBeLessThanOrEqual(about + 2);
        const step = found.length > 1 ? found[1] - found[0] : 1;
        for (const tick of found) {
          expect(tick).toBeGreaterThanOrEqual(low - 1e-9 * Math.abs(step));
          expect(tick).toBeLessThanOrEqual(high + 1e-9 * Math.abs(step));
          expect(Math.abs(tick / step - Math.round(tick / step))).toBeLessThan(1e-6);
        }
      }
    }
  });
  it("says 0.3, not 0.30000000000000004", () => expect(ticks(0, 0.5, 5)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5]));
  it("is empty where there is no range", () => {
    expect(ticks(1, 1, 5)).toEqual([]);
    expect(ticks(NaN, 1, 5)).toEqual([]);
    expect(ticks(0, Infinity, 5)).toEqual([]);
  });
});

describe("powers", () => {
  it("are whole powers where there are three", () => expect(powers(-3, 1)).toEqual([-3, -2, -1, 0, 1]));
  it("are 1, 2, 5 where there are few", () => {
    expect(powers(0, 1).map((t) => Math.round(10 ** t))).toEqual([1, 2, 5, 10]);
  });
});

describe("spread", () => {
  it("keeps both ends and the stride", () => {
    for (let count = 1; count < 60; count++) {
      for (let stride = 1; stride < 20; stride++) {
        const shown = spread(count, stride);
        expect(shown[shown.length - 1]).toBe(count - 1);
        if (count > stride) expect(shown[0]).toBe(0);
        for (let i = 1; i < shown.length - (shown.length > 2 ? 0 : 1); i++) {
          expect(shown[i] - shown[i - 1]).toBeGreaterThanOrEqual(stride);
        }
      }
    }
  });
  it("of nothing is nothing", () => expect(spread(0, 3)).toEqual([]));
});

it("clips and finds the largest", () => {
  expect([clip(-1, 0, 3), clip(5, 0, 3), clip(2, 0, 3)]).toEqual([0, 3, 2]);
  expect(largest([], 7)).toBe(7);
  expect(largest(new Set([1, 9, 3]))).toBe(9);
});
