// Line charts: series with bands; the pointer reads all series at one x.

import { moveInList, plain, type Chart, type LayoutOptions, type Plan, type TableData } from "./chart";
import { exact, number, shownLabel } from "./numerals";
import { seriesStyle } from "./palette";
import { ellipsis, measure, type Pen, type Point } from "./pen";
import { clip, largest, powers, spread, ticks } from "./scales";
import type { Theme } from "./theme";

const SIZE = 11;
/** Share of the width that the names of level lines may take, at their right. */
const GUIDE = 0.25;

export type AxisScale = "linear" | "log";

export interface SeriesData {
  name: string;
  y: Float32Array;
  lo?: Float32Array | null;
  hi?: Float32Array | null;
}

export interface LinesData {
  xs: Float32Array;
  series: readonly SeriesData[];
  x?: string;
  y?: string;
  unit?: string;
  xScale?: AxisScale;
  yScale?: AxisScale;
  /** Names of the places along x, instead of numbers. */
  labels?: readonly string[] | null;
  /** Level lines. */
  guides?: readonly { y: number; label: string }[];
  /** Upright lines, such as midpoints, each with an interval. */
  moments?: readonly { x: number; lo?: number | null; hi?: number | null; label: string }[];
}

export interface LinesMarks {
  /** Index along x. */
  at?: number | null;
}

export interface LinesPlan extends Plan {
  compact: boolean;
  x: number;
  y: number;
  w: number;
  h: number;
  low: number;
  high: number;
  yTicks: number[];
  below: number;
  legend: number;
  turned: boolean;
  titles: string[];
}

const AXES: Record<AxisScale, (value: number) => number> = { linear: (v) => v, log: (v) => Math.log10(v) };

export class LinesChart implements Chart<LinesMarks, LinesPlan> {
  readonly kind = "Line chart";
  readonly hidden = new Set<number>();
  readonly #xLog: boolean;
  readonly #yLog: boolean;
  readonly #first: number;
  readonly #span: number;
  readonly #unit: string;
  readonly #labels: string[] | null;
  readonly #yTitle: string;

  constructor(readonly data: LinesData) {
    this.#xLog = data.xScale === "log";
    this.#yLog = data.yScale === "log";
    const last = this.#fx(data.xs[data.xs.length - 1]);
    this.#first = this.#fx(data.xs[0]);
    this.#span = Math.max(last - this.#first, 1e-12);
    this.#unit = data.unit ? ` ${data.unit}` : "";
    this.#labels = data.labels ? data.labels.map(shownLabel) : null;
    this.#yTitle = data.y && data.unit ? `${data.y} (${data.unit})` : data.y || data.unit || "";
  }

  get count(): number {
    return this.data.xs.length;
  }

  #fx(value: number): number {
    return AXES[this.#xLog ? "log" : "linear"](value);
  }

  #fy(value: number): number {
    return AXES[this.#yLog ? "log" : "linear"](value);
  }

  #extent(): [number, number] {
    let low = Infinity, high = -Infinity;
    const take = (value: number) => {
      if (!Number.isFinite(value) || (this.#yLog && value <= 0)) return;
      low = Math.min(low, this.#fy(value));
      high = Math.max(high, this.#fy(value));
    };
    this.data.guides?.forEach((guide) => take(guide.y));
    this.data.series.forEach((line, k) => {
      if (!this.hidden.has(k)) [line.y, line.lo, line.hi].forEach((part) => part?.forEach(take));
    });
    if (low > high) [low, high] = [0, 1];
    const size = Math.max(Math.abs(low), Math.abs(high));
    if (high - low <= 1e-9 * size) [low, high] = [low - (0.1 * size || 0.5), high + (0.1 * size || 0.5)];
    const pad = (high - low) * 0.06;
    return [low - pad, high + pad];
  }

  #yValue(tick: number): number {
    return this.#yLog ? 10 ** tick : tick;
  }

  layout(width: number, { compact = false, title = "", height }: LayoutOptions = {}): LinesPlan {
    const { data } = this, count = data.xs.length, [low, high] = this.#extent();
    const yTicks = this.#yLog ? powers(low, high) : ticks(low, high, compact ? 2 : 5);
    const room = largest(yTicks.map((t) => measure(number(this.#yValue(t), 3), SIZE)), 8);
    const wide = Math.min(width, 980), natural = compact ? wide * 0.55 : clip(wide * 0.42, 190, 320);
    const titles = compact ? [] : this.#yTitles(height ? Math.min(natural, height - 60) : natural);
    const least = room + 12 + (titles.length ? 7 + 15 * titles.length : 0);
    const top = (title ? 36 : 10) + (data.moments?.length && !compact ? 14 : 0);
    const legend = title && data.series.length > 1 ? 20 : 0;
    const named = compact ? 0 : largest((data.guides ?? []).map((g) => Math.min(measure(g.label, SIZE), wide * GUIDE) + 8));
    const spaced = this.#labels ? largest(this.#labels.map((l) => measure(l, SIZE))) + 10 : 0;
    const turned = this.#labels !== null && spaced * count > wide - least - 16 && spaced > 34;
    const [before, after] = compact ? [0, 0] : this.#overhang(turned, wide - least - 16);
    const x = Math.max(least, before), w = Math.max(wide - x - Math.max(16, after, named), 60);
    const below = compact ? 4 : (turned ? Math.min(spaced, 100) * 0.71 + 14 : 24) + (data.x ? 20 : 0);
    const h = height === undefined || compact ? natural : Math.max(90, height - top - legend - below);
    return { width: wide, height: top + legend + h + below, compact, x, y: top + legend, w, h, low, high, yTicks, below, legend, turned, titles };
  }

  /** The title of y in one line, or in two where one is too long for the height. */
  #yTitles(room: number): string[] {
    const { y, unit } = this.data, whole = this.#yTitle;
    if (!whole) return [];
    return y && unit && measure(whole, 12) > room ? [y, `(${unit})`] : [whole];
  }

  /** Pixels that the first and the last label need beyond their ticks. */
  #overhang(turned: boolean, w: number): [number, number] {
    const names = this.#labels ?? this.#xTicks({ x: 0, w, turned }).map(([, name]) => name);
    const [head, tail] = [names[0] ?? "", names[names.length - 1] ?? ""].map((name) => measure(name, SIZE));
    return turned ? [Math.min(head, 100) * 0.71, 16] : [head / 2, tail / 2 + 2];
  }

  #placeX(plan: Pick<LinesPlan, "x" | "w">, i: number): number {
    const { xs } = this.data;
    return xs.length === 1 ? plan.x + plan.w / 2 : this.#across(plan, xs[i]);
  }

  #across(plan: Pick<LinesPlan, "x" | "w">, value: number): number {
    return plan.x + 4 + ((this.#fx(value) - this.#first) / this.#span) * (plan.w - 8);
  }

  #placeY(plan: LinesPlan, value: number): number {
    return plan.y + ((plan.high - this.#fy(value)) / (plan.high - plan.low)) * plan.h;
  }

  draw(pen: Pen, plan: LinesPlan, theme: Theme): void {
    for (const t of plan.yTicks) {
      const y = plan.y + ((plan.high - t) / (plan.high - plan.low)) * plan.h;
      pen.line([[plan.x, y], [plan.x + plan.w, y]], theme.rule);
      pen.text(plan.x - 7, y, number(this.#yValue(t), 3), theme.ink, { size: SIZE, anchor: "end" });
    }
    pen.line([[plan.x, plan.y + plan.h], [plan.x + plan.w, plan.y + plan.h]], theme.faint);
    if (!plan.compact) this.#drawX(pen, plan, theme);
    for (const guide of this.data.guides ?? []) {
      const y = this.#placeY(plan, guide.y);
      pen.line([[plan.x, y], [plan.x + plan.w, y]], theme.faint, { dash: [5, 4] });
      if (!plan.compact) pen.text(plan.x + plan.w + 6, y, ellipsis(guide.label, SIZE, plan.width * GUIDE), theme.faint, { size: SIZE });
    }
    this.#drawMoments(pen, plan, theme);
    this.data.series.forEach((line, k) => this.hidden.has(k) || this.#drawSeries(pen, plan, line, k, theme));
    plan.titles.forEach((text, k) => {
      pen.text(10 + 15 * k, plan.y + plan.h / 2, ellipsis(text, 12, plan.h), theme.faint, { anchor: "middle", turn: -90 });
    });
    if (plan.legend) this.#drawLegend(pen, plan, theme);
  }

  #drawMoments(pen: Pen, plan: LinesPlan, theme: Theme): void {
    const top = plan.y, bottom = plan.y + plan.h;
    for (const { x, lo, hi, label } of this.data.moments ?? []) {
      const at = this.#across(plan, x);
      if (lo != null && hi != null) {
        const [left, right] = [lo, hi].map((end) => clip(this.#across(plan, end), plan.x, plan.x + plan.w));
        pen.area([[left, top], [right, top], [right, bottom], [left, bottom]], theme.faint, 0.14);
      }
      pen.line([[at, top], [at, bottom]], theme.faint);
      if (plan.compact) continue;
      const half = measure(label, SIZE) / 2;
      pen.text(clip(at, plan.x + half, plan.x + plan.w - half), top - 8, label, theme.faint, { size: SIZE, anchor: "middle" });
    }
  }

  #drawX(pen: Pen, plan: LinesPlan, theme: Theme): void {
    const bottom = plan.y + plan.h;
    for (const [x, name] of this.#xTicks(plan)) {
      pen.line([[x, bottom], [x, bottom + 4]], theme.faint);
      if (plan.turned) pen.text(x + 3, bottom + 10, ellipsis(name, SIZE, 100), theme.ink, { size: SIZE, anchor: "end", turn: -45 });
      else pen.text(x, bottom + 14, name, theme.ink, { size: SIZE, anchor: "middle" });
    }
    if (this.data.x) pen.text(plan.x + plan.w / 2, bottom + plan.below - 9, this.data.x, theme.faint, { anchor: "middle" });
  }

  #xTicks(plan: Pick<LinesPlan, "x" | "w" | "turned">): [number, string][] {
    const count = this.data.xs.length, labels = this.#labels;
    if (labels) {
      const widest = plan.turned ? 16 : largest(labels.map((l) => measure(l, SIZE))) + 10;
      return spread(count, Math.max(1, Math.ceil((widest * count) / plan.w))).map((i) => [this.#placeX(plan, i), labels[i]]);
    }
    const last = this.#first + this.#span;
    const places = this.#xLog ? powers(this.#first, last) : ticks(this.#first, last, Math.max(2, plan.w / 90));
    const value = (t: number) => (this.#xLog ? 10 ** t : t);
    return places.map((t) => [plan.x + 4 + ((t - this.#first) / this.#span) * (plan.w - 8), number(value(t), 3)]);
  }

  #drawSeries(pen: Pen, plan: LinesPlan, line: SeriesData, k: number, theme: Theme): void {
    const { colour, dash } = seriesStyle(k, theme.name), { lo, hi } = line;
    const points = (part: Float32Array, run: number[]): Point[] =>
      run.filter((i) => !Number.isNaN(part[i])).map((i) => [this.#placeX(plan, i), this.#placeY(plan, part[i])]);
    for (const run of runs(line.y)) {
      if (lo && hi) pen.area([...points(hi, run), ...points(lo, run).reverse()], colour, 0.17);
      const path = points(line.y, run);
      pen.line(path, colour, { width: 2, dash });
      if (this.data.xs.length <= 40) path.forEach(([x, y]) => pen.dot(x, y, plan.compact ? 1.5 : 2.6, colour));
    }
  }

  #drawLegend(pen: Pen, plan: LinesPlan, theme: Theme): void {
    let x = plan.x;
    this.data.series.forEach((line, k) => {
      if (this.hidden.has(k)) return;
      const { colour, dash } = seriesStyle(k, theme.name), name = ellipsis(shownLabel(line.name), SIZE, 180);
      pen.line([[x, plan.y - 16], [x + 18, plan.y - 16]], colour, { width: 2, dash });
      pen.text(x + 23, plan.y - 16, name, theme.ink, { size: SIZE });
      x += 40 + measure(name, SIZE);
    });
  }

  probe(plan: LinesPlan, x: number, y: number): number | null {
    if (x < plan.x - 8 || x > plan.x + plan.w + 8 || y < plan.y - 4 || y > plan.y + plan.h + 4) return null;
    let best = 0;
    for (let i = 1; i < this.data.xs.length; i++) {
      if (Math.abs(this.#placeX(plan, i) - x) < Math.abs(this.#placeX(plan, best) - x)) best = i;
    }
    return best;
  }

  move(at: number | null, key: string): number | undefined {
    return moveInList(at, key, this.data.xs.length, "ArrowLeft", "ArrowRight");
  }

  mark(pen: Pen, plan: LinesPlan, at: number, theme: Theme): void {
    const x = this.#placeX(plan, at);
    pen.line([[x, plan.y], [x, plan.y + plan.h]], theme.faint);
    this.data.series.forEach((line, k) => {
      if (this.hidden.has(k) || Number.isNaN(line.y[at])) return;
      pen.dot(x, this.#placeY(plan, line.y[at]), 5, theme.paper);
      pen.dot(x, this.#placeY(plan, line.y[at]), 4, seriesStyle(k, theme.name).colour);
    });
  }

  outline(pen: Pen, plan: LinesPlan, { at }: LinesMarks, theme: Theme): void {
    if (at == null || at < 0 || at >= this.data.xs.length) return;
    const x = this.#placeX(plan, at);
    pen.line([[x, plan.y], [x, plan.y + plan.h]], theme.accent, { width: 2 });
  }

  where(plan: LinesPlan, at: number): Point {
    return [this.#placeX(plan, at), plan.y + 12];
  }

  #xName(at: number): string {
    return this.#labels ? this.#labels[at] : number(this.data.xs[at]);
  }

  lines(at: number): string[] {
    const shown = this.data.series.filter((_, k) => !this.hidden.has(k)).map(({ name, y, lo, hi }) => {
      const band = lo && hi ? ` [${number(lo[at])}, ${number(hi[at])}]` : "";
      return Number.isNaN(y[at]) ? `${shownLabel(name)}: no value` : `${shownLabel(name)}: ${number(y[at])}${this.#unit}${band}`;
    });
    return [`${this.data.x || "x"}: ${this.#xName(at)}`, ...shown];
  }

  table(): TableData {
    const { data } = this;
    const head = [data.x || "x", ...data.series.flatMap((s) => [s.name, ...(s.lo ? [`${s.name} low`, `${s.name} high`] : [])])];
    const values = (i: number) => data.series.flatMap((s) => [exact(s.y[i]), ...(s.lo && s.hi ? [exact(s.lo[i]), exact(s.hi[i])] : [])]);
    return { head, rows: Array.from(data.xs, (x, i) => [data.labels ? data.labels[i] : exact(x), ...values(i)]) };
  }

  json(): Record<string, unknown> {
    const { xs, series, ...rest } = this.data;
    const part = (values?: Float32Array | null) => (values ? plain(values) : null);
    const each = series.map(({ name, y, lo, hi }) => ({ name, y: part(y), lo: part(lo), hi: part(hi) }));
    return { kind: "lines", ...rest, xs: plain(xs), series: each };
  }
}

/** Stretches of values without a gap, as indices. */
export function runs(values: Float32Array): number[][] {
  const found: number[][] = [[]];
  values.forEach((value, i) => {
    if (Number.isNaN(value)) found.push([]);
    else found[found.length - 1].push(i);
  });
  return found.filter((run) => run.length);
}
