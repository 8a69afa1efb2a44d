// Layered graphs: boxes in rows from bottom to top, links as wide as they are strong, the first so
// many of them. The pointer is at boxes.

import { plain, type Chart, type LayoutOptions, type Plan, type TableData } from "./chart";
import { exact, number, shownLabel } from "./numerals";
import { NEGATIVE, POSITIVE } from "./palette";
import { measure, type Pen, type Point } from "./pen";
import { clip, largest } from "./scales";
import type { Theme } from "./theme";

const SIZE = 11, LANE_GAP = 0.5, MOST_TOLD = 4;

export interface GraphData {
  names: readonly string[];
  /** What is written on each box, its row from the bottom and its lane from the left. */
  labels: readonly string[];
  row: readonly number[];
  lane: readonly number[];
  /** A label for each row. */
  rows: readonly string[];
  /** Links, the most important first; NaN is no value. */
  source: readonly number[];
  target: readonly number[];
  values: Float32Array;
  /** Where on the lower edge each arrives, from -1 to 1, and what else there is to tell of it. */
  port: readonly number[];
  note: readonly string[];
  /** How many are drawn at first. */
  shown: number;
  /** How many there are in the whole of which these are some; 0 if it is not known. */
  total: number;
  unit?: string;
  noun?: string;
  /** A measure at several numbers of links. */
  measured?: { name: string; sizes: Float32Array; values: Float32Array; lo?: Float32Array | null; hi?: Float32Array | null } | null;
}

export interface GraphMarks {
  /** Numbers of boxes. */
  parts?: readonly number[];
}

export interface GraphPlan extends Plan {
  compact: boolean;
  /** Middle and half width of each box. */
  x: number[];
  half: number[];
  y: number[];
  /** Half the height of a box. */
  tall: number;
  left: number;
}

/** Middle of each box across, from 0 to 1, and the distance of its neighbours; as on paper. */
export function placesOf({ row, lane, labels }: Pick<GraphData, "row" | "lane" | "labels">): { across: number[]; step: number[] } {
  const members = new Map<string, number[]>(), wide: number[] = Array.from({ length: largest(lane) + 1 }, () => 0);
  row.forEach((at, i) => members.set(`${lane[i]} ${at}`, [...(members.get(`${lane[i]} ${at}`) ?? []), i]));
  for (const found of members.values()) {
    const needs = found.reduce((sum, i) => sum + Math.max(1, labels[i].length / 3), 0);
    wide[lane[found[0]]] = Math.max(wide[lane[found[0]]], needs);
  }
  const starts = [0];
  for (const each of wide) starts.push(starts[starts.length - 1] + each + LANE_GAP);
  const whole = starts[starts.length - 1] - LANE_GAP, across: number[] = [], step: number[] = [];
  for (const found of members.values()) {
    const at = lane[found[0]], each = wide[at] / found.length;
    found.forEach((i, k) => {
      across[i] = (starts[at] + each * (k + 0.5)) / whole;
      step[i] = each / whole;
    });
  }
  return { across, step };
}

/** A label with what is written where it has no room: the part's own name before its role or place, if it has one. */
export function writingsOf(label: string): string[] {
  const own = /^(?:H|MLP|L\d+[FN])\d+(?= )/.exec(label);
  return own ? [label, own[0]] : [label];
}

export class GraphChart implements Chart<GraphMarks, GraphPlan> {
  readonly kind = "Layered graph";
  readonly #names: string[];
  readonly #labels: string[];
  readonly #places: { across: number[]; step: number[] };
  #shown: number;
  #most = 1;
  #touched = new Set<number>();

  constructor(readonly data: GraphData) {
    this.#names = data.names.map(shownLabel);
    this.#labels = data.labels.map(shownLabel);
    this.#places = placesOf(data);
    this.#shown = data.shown;
    this.shown = data.shown;
  }

  get count(): number {
    return this.data.names.length;
  }

  /** How many links are drawn. */
  get shown(): number {
    return this.#shown;
  }

  set shown(count: number) {
    const { source, target, values } = this.data;
    this.#shown = clip(Math.round(count), 1, source.length);
    this.#touched = new Set([...source.slice(0, this.#shown), ...target.slice(0, this.#shown)]);
    this.#most = largest(Array.from(values.slice(0, this.#shown), (v) => (Number.isNaN(v) ? 0 : Math.abs(v)))) || 1;
  }

  layout(width: number, { compact = false, title = "", height }: LayoutOptions = {}): GraphPlan {
    const { rows, row } = this.data, wide = Math.min(width, 980), top = title ? 36 : 6;
    const left = compact ? 4 : largest(rows.map((label) => measure(label, SIZE))) + 14;
    const room = wide - left - 8, tall = compact ? 2.5 : 9;
    const spacing = compact ? 9 : height === undefined ? clip(620 / rows.length, 27, 62) : Math.max(22, (height - top - 30) / rows.length);
    const bottom = top + tall + 4 + spacing * (rows.length - 1);
    const x = this.#places.across.map((at) => left + at * room);
    const half = this.#labels.map((label, i) => {
      const free = (this.#places.step[i] * room) / 2 - 1.5;
      return Math.max(2, compact ? Math.min(free, 5) : Math.min(free, Math.max(17, measure(label, SIZE) / 2 + 7)));
    });
    return { width: wide, height: Math.ceil(bottom + tall + 6), compact, x, half, y: row.map((at) => bottom - at * spacing), tall, left };
  }

  draw(pen: Pen, plan: GraphPlan, theme: Theme): void {
    const { source, target, rows, row } = this.data;
    if (!plan.compact) {
      rows.forEach((label, at) => {
        const i = row.indexOf(at);
        if (label && i >= 0) pen.text(2, plan.y[i], label, theme.faint, { size: SIZE });
      });
    }
    for (let k = this.#shown - 1; k >= 0; k--) this.#drawLink(pen, plan, k, source[k], target[k], theme, false);
    for (const i of this.#touched) this.#drawBox(pen, plan, i, theme, theme.faint);
  }

  #part(k: number): number {
    const value = this.data.values[k];
    return Number.isNaN(value) ? 0.3 : Math.abs(value) / this.#most;
  }

  #drawLink(pen: Pen, plan: GraphPlan, k: number, from: number, to: number, theme: Theme, full: boolean): void {
    const value = this.data.values[k], part = this.#part(k);
    const colour = Number.isNaN(value) ? theme.faint : (value >= 0 ? POSITIVE : NEGATIVE)[theme.name];
    const start: Point = [plan.x[from], plan.y[from] - plan.tall];
    const end: Point = [plan.x[to] + 0.75 * this.data.port[k] * plan.half[to], plan.y[to] + plan.tall];
    const bend = 0.45 * (start[1] - end[1]), aside = this.#aside(plan, k, start[0], end[0]), width = plan.compact ? 0.4 + 1.2 * part : 0.8 + 4.2 * part;
    pen.curve(start, [start[0] + aside, start[1] - bend], [end[0] + aside, end[1] + bend], end, colour, {
      width,
      dash: value < 0 && !plan.compact ? [3.5 + 2 * width, 2.5 + width] : [],
      alpha: full ? 0.6 + 0.4 * part : 0.38 + 0.52 * part,
    });
  }

  /** How far a link swings out: straight ones that pass over rows would hide behind their boxes. */
  #aside(plan: GraphPlan, k: number, from: number, to: number): number {
    const { row, source, target, port } = this.data, over = row[target[k]] - row[source[k]] - 1;
    if (over < 1 || Math.abs(to - from) > 40) return 0;
    const far = 30 + 8 * Math.min(over, 6) + 16 * Math.abs(port[k]), right = Math.max(from, to) + 0.75 * far < plan.width;
    return port[k] < 0 || !right ? -far : far;
  }

  #drawBox(pen: Pen, plan: GraphPlan, i: number, theme: Theme, edge: string): void {
    const { tall } = plan, half = plan.half[i], [x, y] = [plan.x[i], plan.y[i]];
    const corners: Point[] = [[x - half, y - tall], [x + half, y - tall], [x + half, y + tall], [x - half, y + tall]];
    pen.area(corners, theme.paper, 1);
    pen.line([...corners, corners[0]], edge, { width: plan.compact ? 0.6 : 1 });
    if (plan.compact) return;
    for (const label of writingsOf(this.#labels[i])) {
      const size = [SIZE, 9.5, 8].find((each) => measure(label, each) <= 2 * half - 2);
      if (size) return pen.text(x, y, label, theme.ink, { size, anchor: "middle" });
    }
  }

  probe(plan: GraphPlan, x: number, y: number): number | null {
    let found: number | null = null, least = Infinity;
    for (const i of this.#touched) {
      const aside = Math.max(0, Math.abs(x - plan.x[i]) - plan.half[i]), above = Math.max(0, Math.abs(y - plan.y[i]) - plan.tall);
      const far = Math.hypot(aside, above);
      if (far <= 6 && far < least) [found, least] = [i, far];
    }
    return found;
  }

  /** Left and right in a row, up and down to the nearest box of the next row that has one. */
  move(at: number | null, key: string): number | undefined {
    if (!["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(key)) return undefined;
    const { row } = this.data, { across } = this.#places;
    const all = [...this.#touched].sort((a, b) => row[a] - row[b] || across[a] - across[b]);
    if (!all.length) return undefined;
    if (at === null || !this.#touched.has(at) || key === "Home") return key === "End" ? all[all.length - 1] : all[0];
    if (key === "End") return all[all.length - 1];
    const step = key === "ArrowLeft" || key === "ArrowDown" ? -1 : 1;
    if (key === "ArrowLeft" || key === "ArrowRight") {
      const inRow = all.filter((i) => row[i] === row[at]);
      return inRow[clip(inRow.indexOf(at) + step, 0, inRow.length - 1)];
    }
    const levels = [...new Set(all.map((i) => row[i]))], level = levels[levels.indexOf(row[at]) + step];
    if (level === undefined) return at;
    const there = all.filter((i) => row[i] === level);
    return there.reduce((best, i) => (Math.abs(across[i] - across[at]) < Math.abs(across[best] - across[at]) ? i : best));
  }

  #linksOf(at: number): { into: number[]; out: number[] } {
    const { source, target } = this.data, into: number[] = [], out: number[] = [];
    for (let k = 0; k < this.#shown; k++) {
      if (target[k] === at) into.push(k);
      if (source[k] === at) out.push(k);
    }
    return { into, out };
  }

  /** A box with its links alone; the others stay faint beneath. */
  mark(pen: Pen, plan: GraphPlan, at: number, theme: Theme): void {
    if (!this.#touched.has(at)) return;
    const { source, target } = this.data, { into, out } = this.#linksOf(at);
    pen.area([[plan.left - 4, 0], [plan.width, 0], [plan.width, plan.height], [plan.left - 4, plan.height]], theme.paper, 0.82);
    const mine = [...into, ...out];
    for (const k of mine) this.#drawLink(pen, plan, k, source[k], target[k], theme, true);
    for (const i of new Set(mine.flatMap((k) => [source[k], target[k]]))) this.#drawBox(pen, plan, i, theme, i === at ? theme.accent : theme.faint);
  }

  outline(pen: Pen, plan: GraphPlan, { parts = [] }: GraphMarks, theme: Theme): void {
    for (const i of parts) if (this.#touched.has(i)) this.#drawBox(pen, plan, i, theme, theme.accent);
  }

  where(plan: GraphPlan, at: number): Point {
    return [plan.x[at] + plan.half[at], plan.y[at]];
  }

  lines(at: number): string[] {
    const { source, target } = this.data, { into, out } = this.#linksOf(at);
    return [this.#names[at], ...this.#told("from", into, source), ...this.#told("to", out, target)];
  }

  #told(word: string, links: number[], ends: readonly number[]): string[] {
    const { note, values } = this.data, noun = this.data.noun ?? "links";
    const size = (k: number) => (Number.isNaN(values[k]) ? 0 : Math.abs(values[k]));
    const sorted = [...links].sort((a, b) => size(b) - size(a));
    const lines = sorted.slice(0, MOST_TOLD).map((k) => {
      const value = Number.isNaN(values[k]) ? "" : ` ${number(values[k], 3)}`;
      return `${word} ${this.#names[ends[k]]}${note[k] ? ` (${note[k]})` : ""}${value}`;
    });
    return links.length > MOST_TOLD ? [...lines, `${word} ${links.length - MOST_TOLD} more ${noun}`] : lines;
  }

  table(): TableData {
    const { source, target, note, values, unit } = this.data;
    return {
      head: ["rank", "from", "to", "at", unit || "value"],
      rows: source.map((from, k) => [k + 1, this.#names[from], this.#names[target[k]], note[k], exact(values[k])]),
    };
  }

  json(): Record<string, unknown> {
    const { values, measured: curve, ...rest } = this.data;
    const measured = curve && {
      name: curve.name, sizes: plain(curve.sizes), values: plain(curve.values),
      lo: curve.lo ? plain(curve.lo) : null, hi: curve.hi ? plain(curve.hi) : null,
    };
    return { kind: "graph", ...rest, values: plain(values), measured: measured ?? null };
  }
}
