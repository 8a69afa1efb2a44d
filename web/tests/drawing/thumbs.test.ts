import { describe, expect, it } from "vitest";
import { byteTable } from "../../src/drawing/palette";
import { pooled } from "../../src/drawing/pooling";
import { ThumbChart } from "../../src/drawing/thumb_chart";
import { themed } from "../../src/drawing/theme";
import { Recorder } from "./recorder";

function chart(layers: number, heads: number, side: number, scale: "sequential" | "diverging" = "sequential") {
  const bytes = Uint8Array.from({ length: layers * heads * side * side }, (_, i) => (i * 37) % 256);
  return new ThumbChart({ bytes, layers, heads, side, scale });
}

describe("all heads", () => {
  it("put each byte in its place on the sheet", () => {
    const thumbs = chart(3, 4, 5), sheet = thumbs.sheet(5, 5, "light"), table = byteTable("sequential", "light");
    for (let layer = 0; layer < 3; layer++) for (let head = 0; head < 4; head++) for (let q = 0; q < 5; q++) for (let k = 0; k < 5; k++) {
      const byte = thumbs.data.bytes[((layer * 4 + head) * 5 + q) * 5 + k];
      expect(sheet.pixels[(layer * 5 + q) * 20 + head * 5 + k]).toBe(table[byte]);
    }
  });
  it("draw one picture a head, from that head's part", () => {
    const thumbs = chart(2, 3, 4), pen = new Recorder();
    thumbs.draw(pen, thumbs.layout(500), themed("light"));
    expect(pen.of("picture").map(({ part }) => part)).toEqual([[0, 0, 4, 4], [4, 0, 4, 4], [8, 0, 4, 4], [0, 4, 4, 4], [4, 4, 4, 4], [8, 4, 4, 4]]);
    expect(pen.texts).toEqual(expect.arrayContaining(["L0", "L1", "H0", "H2"]));
  });
  it.each([[1, 4, 390], [12, 12, 760], [48, 64, 900], [48, 64, 390]])("%i × %i at %i pixels: finds the head it draws", (layers, heads, width) => {
    const thumbs = chart(layers, heads, 2), plan = thumbs.layout(width);
    for (const at of [0, heads - 1, layers * heads - 1, Math.floor((layers * heads) / 2)]) {
      expect(thumbs.probe(plan, ...thumbs.where(plan, at))).toBe(at);
    }
    expect(plan.side).toBeGreaterThanOrEqual(8);
    expect(thumbs.probe(plan, plan.x - 5, plan.y)).toBeNull();
  });
  it("fit a height where it can be", () => expect(chart(12, 12, 4).layout(1600, { height: 500 }).height).toBeLessThanOrEqual(500));
  it("move as a grid", () => expect(chart(3, 4, 2).move(5, "ArrowDown")).toBe(9));
  it("tell the strongest cell in the units of the limit", () => {
    const bytes = Uint8Array.of(128, 1, 200, 128, 128, 128, 128, 255);
    const thumbs = new ThumbChart({ bytes, layers: 1, heads: 2, side: 2, scale: "diverging", limit: 0.5 });
    expect([thumbs.strongest(0), thumbs.strongest(1)]).toEqual([-0.5, 0.5]);
    expect(thumbs.table().rows).toEqual([["L0", -0.5, 0.5]]);
  });
});

describe("pooling", () => {
  it("keeps the largest of a block", () => {
    expect(Array.from(pooled(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 1, 1, 1, 1, 1, 99), 1, [4, 4], [2, 2], 0))).toEqual([6, 8, 9, 99]);
  });
  it("keeps what is farthest from a zero of 128", () => {
    expect(Array.from(pooled(Uint8Array.of(128, 20, 200, 128), 1, [2, 2], [1, 1], 128))).toEqual([20]);
  });
  it("never loses a line, at any size", () => {
    const side = 37, line = new Uint8Array(side * side);
    for (let i = 0; i < side; i++) line[i * side + i] = 255;
    for (let to = 1; to <= side; to++) {
      const small = pooled(line, 1, [side, side], [to, to], 0);
      for (let i = 0; i < to; i++) expect(small[i * to + i]).toBe(255);
    }
  });
});
