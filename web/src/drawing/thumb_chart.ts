// All heads at once: each a small picture of its pattern, from bytes, on one sheet of pixels.

import { frame, grown } from "./boxes";
import { moveInGrid, type Chart, type LayoutOptions, type Plan, type TableData } from "./chart";
import { number } from "./numerals";
import { byteTable, type Scale } from "./palette";
import { measure, type Box, type Pen, type Point } from "./pen";
import { Picture } from "./picture";
import { pooled } from "./pooling";
import { largest, spread } from "./scales";
import type { Theme, ThemeName } from "./theme";

const LABEL = 11, GAP = 3;

export interface ThumbData {
  /** [layer head q k]; 0 to 255 is 0 to `limit`, or, diverging, 128 is zero and 255 is `limit`. */
  bytes: Uint8Array;
  layers: number;
  heads: number;
  /** Side of one picture in cells, when it is square; else q cells down and k across. */
  side?: number;
  down?: number;
  across?: number;
  scale?: Scale;
  limit?: number;
  unit?: string;
  /** More lines to tell of a head. */
  note?: (layer: number, head: number) => string[];
  /** Least and largest side of a thumbnail, pixels. */
  least?: number;
  most?: number;
}

export interface HeadMarks {
  layer?: number | null;
  head?: number | null;
  /** More heads to point out, such as those edited. */
  others?: readonly (readonly [layer: number, head: number])[];
}

export interface ThumbPlan extends Plan {
  x: number;
  y: number;
  step: number;
  gap: number;
  side: number;
}

export class ThumbChart implements Chart<HeadMarks, ThumbPlan> {
  readonly kind = "All heads";
  readonly down: number;
  readonly across: number;
  readonly scale: Scale;
  readonly #pooled = new Map<string, Uint8Array>();
  readonly #sheets = new Map<string, Picture>();
  /** Canvas pixels to a CSS pixel: thumbnails are pooled to what can be shown. */
  density = 1;

  constructor(readonly data: ThumbData) {
    this.down = data.down ?? data.side ?? 1;
    this.across = data.across ?? data.side ?? 1;
    this.scale = data.scale ?? "sequential";
  }

  get count(): number {
    return this.data.layers * this.data.heads;
  }

  layout(width: number, { title = "", height }: LayoutOptions = {}): ThumbPlan {
    const { layers, heads, least = 12, most = 128 } = this.data;
    const widest = largest(Array.from({ length: layers }, (_, layer) => measure(`L${layer}`, LABEL)));
    const x = Math.ceil(widest) + 14, y = (title ? 36 : 0) + 20;
    let step = Math.min((width - x - 4) / heads, most);
    if (height !== undefined) step = Math.min(step, Math.max((height - y - 4) / layers, 24));
    step = Math.floor(Math.max(step, least));
    const gap = step > 40 ? GAP : step > 18 ? 2 : 1;
    return { width: Math.ceil(Math.max(x + step * heads + 4, 60)), height: Math.ceil(y + step * layers + 4), x, y, step, gap, side: step - gap };
  }

  draw(pen: Pen, plan: ThumbPlan, theme: Theme): void {
    const { layers, heads } = this.data;
    const rows = this.#resolution(this.down, plan), cols = this.#resolution(this.across, plan);
    const sheet = this.sheet(rows, cols, theme.name);
    for (let layer = 0; layer < layers; layer++) {
      for (let head = 0; head < heads; head++) {
        pen.picture(sheet, this.box(plan, layer * heads + head), [head * cols, layer * rows, cols, rows]);
      }
    }
    for (const layer of spread(layers, Math.ceil(13 / plan.step))) {
      pen.text(plan.x - 7, plan.y + layer * plan.step + plan.side / 2, `L${layer}`, theme.ink, { size: LABEL, anchor: "end" });
    }
    for (const head of spread(heads, Math.ceil((measure(`H${heads - 1}`, LABEL) + 6) / plan.step))) {
      pen.text(plan.x + head * plan.step + plan.side / 2, plan.y - 10, `H${head}`, theme.faint, { size: LABEL, anchor: "middle" });
    }
  }

  /** Cells of a thumbnail's side as drawn: pooled where there are more cells than pixels. */
  #resolution(cells: number, plan: ThumbPlan): number {
    return Math.max(1, Math.min(cells, Math.round(plan.side * this.density)));
  }

  /** All thumbnails side by side as pixels, heads across, layers down. */
  sheet(rows: number, cols: number, theme: ThemeName): Picture {
    const name = `${rows} ${cols} ${theme}`, known = this.#sheets.get(name);
    if (known) return known;
    const { layers, heads } = this.data, bytes = this.#pool(rows, cols), colours = byteTable(this.scale, theme);
    const wide = heads * cols, pixels = new Uint32Array(wide * layers * rows);
    let from = 0;
    for (let layer = 0; layer < layers; layer++) {
      for (let head = 0; head < heads; head++) {
        for (let row = 0; row < rows; row++) {
          let to = (layer * rows + row) * wide + head * cols;
          for (const end = to + cols; to < end;) pixels[to++] = colours[bytes[from++]];
        }
      }
    }
    const made = new Picture(wide, layers * rows, pixels);
    if (this.#sheets.size > 3) this.#sheets.clear();
    this.#sheets.set(name, made);
    return made;
  }

  #pool(rows: number, cols: number): Uint8Array {
    if (rows === this.down && cols === this.across) return this.data.bytes;
    const name = `${rows} ${cols}`, known = this.#pooled.get(name);
    if (known) return known;
    const zero = this.scale === "diverging" ? 128 : 0;
    const made = pooled(this.data.bytes, this.data.layers * this.data.heads, [this.down, this.across], [rows, cols], zero);
    this.#pooled.set(name, made);
    return made;
  }

  box(plan: ThumbPlan, at: number): Box {
    const { heads } = this.data;
    return [plan.x + (at % heads) * plan.step, plan.y + Math.floor(at / heads) * plan.step, plan.side, plan.side];
  }

  probe(plan: ThumbPlan, x: number, y: number): number | null {
    const { layers, heads } = this.data;
    const head = Math.floor((x - plan.x + plan.gap / 2) / plan.step), layer = Math.floor((y - plan.y + plan.gap / 2) / plan.step);
    return head >= 0 && head < heads && layer >= 0 && layer < layers ? layer * heads + head : null;
  }

  move(at: number | null, key: string): number | undefined {
    return moveInGrid(at, key, this.data.layers, this.data.heads);
  }

  mark(pen: Pen, plan: ThumbPlan, at: number, theme: Theme): void {
    frame(pen, grown(this.box(plan, at), 1), theme.ink, 2);
  }

  outline(pen: Pen, plan: ThumbPlan, marks: HeadMarks, theme: Theme): void {
    const { layers, heads } = this.data;
    const inside = (layer?: number | null, head?: number | null) =>
      layer != null && head != null && layer >= 0 && head >= 0 && layer < layers && head < heads;
    for (const [layer, head] of marks.others ?? []) {
      if (inside(layer, head)) frame(pen, grown(this.box(plan, layer * heads + head), 0.5), theme.faint, 1.5);
    }
    if (!inside(marks.layer, marks.head)) return;
    const box = grown(this.box(plan, marks.layer! * heads + marks.head!), 1);
    frame(pen, box, theme.accent, Math.min(3, plan.gap + 1));
  }

  where(plan: ThumbPlan, at: number): Point {
    const [x, y, w, h] = this.box(plan, at);
    return [x + w / 2, y + h / 2];
  }

  /** The strongest cell of a head: its value. */
  strongest(at: number): number {
    const { bytes, limit = 1 } = this.data, size = this.down * this.across, zero = this.scale === "diverging" ? 128 : 0;
    let best = zero;
    for (let i = at * size; i < (at + 1) * size; i++) if (Math.abs(bytes[i] - zero) > Math.abs(best - zero)) best = bytes[i];
    return ((best - zero) / (255 - zero)) * limit;
  }

  lines(at: number): string[] {
    const { heads, note, unit } = this.data, layer = Math.floor(at / heads), head = at % heads;
    const told = note?.(layer, head) ?? [`strongest cell about ${number(this.strongest(at), 2)}${unit ? ` ${unit}` : ""}`];
    return [`L${layer}.H${head}`, ...told];
  }

  table(): TableData {
    const { layers, heads } = this.data;
    const row = (layer: number) => Array.from({ length: heads }, (_, head) => Number(this.strongest(layer * heads + head).toPrecision(3)));
    return {
      head: ["strongest cell", ...Array.from({ length: heads }, (_, head) => `H${head}`)],
      rows: Array.from({ length: layers }, (_, layer) => [`L${layer}`, ...row(layer)]),
    };
  }

  json(): Record<string, unknown> {
    const { bytes, note: _, ...rest } = this.data;
    return { kind: "thumbnails", ...rest, bytes: Array.from(bytes) };
  }
}
