// Token arcs: from each query up and over to the keys it looks at, thick where it looks hard.

import { moveInList, plainRows, type Chart, type LayoutOptions, type Plan, type TableData } from "./chart";
import { asFloats } from "./half";
import { exact, number, visible } from "./numerals";
import { NEGATIVE, POSITIVE } from "./palette";
import { ellipsis, measure, type Pen, type Point } from "./pen";
import { largest, whole } from "./scales";
import { Stage, type StageOptions } from "./stage";
import type { Theme } from "./theme";

const SIZE = 12, GAP = 10, LONGEST = 110, MOST_ARCS = 4000;
const WIDEST = 6000, NARROW = 72; // past so many pixels the names stand upright, NARROW of them tall

export interface ArcData {
  tokens: readonly string[];
  /** [q k] weights, float32 or halves. */
  weights: Float32Array | Uint16Array;
  /** Arcs weaker than this are left out. */
  threshold?: number;
  /** The weight of a full arc; without it the largest. */
  limit?: number;
  unit?: string;
}

export interface ArcMarks {
  q?: number | null;
  k?: number | null;
}

export interface ArcPlan extends Plan {
  /** The line that tokens stand under. */
  ground: number;
  /** Left edge and width of each token. */
  places: readonly (readonly [number, number])[];
  /** Names stand upright. */
  upright: boolean;
}

interface Arc {
  q: number;
  k: number;
  weight: number;
}

export class ArcChart implements Chart<ArcMarks, ArcPlan> {
  readonly kind = "Token arcs";
  readonly weights: Float32Array;
  readonly arcs: Arc[];
  readonly #names: string[];
  readonly #limit: number;

  constructor(readonly data: ArcData) {
    this.weights = asFloats(data.weights);
    this.#names = data.tokens.map((token) => visible(token));
    this.#limit = data.limit ?? (largest(this.weights.map(Math.abs)) || 1);
    this.arcs = this.#strong();
  }

  get count(): number {
    return this.data.tokens.length;
  }

  #strong(): Arc[] {
    const count = this.data.tokens.length, least = this.data.threshold ?? this.#limit * 0.05, found: Arc[] = [];
    this.weights.forEach((weight, i) => {
      if (Math.abs(weight) >= least && weight !== 0) found.push({ q: Math.floor(i / count), k: i % count, weight });
    });
    found.sort((a, b) => Math.abs(a.weight) - Math.abs(b.weight));
    return found.slice(-MOST_ARCS);
  }

  layout(width: number, { title = "", height }: LayoutOptions = {}): ArcPlan {
    let x = 8;
    const lying = 16 + this.#names.reduce((sum, name) => sum + Math.min(measure(name, SIZE), LONGEST) + GAP, 0);
    const upright = lying > WIDEST, pitch = Math.max(9, (width - 16) / this.#names.length);
    const places = this.#names.map((name) => {
      const wide = upright ? pitch - 1 : Math.min(measure(name, SIZE), LONGEST);
      const place = [x, wide] as const;
      x += upright ? pitch : wide + GAP;
      return place;
    });
    const all = Math.max(x, 60), spare = upright ? 0 : Math.max(0, (Math.min(width, all * 1.6) - all) / Math.max(1, places.length));
    const shifted = places.map(([left, wide], i) => [left + spare * (i + 0.5), wide] as const);
    const wide = Math.ceil(all + spare * places.length);
    const below = upright ? NARROW + 12 : 34, tall = Math.max(90, (height ?? Math.min(260, 60 + wide * 0.22) + below) - below - 8), top = title ? 36 : 8;
    return { width: wide, height: whole(top + tall + below), ground: top + tall, places: shifted, upright };
  }

  #middle(plan: ArcPlan, at: number): number {
    const [left, wide] = plan.places[at];
    return left + wide / 2;
  }

  #drawArc(pen: Pen, plan: ArcPlan, arc: Arc, theme: Theme, full: boolean): void {
    const part = Math.min(1, Math.abs(arc.weight) / this.#limit);
    const colour = (arc.weight >= 0 ? POSITIVE : NEGATIVE)[theme.name];
    const stroke = { width: 0.6 + 3.4 * part, alpha: full ? 0.35 + 0.65 * part : 0.08 + 0.72 * part * part };
    const from = this.#middle(plan, arc.q), to = this.#middle(plan, arc.k), { ground } = plan;
    if (arc.q === arc.k) {
      const up = ground - 26;
      pen.curve([from - 5, ground], [from - 12, up], [from + 12, up], [from + 5, ground], colour, stroke);
      return;
    }
    const rise = Math.min(ground - 10, 24 + Math.abs(from - to) * 0.55) * 1.25;
    pen.curve([from, ground], [from, ground - rise], [to, ground - rise], [to, ground], colour, stroke);
  }

  draw(pen: Pen, plan: ArcPlan, theme: Theme): void {
    for (const arc of this.arcs) this.#drawArc(pen, plan, arc, theme, false);
    pen.line([[4, plan.ground + 2], [plan.width - 4, plan.ground + 2]], theme.rule);
    this.#names.forEach((_, at) => this.#drawName(pen, plan, at, theme.ink));
  }

  #drawName(pen: Pen, plan: ArcPlan, at: number, colour: string): void {
    if (plan.upright) {
      pen.text(this.#middle(plan, at), plan.ground + 6, ellipsis(this.#names[at], 9, NARROW), colour, { size: 9, anchor: "end", turn: -90 });
      return;
    }
    pen.text(this.#middle(plan, at), plan.ground + 16, ellipsis(this.#names[at], SIZE, LONGEST), colour, { size: SIZE, anchor: "middle" });
  }

  probe(plan: ArcPlan, x: number, y: number): number | null {
    if (y < 0 || y > plan.height) return null;
    const side = plan.upright ? 0.5 : GAP / 2;
    const at = plan.places.findIndex(([left, wide]) => x >= left - side && x < left + wide + side);
    return at < 0 ? null : at;
  }

  move(at: number | null, key: string): number | undefined {
    return moveInList(at, key, this.#names.length, "ArrowLeft", "ArrowRight");
  }

  /** A token alone: what it looks at, in full; what looks at it stays faint beneath. */
  mark(pen: Pen, plan: ArcPlan, at: number, theme: Theme): void {
    pen.area([[0, 0], [plan.width, 0], [plan.width, plan.ground + 1], [0, plan.ground + 1]], theme.paper, 0.85);
    for (const arc of this.arcs) if (arc.q === at) this.#drawArc(pen, plan, arc, theme, true);
    const [left, wide] = plan.places[at], y = plan.ground + 4, side = plan.upright ? 0 : 5, end = plan.height - 4;
    pen.area([[left - side, y], [left + wide + side, y], [left + wide + side, end], [left - side, end]], theme.accent, 0.25);
  }

  outline(pen: Pen, plan: ArcPlan, marks: ArcMarks, theme: Theme): void {
    const count = this.#names.length, known = (n?: number | null): n is number => n != null && n >= 0 && n < count;
    if (known(marks.q)) {
      for (const arc of this.arcs) {
        if (arc.q === marks.q && (!known(marks.k) || arc.k === marks.k)) this.#drawArc(pen, plan, arc, theme, true);
      }
    }
    for (const at of [marks.q, marks.k]) {
      if (!known(at)) continue;
      const [left, wide] = plan.places[at], y = plan.height - 4;
      pen.line([[left, y], [left + wide, y]], theme.accent, { width: 2.5 });
    }
  }

  where(plan: ArcPlan, at: number): Point {
    return [this.#middle(plan, at), plan.ground + 20];
  }

  lines(at: number): string[] {
    const looks = this.arcs.filter((arc) => arc.q === at).reverse();
    const shown = looks.slice(0, 6).map(({ k, weight }) => `${number(weight, 3)} → ${k} ${this.#names[k]}`);
    const rest = looks.length > 6 ? [`and ${looks.length - 6} more`] : looks.length ? [] : ["looks at nothing above the threshold"];
    return [`${at} ${this.#names[at]}`, ...shown, ...rest];
  }

  table(): TableData {
    const name = (at: number) => `${at} ${this.#names[at]}`;
    return { head: ["query", "key", this.data.unit || "weight"], rows: [...this.arcs].reverse().map(({ q, k, weight }) => [name(q), name(k), exact(weight)]) };
  }

  json(): Record<string, unknown> {
    const { weights: _, ...rest } = this.data, count = rest.tokens.length;
    return { kind: "arcs", ...rest, weights: plainRows(this.weights, count, count) };
  }
}

export interface ArcOptions extends StageOptions {}

/** Token arcs in an element; the pointer is at tokens. */
export class Arcs {
  readonly stage: Stage<ArcMarks, ArcPlan, ArcChart>;

  constructor(host: HTMLElement, options: ArcOptions = {}) {
    this.stage = new Stage(host, options);
  }

  get chart(): ArcChart | null {
    return this.stage.chart;
  }

  show(data: ArcData): void {
    this.stage.show(new ArcChart(data));
  }

  mark(marks: ArcMarks | null): void {
    this.stage.mark(marks);
  }

  /** Highlight a token from elsewhere. */
  hover(at: number | null): void {
    this.stage.hover(at);
  }

  destroy(): void {
    this.stage.destroy();
  }
}
