// One head in full: a large matrix with zoom and pan, a crosshair with the tokens' names and the
// exact value. Cells are painted once into a picture; a frame only copies a part of it.

import { corners, frame } from "./boxes";
import { moveInGrid, plainRows, type Chart, type LayoutOptions, type Plan, type TableData } from "./chart";
import { barRoom, drawBar } from "./colourbar";
import { asFloats } from "./half";
import type { GridMarks } from "./heatmap_chart";
import { exact, number, visible } from "./numerals";
import { colourRange, inkOn, paint, type Colouring, type Scale } from "./palette";
import { ellipsis, measure, type Box, type Pen, type Point } from "./pen";
import { Picture } from "./picture";
import { strongest } from "./pooling";
import { clip, largest, spread, whole } from "./scales";
import type { Theme, ThemeName } from "./theme";

const LABEL = 11, LONGEST = 96;
export const MOST_ZOOM = 64; // pixels to a cell

export interface MatrixData {
  /** [q k] as float32, or as halves in 16 bits; NaN is an impossible cell. */
  values: Float32Array | Uint16Array;
  /** Tokens of the rows (queries, destinations) and of the columns (keys, sources). */
  rows: readonly string[];
  cols: readonly string[];
  x?: string;
  y?: string;
  unit?: string;
  scale?: Scale;
  low?: number;
  high?: number;
  note?: (row: number, col: number) => string[];
}

/** What part is in sight: cells at the top left corner, and pixels to a cell. */
export interface Sight {
  row: number;
  col: number;
  zoom: number;
}

export interface MatrixPlan extends Plan {
  /** The window onto the cells. */
  box: Box;
  sight: Sight;
  /** The zoom that shows all. */
  fit: number;
  rowRoom: number;
}

export class MatrixChart implements Chart<GridMarks, MatrixPlan> {
  readonly kind = "Matrix";
  readonly values: Float32Array;
  readonly colouring: Colouring;
  readonly rowNames: string[];
  readonly colNames: string[];
  /** Null shows all. */
  sight: Sight | null = null;
  readonly #pictures = new Map<string, Picture>();
  readonly #rowRoom: number;
  readonly #colRoom: number;

  constructor(readonly data: MatrixData) {
    this.values = asFloats(data.values);
    const { scale = "sequential" } = data;
    const [low, high] = colourRange(this.values, scale);
    this.colouring = { scale, low: data.low ?? low, high: data.high ?? high };
    this.rowNames = data.rows.map((name, i) => `${i} ${visible(name)}`);
    this.colNames = data.cols.map((name, i) => `${i} ${visible(name)}`);
    this.#rowRoom = Math.min(largest(this.rowNames.map((n) => measure(n, LABEL))), LONGEST);
    this.#colRoom = Math.min(largest(this.colNames.map((n) => measure(n, LABEL))), LONGEST);
  }

  get count(): number {
    return this.values.length;
  }

  get rows(): number {
    return this.rowNames.length;
  }

  get cols(): number {
    return this.colNames.length;
  }

  layout(width: number, { title = "", height }: LayoutOptions = {}): MatrixPlan {
    const { data } = this;
    const left = Math.max(this.#rowRoom + 10 + (data.y ? 20 : 0), this.#colRoom * 0.71 + 4);
    const right = barRoom(this.colouring, false, data.unit ?? ""), top = title ? 36 : 8;
    const below = this.#colRoom * 0.71 + 18 + (data.x ? 20 : 0);
    const wide = Math.max(width - left - right, 60);
    const tall = height === undefined ? Math.min(wide * (this.rows / this.cols), 760) : Math.max(height - top - below, 60);
    const fit = Math.min(wide / this.cols, tall / this.rows, MOST_ZOOM);
    const sight = this.#settled(this.sight ?? { row: 0, col: 0, zoom: fit }, fit, wide, tall);
    const w = Math.min(wide, this.cols * sight.zoom), h = Math.min(tall, this.rows * sight.zoom);
    return { width: whole(left + w + right), height: whole(top + h + below), box: [left, top, w, h], sight, fit, rowRoom: this.#rowRoom };
  }

  #settled(sight: Sight, fit: number, wide: number, tall: number): Sight {
    const zoom = clip(sight.zoom, fit, Math.max(fit, MOST_ZOOM));
    return {
      zoom,
      row: clip(sight.row, 0, Math.max(0, this.rows - tall / zoom)),
      col: clip(sight.col, 0, Math.max(0, this.cols - wide / zoom)),
    };
  }

  /** The cells as pixels; where several cells share a pixel, that with the largest magnitude. */
  picture(theme: ThemeName, block = 1): Picture {
    const name = `${theme} ${block}`, known = this.#pictures.get(name);
    if (known) return known;
    const rows = Math.ceil(this.rows / block), cols = Math.ceil(this.cols / block);
    const values = block === 1 ? this.values : strongest(this.values, this.rows, this.cols, block);
    const made = new Picture(cols, rows, paint(values, this.colouring, theme));
    this.#pictures.set(name, made);
    return made;
  }

  draw(pen: Pen, plan: MatrixPlan, theme: Theme): void {
    const [x, y, w, h] = plan.box, { zoom, row, col } = plan.sight;
    const block = Math.max(1, Math.round(0.7 / zoom)), picture = this.picture(theme.name, block);
    pen.within(plan.box, () => {
      const part: Box = [col / block, row / block, Math.min(w / zoom / block, picture.cols), Math.min(h / zoom / block, picture.rows)];
      pen.picture(picture, plan.box, part);
      if (zoom >= 14) this.#drawGrid(pen, plan, theme);
      if (zoom >= 34) this.#drawValues(pen, plan, theme);
    });
    this.#drawNames(pen, plan, theme);
    drawBar(pen, x + w + 18, y, clip(h, 72, 300), plan.width - 9, this.colouring, false, this.data.unit ?? "", theme);
    if (this.data.x) pen.text(x + w / 2, plan.height - 10, this.data.x, theme.faint, { anchor: "middle" });
    if (this.data.y) pen.text(10, y + h / 2, this.data.y, theme.faint, { anchor: "middle", turn: -90 });
  }

  /** First and last cell in sight along an axis. */
  #seen(start: number, length: number, zoom: number, count: number): [number, number] {
    return [Math.max(0, Math.floor(start)), Math.min(count - 1, Math.ceil(start + length / zoom) - 1)];
  }

  #drawGrid(pen: Pen, plan: MatrixPlan, theme: Theme): void {
    const [x, y, w, h] = plan.box, { zoom, row, col } = plan.sight;
    const [r0, r1] = this.#seen(row, h, zoom, this.rows), [c0, c1] = this.#seen(col, w, zoom, this.cols);
    for (let c = c0 + 1; c <= c1; c++) pen.rect(x + (c - col) * zoom - 0.5, y, 1, h, theme.paper);
    for (let r = r0 + 1; r <= r1; r++) pen.rect(x, y + (r - row) * zoom - 0.5, w, 1, theme.paper);
  }

  #drawValues(pen: Pen, plan: MatrixPlan, theme: Theme): void {
    const [x, y, w, h] = plan.box, { zoom, row, col } = plan.sight, picture = this.picture(theme.name);
    const [r0, r1] = this.#seen(row, h, zoom, this.rows), [c0, c1] = this.#seen(col, w, zoom, this.cols);
    for (let r = r0; r <= r1; r++) {
      for (let c = c0; c <= c1; c++) {
        const at = r * this.cols + c, value = this.values[at];
        if (!Number.isFinite(value)) continue;
        pen.text(x + (c + 0.5 - col) * zoom, y + (r + 0.5 - row) * zoom, number(value, 2), inkOn(picture.pixels[at]), { size: 10, anchor: "middle" });
      }
    }
  }

  #drawNames(pen: Pen, plan: MatrixPlan, theme: Theme): void {
    const [x, y, w, h] = plan.box, { zoom, row, col } = plan.sight;
    const [r0, r1] = this.#seen(row, h, zoom, this.rows), [c0, c1] = this.#seen(col, w, zoom, this.cols);
    for (const i of spread(r1 - r0 + 1, Math.ceil(14 / zoom))) {
      const at = clip(y + (r0 + i + 0.5 - row) * zoom, y, y + h);
      pen.text(x - 6, at, ellipsis(this.rowNames[r0 + i], LABEL, plan.rowRoom), theme.ink, { size: LABEL, anchor: "end" });
    }
    for (const i of spread(c1 - c0 + 1, Math.ceil(18 / zoom))) {
      const at = clip(x + (c0 + i + 0.5 - col) * zoom, x, x + w);
      pen.text(at + 3, y + h + 8, ellipsis(this.colNames[c0 + i], LABEL, LONGEST), theme.ink, { size: LABEL, anchor: "end", turn: -45 });
    }
  }

  probe(plan: MatrixPlan, px: number, py: number): number | null {
    const [x, y, w, h] = plan.box, { zoom, row, col } = plan.sight;
    if (px < x || py < y || px >= x + w || py >= y + h) return null;
    const r = Math.floor(row + (py - y) / zoom), c = Math.floor(col + (px - x) / zoom);
    return r < this.rows && c < this.cols ? r * this.cols + c : null;
  }

  move(at: number | null, key: string): number | undefined {
    return moveInGrid(at, key, this.rows, this.cols);
  }

  /** The box of a cell, which may lie out of sight. */
  cell(plan: MatrixPlan, at: number): Box {
    const [x, y] = plan.box, { zoom, row, col } = plan.sight;
    return [x + ((at % this.cols) - col) * zoom, y + (Math.floor(at / this.cols) - row) * zoom, zoom, zoom];
  }

  mark(pen: Pen, plan: MatrixPlan, at: number, theme: Theme): void {
    const [x, y, w, h] = plan.box, [cx, cy, side] = this.cell(plan, at), middle = [cx + side / 2, cy + side / 2];
    const band = Math.max(side, 1);
    pen.within(plan.box, () => {
      pen.area(corners([x, middle[1] - band / 2, w, band]), theme.ink, side > 6 ? 0.12 : 0.5);
      pen.area(corners([middle[0] - band / 2, y, band, h]), theme.ink, side > 6 ? 0.12 : 0.5);
      frame(pen, side >= 5 ? [cx, cy, side, side] : [middle[0] - 3, middle[1] - 3, 6, 6], theme.ink, 2);
    });
    this.#plate(pen, this.rowNames[Math.floor(at / this.cols)], [x - 4, middle[1]], "row", theme, plan);
    this.#plate(pen, this.colNames[at % this.cols], [middle[0], y + h + 4], "col", theme, plan);
  }

  /** A name on a plate, over the names that are there. */
  #plate(pen: Pen, name: string, [x, y]: Point, axis: "row" | "col", theme: Theme, plan: MatrixPlan): void {
    const room = axis === "row" ? plan.box[0] - 8 : 160;
    const shown = ellipsis(name, LABEL + 1, room), wide = measure(shown, LABEL + 1, 600) + 10;
    const left = axis === "row" ? Math.max(0, x - wide) : clip(x - wide / 2, 0, plan.width - wide), top = axis === "row" ? y - 9 : y;
    pen.rect(left, top, wide, 18, theme.ink);
    pen.text(left + 5, top + 9, shown, theme.paper, { size: LABEL + 1, weight: 600 });
  }

  outline(pen: Pen, plan: MatrixPlan, marks: GridMarks, theme: Theme): void {
    const [x, y, w, h] = plan.box, { zoom } = plan.sight;
    pen.within(plan.box, () => {
      if (marks.row != null) frame(pen, [x, this.cell(plan, marks.row * this.cols)[1], w, zoom], theme.accent, 1.5);
      if (marks.col != null) frame(pen, [this.cell(plan, marks.col)[0], y, zoom, h], theme.accent, 1.5);
      for (const [row, col] of marks.cells ?? []) frame(pen, this.cell(plan, row * this.cols + col), theme.accent, 2.5);
    });
  }

  where(plan: MatrixPlan, at: number): Point {
    const [x, y, w, h] = this.cell(plan, at);
    return [x + w / 2, y + h / 2];
  }

  lines(at: number): string[] {
    const { data } = this, r = Math.floor(at / this.cols), c = at % this.cols, value = this.values[at];
    const shown = Number.isNaN(value) ? "no value possible here" : `${number(value, 5)}${data.unit ? ` ${data.unit}` : ""}`;
    return [shown, `${data.y || "from"}: ${this.rowNames[r]}`, `${data.x || "to"}: ${this.colNames[c]}`, ...(data.note?.(r, c) ?? [])];
  }

  table(): TableData {
    const head = [`${this.data.y || "from"} \\ ${this.data.x || "to"}`, ...this.colNames];
    return { head, rows: this.rowNames.map((name, r) => [name, ...Array.from(this.values.subarray(r * this.cols, (r + 1) * this.cols), exact)]) };
  }

  json(): Record<string, unknown> {
    const { values: _, note: __, ...rest } = this.data;
    return { kind: "matrix", ...rest, ...this.colouring, values: plainRows(this.values, this.rows, this.cols) };
  }
}
