// What every kind of drawing can do. An index `at` names a cell, a point, a bar, a head or a token.

import type { Pen, Point } from "./pen";
import type { Theme } from "./theme";

export interface Plan {
  width: number;
  height: number;
}

export interface LayoutOptions {
  /** A thumbnail: the picture alone. */
  compact?: boolean;
  /** Leave room above for a title, as files need it. */
  title?: string;
  /** Height to fill, where the drawing can. */
  height?: number;
}

export type Cell = string | number;

export interface TableData {
  head: string[];
  rows: Cell[][];
}

/** A drawing of its data: no elements, no events. `M` is what can be selected in it. */
export interface Chart<M = unknown, P extends Plan = Plan> {
  /** What it is, such as "Heat map". */
  readonly kind: string;
  /** How many things there are to be at. */
  readonly count: number;
  layout(width: number, options?: LayoutOptions): P;
  draw(pen: Pen, plan: P, theme: Theme): void;
  /** What is under a point. */
  probe(plan: P, x: number, y: number): number | null;
  /** Where a key leads; undefined for a key that means nothing here. */
  move(at: number | null, key: string): number | undefined;
  /** Highlight what the pointer or the keyboard is at. */
  mark(pen: Pen, plan: P, at: number, theme: Theme): void;
  /** Outline what is selected. */
  outline?(pen: Pen, plan: P, marks: M, theme: Theme): void;
  /** Pixels at which to tell about `at`. */
  where(plan: P, at: number): Point;
  /** What there is to tell, the most important first. */
  lines(at: number): string[];
  /** All values as a table: what CSV files and readers who cannot see it get. */
  table(): TableData;
  /** All values and labels as plain data; NaN is null. */
  json(): Record<string, unknown>;
}

/** Where a key leads in a grid. */
export function moveInGrid(at: number | null, key: string, rows: number, cols: number): number | undefined {
  const steps: Record<string, [number, number]> = {
    ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
    Home: [0, -cols], End: [0, cols], PageUp: [-rows, 0], PageDown: [rows, 0],
  };
  const step = steps[key];
  if (!step || rows * cols === 0) return undefined;
  if (at === null) return key === "End" ? cols - 1 : key === "PageDown" ? (rows - 1) * cols : 0;
  const row = Math.min(Math.max(Math.floor(at / cols) + step[0], 0), rows - 1);
  const col = Math.min(Math.max((at % cols) + step[1], 0), cols - 1);
  return row * cols + col;
}

/** Where a key leads in a list. */
export function moveInList(at: number | null, key: string, count: number, back: string, on: string): number | undefined {
  const steps: Record<string, number> = { [back]: -1, [on]: 1, Home: -count, End: count };
  const step = steps[key];
  if (step === undefined || count === 0) return undefined;
  if (at === null) return key === "End" ? count - 1 : 0;
  return Math.min(Math.max(at + step, 0), count - 1);
}

/** Numbers as JSON keeps them: NaN and infinities are null. */
export function plain(values: ArrayLike<number>): (number | null)[] {
  return Array.from(values, (value) => (Number.isFinite(value) ? Number(value.toPrecision(8)) : null));
}

/** The same in rows. */
export function plainRows(values: ArrayLike<number>, rows: number, cols: number): (number | null)[][] {
  const all = plain(values);
  return Array.from({ length: rows }, (_, row) => all.slice(row * cols, (row + 1) * cols));
}
