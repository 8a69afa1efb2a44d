// Bars: horizontal, coloured by sign, whiskers for intervals.

import { corners } from "./boxes";
import { moveInList, plain, type Chart, type LayoutOptions, type Plan, type TableData } from "./chart";
import { exact, number, shownLabel } from "./numerals";
import { NEGATIVE, POSITIVE } from "./palette";
import { ellipsis, measure, type Pen, type Point } from "./pen";
import { clip, largest, ticks } from "./scales";
import { Stage, type StageOptions } from "./stage";
import type { Theme } from "./theme";

const SIZE = 11.5;

export interface BarsData {
  names: readonly string[];
  values: Float32Array;
  lo?: Float32Array | null;
  hi?: Float32Array | null;
  x?: string;
  unit?: string;
  note?: (at: number) => string[];
}

export interface BarsMarks {
  at?: number | null;
}

export interface BarsPlan extends Plan {
  compact: boolean;
  x: number;
  y: number;
  w: number;
  h: number;
  row: number;
  low: number;
  high: number;
  nameRoom: number;
  below: number;
}

export class BarsChart implements Chart<BarsMarks, BarsPlan> {
  readonly kind = "Bar chart";
  readonly #names: string[];
  readonly #xTitle: string;

  constructor(readonly data: BarsData) {
    this.#names = data.names.map(shownLabel);
    this.#xTitle = data.x && data.unit ? `${data.x} (${data.unit})` : data.x || data.unit || "";
  }

  get count(): number {
    return this.data.values.length;
  }

  layout(width: number, { compact = false, title = "" }: LayoutOptions = {}): BarsPlan {
    const { values, lo, hi } = this.data, count = values.length;
    const wide = Math.min(width, 820), top = title ? 36 : 4;
    const nameRoom = compact ? 0 : Math.min(largest(this.#names.map((n) => measure(n, SIZE))), wide * (wide < 480 ? 0.46 : 0.36));
    const valueRoom = compact ? 0 : largest(Array.from(values, (v) => measure(shown(v), SIZE))) + 12;
    const ends = [0, ...values, ...(lo ?? []), ...(hi ?? [])].filter(Number.isFinite);
    const low = -largest(ends.map((v) => -v)), most = largest(ends), high = most === low ? low + 1 : most;
    const x = nameRoom + (compact ? 0 : 12), w = wide - x - valueRoom - (compact ? 0 : 8);
    const row = compact ? clip((wide * 0.6) / count, 2, 12) : count <= 72 ? 22 : Math.max(3, 1600 / count);
    const below = compact ? 2 : 24 + (this.#xTitle ? 20 : 0);
    return { width: wide, height: top + row * count + below, compact, x, y: top, w, h: row * count, row, low, high, nameRoom, below };
  }

  #placeX(plan: BarsPlan, value: number): number {
    return plan.x + ((value - plan.low) / (plan.high - plan.low)) * plan.w;
  }

  draw(pen: Pen, plan: BarsPlan, theme: Theme): void {
    const { values, lo, hi } = this.data, zero = this.#placeX(plan, 0);
    if (!plan.compact) this.#drawAxis(pen, plan, theme);
    values.forEach((value, i) => {
      const y = plan.y + i * plan.row, middle = y + plan.row / 2;
      if (!Number.isNaN(value)) {
        const end = this.#placeX(plan, value), colour = (value >= 0 ? POSITIVE : NEGATIVE)[theme.name];
        pen.rect(Math.min(zero, end), y + plan.row * 0.15, Math.max(Math.abs(end - zero), 0.5), plan.row * 0.7, colour);
      }
      if (lo && hi && !Number.isNaN(lo[i]) && !plan.compact) {
        this.#drawWhisker(pen, this.#placeX(plan, lo[i]), this.#placeX(plan, hi[i]), middle, theme);
      }
      if (plan.compact || i % Math.ceil(13 / plan.row)) return;
      pen.text(plan.x - 8, middle, ellipsis(this.#names[i], SIZE, plan.nameRoom), theme.ink, { size: SIZE, anchor: "end" });
      pen.text(plan.width - 2, middle, shown(value), theme.faint, { size: SIZE, anchor: "end" });
    });
    pen.line([[zero, plan.y], [zero, plan.y + plan.h]], theme.faint);
  }

  #drawWhisker(pen: Pen, left: number, right: number, y: number, theme: Theme): void {
    for (const [colour, width] of [[theme.paper, 3.4], [theme.ink, 1.4]] as const) {
      pen.line([[left, y], [right, y]], colour, { width });
      for (const x of [left, right]) pen.line([[x, y - 3.5], [x, y + 3.5]], colour, { width });
    }
  }

  #drawAxis(pen: Pen, plan: BarsPlan, theme: Theme): void {
    for (const tick of ticks(plan.low, plan.high, Math.max(2, plan.w / 90))) {
      const x = this.#placeX(plan, tick);
      pen.line([[x, plan.y], [x, plan.y + plan.h]], theme.rule);
      pen.text(x, plan.y + plan.h + 12, number(tick), theme.ink, { size: 11, anchor: "middle" });
    }
    if (this.#xTitle) pen.text(plan.x + plan.w / 2, plan.y + plan.h + plan.below - 10, this.#xTitle, theme.faint, { anchor: "middle" });
  }

  probe(plan: BarsPlan, _: number, y: number): number | null {
    const at = Math.floor((y - plan.y) / plan.row);
    return at >= 0 && at < this.data.values.length ? at : null;
  }

  move(at: number | null, key: string): number | undefined {
    return moveInList(at, key, this.data.values.length, "ArrowUp", "ArrowDown");
  }

  #band(plan: BarsPlan, at: number): Point[] {
    return corners([0, plan.y + at * plan.row, plan.width, plan.row]);
  }

  mark(pen: Pen, plan: BarsPlan, at: number, theme: Theme): void {
    pen.area(this.#band(plan, at), theme.ink, 0.07);
  }

  outline(pen: Pen, plan: BarsPlan, { at }: BarsMarks, theme: Theme): void {
    if (at != null && at >= 0 && at < this.data.values.length) pen.area(this.#band(plan, at), theme.accent, 0.16);
  }

  where(plan: BarsPlan, at: number): Point {
    return [this.#placeX(plan, Math.max(0, this.data.values[at] || 0)), plan.y + (at + 0.5) * plan.row];
  }

  lines(at: number): string[] {
    const { values, lo, hi, unit, note } = this.data;
    const band = lo && hi && !Number.isNaN(lo[at]) ? [`interval [${number(lo[at])}, ${number(hi[at])}]`] : [];
    const value = Number.isNaN(values[at]) ? "no value" : `${number(values[at], 5)}${unit ? ` ${unit}` : ""}`;
    return [this.#names[at], value, ...band, ...(note?.(at) ?? [])];
  }

  table(): TableData {
    const { names, values, lo, hi, unit } = this.data;
    const ends = (i: number) => (lo && hi ? [exact(lo[i]), exact(hi[i])] : []);
    return { head: ["name", unit || "value", ...(lo ? ["low", "high"] : [])], rows: names.map((name, i) => [name, exact(values[i]), ...ends(i)]) };
  }

  json(): Record<string, unknown> {
    const { values, lo, hi, note: _, ...rest } = this.data;
    return { kind: "bars", ...rest, values: plain(values), lo: lo ? plain(lo) : null, hi: hi ? plain(hi) : null };
  }
}

function shown(value: number): string {
  return Number.isNaN(value) ? "no value" : number(value, 3);
}

/** Bars in an element. */
export class Bars {
  readonly stage: Stage<BarsMarks, BarsPlan, BarsChart>;

  constructor(host: HTMLElement, options: StageOptions = {}) {
    this.stage = new Stage(host, options);
  }

  get chart(): BarsChart | null {
    return this.stage.chart;
  }

  show(data: BarsData): void {
    this.stage.show(new BarsChart(data));
  }

  mark(marks: BarsMarks | null): void {
    this.stage.mark(marks);
  }

  destroy(): void {
    this.stage.destroy();
  }
}
