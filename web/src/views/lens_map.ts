// The lens as a heat map: colours of a quantity, the likeliest token of each cell as its text.

import type { Arrays, NdArray } from "../api/arrays";
import { HeatMapChart, number, shownLabel, visible, type HeatMapData, type TableData } from "../drawing";
import { exact } from "../drawing/numerals";
import { plainRows } from "../drawing/chart";
import { ellipsis } from "../drawing/pen";
import { type LensMeta, QUANTITIES } from "./lens_words";

/** Changes of a probability are coloured on a bar of at least this, so that tiny ones look tiny. */
const LEAST_CHANGE = 0.01;

/** A part of the lens: indices of its rows, its first column and how many. */
export interface Part {
  rows: readonly number[];
  first: number;
  count: number;
  /** Pixels that a column's name may take; all it needs without. */
  room?: number;
}

export interface Likely {
  id: number;
  token: string;
  prob: number;
}

/** Heat map whose colours are of other numbers than those it tells: ranks by their logarithm. */
export class LensChart extends HeatMapChart {
  constructor(data: HeatMapData, readonly told: Float32Array, readonly unit: string) {
    super(data);
  }

  override lines(at: number): string[] {
    const [first, ...rest] = super.lines(at);
    return [Number.isNaN(this.told[at]) ? first : `${number(this.told[at], 5)} ${this.unit}`, ...rest];
  }

  override table(): TableData {
    const { head, rows } = super.table();
    return { head, rows: rows.map(([name], r) => [name, ...this.data.cols.map((_, c) => exact(this.told[r * this.cols + c]))]) };
  }

  override json(): Record<string, unknown> {
    return { ...super.json(), values: plainRows(this.told, this.rows, this.cols), unit: this.unit };
  }
}

/** What is likely in a cell, the likeliest first; in a difference the change of these tokens. */
export function likely({ arrays, meta }: Arrays, row: number, pos: number): Likely[] {
  const { strings } = meta as LensMeta, ids = arrays.top_ids, probs = arrays.top_probs;
  const [, cols, top] = ids.shape, start = (row * cols + pos) * top;
  return Array.from({ length: top }, (_, i) => {
    const id = ids.data[start + i];
    return { id, token: strings[id] ?? String(id), prob: probs.data[start + i] };
  });
}

/** The chart of a part; all of it without one. */
export function lensChart(arrays: Arrays, part?: Part): LensChart {
  const meta = arrays.meta as LensMeta, { value } = arrays.arrays;
  const [height, width] = value.shape, minus = meta.minus !== null;
  const { rows, first, count, room }: Part = part ?? { rows: Array.from({ length: height }, (_, i) => i), first: 0, count: width };
  const told = cut(value, rows, first, count), rank = meta.quantity === "rank";
  const cells = rows.map((row) => Array.from({ length: count }, (_, c) => likely(arrays, row, first + c)));
  const token = (c: number) => meta.tokens[meta.positions[first + c]] ?? "";
  const data: HeatMapData = {
    values: rank ? told.map((each) => closeness(each, minus)) : told,
    rows: rows.map((row) => meta.rows[row]),
    cols: Array.from({ length: count }, (_, c) => (room ? short(token(c), room) : part ? visible(token(c)) : `${meta.positions[first + c]} ${visible(token(c))}`)),
    y: "stream after",
    x: "token",
    unit: colourUnit(meta, minus),
    scale: minus || meta.quantity === "logit" ? "diverging" : "sequential",
    ...ends(meta.quantity, value, minus),
    text: cells.map((line) => line.map(([best]) => (best ? best.token.trim() || visible(best.token) : ""))),
    note: (row, col) => notes(meta, cells[row][col], first + col, minus),
  };
  return new LensChart(data, told, unitOf(meta, minus));
}

/** Colour of a rank: nearer to the top is more; of a change, places gained. */
function closeness(rank: number, minus: boolean): number {
  if (!minus) return -Math.log10(rank);
  return -Math.sign(rank) * Math.log10(1 + Math.abs(rank));
}

function cut({ data, shape }: NdArray, rows: readonly number[], first: number, count: number): Float32Array {
  const part = new Float32Array(rows.length * count);
  rows.forEach((row, r) => {
    for (let c = 0; c < count; c++) part[r * count + c] = data[row * shape[1] + first + c];
  });
  return part;
}

/** Ends of the colour bar, the same for every part of one map. */
function ends(quantity: LensMeta["quantity"], value: NdArray, minus: boolean): { low?: number; high?: number } {
  if (quantity === "prob" && !minus) return { low: 0, high: 1 };
  let most = 0;
  for (const each of value.data) {
    const shown = quantity === "rank" ? closeness(each, minus) : each;
    if (Number.isFinite(shown) && Math.abs(shown) > most) most = Math.abs(shown);
  }
  if (quantity === "prob") most = Math.max(most, LEAST_CHANGE);
  most ||= 1;
  if (minus || quantity === "logit") return { low: -most, high: most };
  return quantity === "rank" ? { low: -most, high: 0 } : { low: 0, high: most };
}

function unitOf({ quantity, unit }: LensMeta, minus: boolean): string {
  if (quantity === "rank") return minus ? "ranks" : "(rank; 1 is the most likely)";
  return minus ? `${unit}, B − A` : unit;
}

function colourUnit(meta: LensMeta, minus: boolean): string {
  if (meta.quantity === "rank") return minus ? "±log10(1 + places)" : "−log10 rank";
  if (meta.quantity === "logit") return `logits above the mean${minus ? ", B − A" : ""}`;
  return unitOf(meta, minus);
}

function notes(meta: LensMeta, cell: readonly Likely[], column: number, minus: boolean): string[] {
  const position = meta.positions[column], target = meta.targets[column];
  const lines = [`position ${position}: ${visible(meta.tokens[position] ?? "")}`];
  if (QUANTITIES[meta.quantity].of === "token" && target !== undefined) lines.push(`of ${visible(meta.strings[target] ?? "")}`);
  lines.push(minus ? "likeliest in B, and their change:" : "likeliest here:");
  for (const { token, prob } of cell) lines.push(`  ${minus && prob > 0 ? "+" : ""}${number(prob, 3)}  ${visible(token)}`);
  return lines;
}

/** A column's name that fits; the tip has all of it. */
function short(token: string, room: number): string {
  return ellipsis(token.trim() ? shownLabel(token.trim()) : visible(token), 11, room);
}
