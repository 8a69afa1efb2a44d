// A pen that remembers its strokes, for tests without a canvas.

import type { Box, Lettering, Pen, Point, Stroke } from "../../src/drawing/pen";
import type { Picture } from "../../src/drawing/picture";

export type Mark =
  | { kind: "rect"; box: Box; fill: string }
  | { kind: "line"; points: readonly Point[]; colour: string; stroke: Stroke }
  | { kind: "curve"; from: Point; to: Point; stroke: Stroke }
  | { kind: "area"; points: readonly Point[]; fill: string; alpha: number }
  | { kind: "dot"; at: Point }
  | { kind: "text"; at: Point; text: string; lettering: Lettering; colour: string }
  | { kind: "picture"; picture: Picture; box: Box; part: Box };

export class Recorder implements Pen {
  readonly marks: Mark[] = [];

  of<K extends Mark["kind"]>(kind: K): Extract<Mark, { kind: K }>[] {
    return this.marks.filter((mark): mark is Extract<Mark, { kind: K }> => mark.kind === kind);
  }

  get texts(): string[] {
    return this.of("text").map(({ text }) => text);
  }

  rect(x: number, y: number, w: number, h: number, fill: string): void {
    this.marks.push({ kind: "rect", box: [x, y, w, h], fill });
  }

  line(points: readonly Point[], colour: string, stroke: Stroke = {}): void {
    this.marks.push({ kind: "line", points, colour, stroke });
  }

  curve(from: Point, _: Point, __: Point, to: Point, ___: string, stroke: Stroke = {}): void {
    this.marks.push({ kind: "curve", from, to, stroke });
  }

  area(points: readonly Point[], fill: string, alpha: number): void {
    this.marks.push({ kind: "area", points, fill, alpha });
  }

  dot(x: number, y: number): void {
    this.marks.push({ kind: "dot", at: [x, y] });
  }

  text(x: number, y: number, text: string, colour: string, lettering: Lettering = {}): void {
    this.marks.push({ kind: "text", at: [x, y], text, lettering, colour });
  }

  picture(picture: Picture, box: Box, part: Box = [0, 0, picture.cols, picture.rows]): void {
    this.marks.push({ kind: "picture", picture, box, part });
  }

  within(_: Box, draw: () => void): void {
    draw();
  }
}
