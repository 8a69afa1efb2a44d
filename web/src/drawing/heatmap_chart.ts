// Heat maps: cells from float32 values, labels that never overlap, a colour bar or a key.

import { corners, frame } from "./boxes";
import { CategoryKey, type CategoryData } from "./categories";
import { moveInGrid, plainRows, type Chart, type LayoutOptions, type Plan, type TableData } from "./chart";
import { barRoom, drawBar } from "./colourbar";
import { exact, number, shownLabel } from "./numerals";
import { colourOf, colourRange, hexOf, inkOn, paint, type Colouring, type Scale } from "./palette";
import { ellipsis, measure, type Box, type Pen, type Point } from "./pen";
import { Picture } from "./picture";
import { clip, largest, spread, whole } from "./scales";
import type { Theme, ThemeName } from "./theme";

const LABEL = 11, TEXT = 10.5;
// With more columns than so many pixels hold, texts are told of a cell, not written into it.
const TEXT_WIDE = 46, TEXT_TALL = 20, WIDEST = 6000;

export interface HeatMapData extends Partial<CategoryData> {
  /** rows × cols; NaN is an impossible (or not yet computed) cell. */
  values: Float32Array;
  rows: readonly string[];
  cols: readonly string[];
  /** Titles of the column axis and the row axis. */
  x?: string;
  y?: string;
  unit?: string;
  scale?: Scale;
  /** Values at the ends of the colour bar; without them the values' own. */
  low?: number;
  high?: number;
  /** Short texts in the cells, such as top tokens. */
  text?: readonly (readonly string[])[] | null;
  /** More lines to tell of a cell. */
  note?: (row: number, col: number) => string[];
  /** What NaN means here. */
  impossible?: string;
  /** Largest side of a cell, pixels. */
  most?: number;
}

/** A row, a column, a cell: any of them. */
export interface GridMarks {
  row?: number | null;
  col?: number | null;
  /** Cells as [row, col]. */
  cells?: readonly (readonly [number, number])[];
}

export interface HeatMapPlan extends Plan {
  compact: boolean;
  x: number;
  y: number;
  w: number;
  h: number;
  cell: number;
  high: number;
  rowRoom: number;
  turned: boolean;
  below: number;
  /** Whether the key stands below the map, for want of width beside it. */
  keyBelow: boolean;
}

export class HeatMapChart implements Chart<GridMarks, HeatMapPlan> {
  readonly kind = "Heat map";
  readonly colouring: Colouring;
  readonly values: Float32Array;
  readonly key: CategoryKey | null;
  readonly #rowNames: string[];
  readonly #colNames: string[];
  readonly #unit: string;
  readonly #pixels: Partial<Record<ThemeName, Uint32Array<ArrayBuffer>>> = {};
  readonly #cut = new Map<string, string>();

  constructor(readonly data: HeatMapData) {
    const { scale = "diverging" } = data;
    const [low, high] = colourRange(data.values, scale);
    this.colouring = { scale, low: data.low ?? low, high: data.high ?? high };
    this.values = data.values;
    this.key = data.categories ? new CategoryKey({ ...data, categories: data.categories }, data.values) : null;
    this.#rowNames = data.rows.map(shownLabel);
    this.#colNames = data.cols.map(shownLabel);
    this.#unit = data.unit ? ` ${data.unit}` : "";
  }

  get count(): number {
    return this.values.length;
  }

  get rows(): number {
    return this.data.rows.length;
  }

  get cols(): number {
    return this.data.cols.length;
  }

  /** Write values into cells; false where their colours need the whole map drawn anew. */
  set(cells: Iterable<readonly [number, number]>, values: ArrayLike<number>): void {
    let next = 0;
    for (const [row, col] of cells) {
      const at = row * this.cols + col, value = values[next++];
      this.values[at] = value;
      for (const theme of ["light", "dark"] as const) {
        const pixels = this.#pixels[theme];
        if (pixels) pixels[at] = colourOf(value, this.colouring, theme);
      }
    }
  }

  layout(width: number, { compact = false, title = "", height }: LayoutOptions = {}): HeatMapPlan {
    const { rows, cols, data, key } = this;
    if (compact) {
      const tall = Math.min(width * clip(rows / cols, 0.4, 1.4), width * 1.4);
      return { width, height: tall, compact, x: 0, y: 0, w: width, h: tall, cell: width / cols, high: tall / rows, rowRoom: 0, turned: false, below: 0, keyBelow: false };
    }
    const rowRoom = Math.min(largest(this.#rowNames.map((n) => measure(n, LABEL))), Math.min(170, width * 0.3));
    const narrow = rowRoom + 10 + (data.y ? 20 : 0) + (key?.width ?? 0) + 18 + cols * (this.#written ? TEXT_WIDE : 2) > width;
    const keyBelow = key !== null && narrow;
    const right = keyBelow ? 16 : key ? 18 + key.width : barRoom(this.colouring, rows < 4, data.unit ?? "");
    const colWide = Math.min(largest(this.#colNames.map((n) => measure(n, LABEL))), 120);
    let left = rowRoom + 10 + (data.y ? 20 : 0);
    const most = data.most ?? (this.#written ? 96 : 52);
    let cell = Math.min(most, (width - left - right) / cols);
    const turned = colWide > cell - 6;
    if (turned) left = Math.max(left, colWide * 0.71 - cell / 2 + 4);
    cell = Math.max(this.#written ? TEXT_WIDE : 2, Math.min(cell, (width - left - right) / cols));
    if (cell >= 5) cell = Math.floor(cell);
    const below = turned ? colWide * 0.71 + 16 : 22;
    const top = title ? 36 : 8;
    const high = this.#rowHeight(cell, height === undefined ? undefined : height - top - below - (data.x ? 20 : 2));
    const w = cell * cols, h = high * rows;
    const least = keyBelow ? 0 : key ? key.height + 4 : 74 + below + (data.x ? 18 : 0);
    const under = keyBelow ? key.height + 12 : 0;
    return {
      width: whole(Math.max(left + w + right, 120)),
      height: whole(top + Math.max(h + below + (data.x ? 20 : 2), least) + under),
      compact, x: left, y: top, w, h, cell, high, rowRoom, turned, below, keyBelow,
    };
  }

  /** Whether the texts stand in the cells. */
  get #written(): boolean {
    return Boolean(this.data.text) && this.cols * TEXT_WIDE <= WIDEST;
  }

  #rowHeight(cell: number, room: number | undefined): number {
    const { rows, data } = this;
    let high = Math.max(this.#written ? 26 : Math.min(cell, 30), Math.min(16, 300 / rows));
    if (room !== undefined) high = clip(room / rows, this.#written ? TEXT_TALL : Math.min(high, 4), data.most ?? 52);
    else if (rows * high > 1100 && !this.#written) high = Math.max(Math.min(2, 7000 / rows), 1100 / rows);
    return high >= 5 ? Math.floor(high) : high;
  }

  pixels(theme: ThemeName): Uint32Array<ArrayBuffer> {
    return (this.#pixels[theme] ??= this.key ? this.key.pixels(theme) : paint(this.values, this.colouring, theme));
  }

  draw(pen: Pen, plan: HeatMapPlan, theme: Theme): void {
    const { data, key } = this, pixels = this.pixels(theme.name);
    pen.picture(new Picture(this.cols, this.rows, pixels), [plan.x, plan.y, plan.w, plan.h]);
    if (plan.compact) return;
    if (Math.min(plan.cell, plan.high) >= 13) this.#drawGrid(pen, plan, theme);
    key?.hatchCells(pen, (at) => this.box(plan, at), theme);
    if (this.#written) this.#drawText(pen, plan, pixels);
    this.#drawRowNames(pen, plan, theme);
    this.#drawColNames(pen, plan, theme);
    const x = plan.x + plan.w + 18;
    if (key && plan.keyBelow) key.draw(pen, plan.x, plan.height - key.height - 4, theme);
    else if (key) key.draw(pen, x, plan.y, theme);
    else drawBar(pen, x, plan.y, clip(plan.h, 72, 460), plan.width - 9, this.colouring, this.rows < 4, data.unit ?? "", theme);
    if (data.x) pen.text(plan.x + plan.w / 2, plan.y + plan.h + plan.below + 8, data.x, theme.faint, { anchor: "middle" });
    if (data.y) pen.text(10, plan.y + plan.h / 2, data.y, theme.faint, { anchor: "middle", turn: -90 });
  }

  #drawGrid(pen: Pen, plan: HeatMapPlan, theme: Theme): void {
    for (let c = 1; c < this.cols; c++) pen.rect(plan.x + c * plan.cell - 0.5, plan.y, 1, plan.h, theme.paper);
    for (let r = 1; r < this.rows; r++) pen.rect(plan.x, plan.y + r * plan.high - 0.5, plan.w, 1, theme.paper);
  }

  #drawText(pen: Pen, plan: HeatMapPlan, pixels: Uint32Array): void {
    this.data.text!.forEach((line, r) => line.forEach((text, c) => {
      if (!text) return;
      const at = r * this.cols + c, shown = this.#fitted(text, plan.cell - 6);
      const x = plan.x + (c + 0.5) * plan.cell, y = plan.y + (r + 0.5) * plan.high;
      if (this.key?.hatched(at)) {
        const wide = measure(shown, TEXT) + 6;
        pen.rect(x - wide / 2, y - 7, wide, 14, hexOf(pixels[at]));
      }
      pen.text(x, y, shown, inkOn(pixels[at]), { size: TEXT, anchor: "middle" });
    }));
  }

  #fitted(text: string, room: number): string {
    const name = `${room} ${text}`;
    const known = this.#cut.get(name) ?? ellipsis(shownLabel(text), TEXT, room);
    this.#cut.set(name, known);
    return known;
  }

  #drawRowNames(pen: Pen, plan: HeatMapPlan, theme: Theme): void {
    for (const r of spread(this.rows, Math.ceil(13 / plan.high))) {
      pen.text(plan.x - 6, plan.y + (r + 0.5) * plan.high, ellipsis(this.#rowNames[r], LABEL, plan.rowRoom), theme.ink, { size: LABEL, anchor: "end" });
    }
  }

  #drawColNames(pen: Pen, plan: HeatMapPlan, theme: Theme): void {
    for (const c of spread(this.cols, plan.turned ? Math.ceil(18 / plan.cell) : 1)) {
      const x = plan.x + (c + 0.5) * plan.cell, y = plan.y + plan.h;
      const name = ellipsis(this.#colNames[c], LABEL, plan.turned ? 120 : plan.cell);
      if (plan.turned) pen.text(x + 3, y + 8, name, theme.ink, { size: LABEL, anchor: "end", turn: -45 });
      else pen.text(x, y + 12, name, theme.ink, { size: LABEL, anchor: "middle" });
    }
  }

  probe(plan: HeatMapPlan, x: number, y: number): number | null {
    const col = Math.floor(((x - plan.x) / plan.w) * this.cols), row = Math.floor(((y - plan.y) / plan.h) * this.rows);
    return row >= 0 && row < this.rows && col >= 0 && col < this.cols ? row * this.cols + col : null;
  }

  move(at: number | null, key: string): number | undefined {
    return moveInGrid(at, key, this.rows, this.cols);
  }

  /** The box of a cell. */
  box(plan: HeatMapPlan, at: number): Box {
    const w = plan.w / this.cols, h = plan.h / this.rows;
    return [plan.x + (at % this.cols) * w, plan.y + Math.floor(at / this.cols) * h, w, h];
  }

  mark(pen: Pen, plan: HeatMapPlan, at: number, theme: Theme): void {
    const [x, y, w, h] = this.box(plan, at);
    pen.area(corners([plan.x, y, plan.w, h]), theme.ink, 0.1);
    pen.area(corners([x, plan.y, w, plan.h]), theme.ink, 0.1);
    frame(pen, [x, y, w, h], theme.ink, 2);
  }

  outline(pen: Pen, plan: HeatMapPlan, marks: GridMarks, theme: Theme): void {
    const known = (n: number | null | undefined, count: number): n is number => n != null && n >= 0 && n < count;
    const w = plan.w / this.cols, h = plan.h / this.rows;
    if (known(marks.row, this.rows)) frame(pen, [plan.x, plan.y + marks.row * h, plan.w, h], theme.accent, 1.5);
    if (known(marks.col, this.cols)) frame(pen, [plan.x + marks.col * w, plan.y, w, plan.h], theme.accent, 1.5);
    for (const [row, col] of marks.cells ?? []) {
      if (!known(row, this.rows) || !known(col, this.cols)) continue;
      const box: Box = [plan.x + col * w, plan.y + row * h, w, h];
      frame(pen, box, theme.paper, 4);
      frame(pen, box, theme.accent, 2.5);
    }
  }

  where(plan: HeatMapPlan, at: number): Point {
    const [x, y, w, h] = this.box(plan, at);
    return [x + w / 2, y + h / 2];
  }

  lines(at: number): string[] {
    const { data, key } = this, r = Math.floor(at / this.cols), c = at % this.cols, value = this.values[at];
    const shown = Number.isNaN(value) ? data.impossible ?? "no value possible here" : key ? key.told(at) : `${number(value, 5)}${this.#unit}`;
    const text = data.text?.[r]?.[c] ? [`“${shownLabel(data.text[r][c])}”`] : [];
    return [shown, ...text, `${data.y || "row"}: ${shownLabel(data.rows[r])}`, `${data.x || "column"}: ${shownLabel(data.cols[c])}`, ...(data.note?.(r, c) ?? [])];
  }

  table(): TableData {
    const { data, key, cols } = this;
    const cell = (at: number) => (key ? key.name(at) : exact(this.values[at]));
    const head = [`${data.y || "row"} \\ ${data.x || "column"}`, ...data.cols];
    return { head, rows: data.rows.map((name, r) => [name, ...data.cols.map((_, c) => cell(r * cols + c))]) };
  }

  json(): Record<string, unknown> {
    const { values, note: _, ...rest } = this.data;
    return { kind: "heatmap", ...rest, ...this.colouring, values: plainRows(values, this.rows, this.cols) };
  }
}
