// Boxes: their corners, a line around them, a margin.

import type { Box, Pen, Point } from "./pen";

/** The four corners of a box. */
export function corners([x, y, w, h]: Box): Point[] {
  return [[x, y], [x + w, y], [x + w, y + h], [x, y + h]];
}

/** A line around a box. */
export function frame(pen: Pen, box: Box, colour: string, width: number): void {
  const around = corners(box);
  pen.line([...around, around[0]], colour, { width });
}

/** A box with a margin. */
export function grown([x, y, w, h]: Box, by: number): Box {
  return [x - by, y - by, w + 2 * by, h + 2 * by];
}
