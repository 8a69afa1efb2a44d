import { describe, expect, it } from "vitest";
import {
  CATEGORIES, NAN_COLOUR, STOPS, byteTable, bytesOf, colourOf, colourRange, fraction, hexOf, inkOn, paint, pixelOf, type Scale,
} from "../../src/drawing/palette";

const THEMES = ["light", "dark"] as const, SCALES = ["diverging", "sequential"] as const;

describe("pixels", () => {
  it("keep their colour", () => {
    for (const colour of ["#000000", "#ffffff", "#0a376b", "#c2500d"]) expect(hexOf(pixelOf(...bytesOf(colour)))).toBe(colour);
  });
  it("are opaque and in the canvas's order", () => {
    expect(Array.from(new Uint8Array(Uint32Array.of(pixelOf(1, 2, 3)).buffer))).toEqual([1, 2, 3, 255]);
  });
});

describe("palettes", () => {
  it.each(SCALES)("%s: the ends are the first and the last colour", (scale) => {
    for (const theme of THEMES) {
      const stops = STOPS[scale][theme], colouring = { scale, low: -2, high: 2 };
      expect(hexOf(colourOf(-2, colouring, theme))).toBe(stops[0]);
      expect(hexOf(colourOf(2, colouring, theme))).toBe(stops[stops.length - 1]);
      expect(hexOf(colourOf(99, colouring, theme))).toBe(stops[stops.length - 1]);
      expect(hexOf(colourOf(NaN, colouring, theme))).toBe(NAN_COLOUR[theme]);
    }
  });
  it("zero is the middle of a diverging one, whatever its ends", () => {
    for (const high of [1, 10, 0.1]) expect(fraction(0, { scale: "diverging", low: -1, high })).toBe(0.5);
    expect(fraction(5, { scale: "diverging", low: -1, high: 10 })).toBe(0.75);
  });
  it("lightness of the sequential one is monotonic", () => {
    for (const theme of THEMES) {
      const light = STOPS.sequential[theme].map(bytesOf).map(([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b);
      const steps = light.slice(1).map((l, i) => l - light[i]);
      expect(steps.every((s) => (theme === "light" ? s < 0 : s > 0))).toBe(true);
    }
  });
  it("paints many as one by one", () => {
    const values = Float32Array.from({ length: 200 }, (_, i) => (i % 17 === 3 ? NaN : Math.sin(i) * 3)), colouring = { scale: "diverging" as Scale, low: -2, high: 2.5 };
    expect(Array.from(paint(values, colouring, "dark"))).toEqual(Array.from(values, (v) => colourOf(v, colouring, "dark")));
  });
  it("bytes: 128 is zero when they have a sign", () => {
    const table = byteTable("diverging", "light");
    expect(hexOf(table[128])).toBe(STOPS.diverging.light[4]);
    expect(hexOf(table[255])).toBe(STOPS.diverging.light[8]);
    expect(hexOf(byteTable("sequential", "dark")[0])).toBe(STOPS.sequential.dark[0]);
  });
  it("there are as many categories in both themes", () => expect(CATEGORIES.light.length).toBe(CATEGORIES.dark.length));
});

describe("ranges", () => {
  it("are symmetric for diverging, the values' own for sequential", () => {
    expect(colourRange([0.5, NaN, -2], "diverging")).toEqual([-2, 2]);
    expect(colourRange([3, 5, NaN, 4], "sequential")).toEqual([3, 5]);
  });
  it("never have no width", () => {
    for (const values of [[], [NaN], [0, 0], [7, 7], [Infinity]]) {
      for (const scale of SCALES) {
        const [low, high] = colourRange(values, scale);
        expect(high).toBeGreaterThan(low);
      }
    }
  });
});

it("ink reads on every colour", () => {
  const luminance = (hex: string) => {
    const [r, g, b] = bytesOf(hex).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  for (const theme of THEMES) {
    for (const scale of SCALES) {
      for (let i = 0; i <= 100; i++) {
        const pixel = colourOf(i / 50 - 1, { scale, low: -1, high: 1 }, theme);
        const [a, b] = [luminance(hexOf(pixel)), luminance(inkOn(pixel))].sort((p, q) => q - p);
        expect((a + 0.05) / (b + 0.05)).toBeGreaterThanOrEqual(4.5);
      }
    }
  }
});
