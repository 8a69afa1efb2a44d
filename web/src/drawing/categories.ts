// Maps of names: cells by category, hatched where it is not sure, a key instead of a colour bar.

import { CATEGORIES, NAN_COLOUR, TINT, bytesOf, pixelOf } from "./palette";
import { ellipsis, measure, type Box, type Pen, type Point } from "./pen";
import { clip, largest } from "./scales";
import type { Theme, ThemeName } from "./theme";

const SIZE = 11;

export interface CategoryData {
  categories: readonly string[];
  unsure?: readonly (readonly boolean[])[] | null;
  unsureName?: string;
}

export class CategoryKey {
  readonly width: number;
  readonly height: number;
  readonly #unsure: boolean[];
  readonly #entries: { text: string; index: number | null }[];
  readonly #room: number;

  constructor(readonly data: CategoryData, readonly values: Float32Array) {
    this.#unsure = (data.unsure ?? []).flat();
    const present = new Set(values);
    this.#entries = data.categories.map((text, index) => ({ text, index: index as number | null }))
      .filter(({ index }) => present.has(index!));
    if (this.#unsure.some(Boolean)) this.#entries.push({ text: data.unsureName ?? "not sure", index: null });
    this.#room = clip(largest(this.#entries.map(({ text }) => measure(text, SIZE))), 20, 170);
    this.width = 27 + this.#room + 6;
    this.height = 18 * this.#entries.length;
  }

  /** The category of a cell, with `?` where it is not sure. */
  name(at: number): string {
    const value = this.values[at];
    return Number.isNaN(value) ? "" : this.data.categories[value] + (this.#unsure[at] ? "?" : "");
  }

  /** The same in words. */
  told(at: number): string {
    return this.data.categories[this.values[at]] + (this.#unsure[at] ? ` (${this.data.unsureName ?? "not sure"})` : "");
  }

  hatched(at: number): boolean {
    return Boolean(this.#unsure[at]);
  }

  pixels(theme: ThemeName): Uint32Array<ArrayBuffer> {
    const stops = CATEGORIES[theme].map(bytesOf), grey = pixelOf(...bytesOf(NAN_COLOUR[theme]));
    return Uint32Array.from(this.values, (value, i) => {
      if (Number.isNaN(value)) return grey;
      const full = stops[value], keep = this.#unsure[i] ? TINT : 1;
      const mix = (k: number) => Math.round(keep * full[k] + (1 - keep) * stops[0][k]);
      return pixelOf(mix(0), mix(1), mix(2));
    });
  }

  hatchCells(pen: Pen, box: (at: number) => Box, theme: Theme): void {
    this.#unsure.forEach((unsure, at) => {
      if (unsure) hatch(pen, box(at), CATEGORIES[theme.name][this.values[at]]);
    });
  }

  draw(pen: Pen, x: number, y: number, theme: Theme): void {
    this.#entries.forEach(({ text, index }, k) => {
      const top = y + 18 * k;
      if (index === null) hatch(pen, [x, top + 2, 20, 13], theme.faint, 4);
      else pen.rect(x, top + 2, 20, 13, CATEGORIES[theme.name][index]);
      pen.line([[x, top + 2], [x + 20, top + 2], [x + 20, top + 15], [x, top + 15], [x, top + 2]], theme.rule);
      pen.text(x + 27, top + 9, ellipsis(text, SIZE, this.#room), theme.ink, { size: SIZE });
    });
  }
}

/** Lines from bottom left to top right, cut at the box's edges. */
function hatch(pen: Pen, [x, y, w, h]: Box, colour: string, step = 7): void {
  for (let d = step / 2; d < w + h; d += step) {
    const from: Point = [x + Math.max(d - h, 0), y + Math.min(d, h)], to: Point = [x + Math.min(d, w), y + Math.max(d - w, 0)];
    pen.line([from, to], colour);
  }
}
