// The palettes: the numbers of residuum/figures/palette.py (palette.json is written from it).
// Pixels are 32 bits, 0xAABBGGRR, as canvases keep them.

import numbers from "./palette.json";
import type { ThemeName } from "./theme";

export type Scale = "diverging" | "sequential";

export interface Colouring {
  scale: Scale;
  low: number;
  high: number;
}

type Themed<T> = Record<ThemeName, T>;

export const STOPS: Record<Scale, Themed<string[]>> = numbers.stops;
export const NAN_COLOUR: Themed<string> = numbers.nan;
export const CATEGORIES: Themed<string[]> = numbers.categories;
export const TINT: number = numbers.tint;
export const SERIES: Themed<string[]> = numbers.series;
export const DASHES: number[][] = numbers.dashes;
export const POSITIVE: Themed<string> = numbers.positive;
export const NEGATIVE: Themed<string> = numbers.negative;

/** `#rrggbb` as three bytes. */
export function bytesOf(colour: string): [number, number, number] {
  const all = parseInt(colour.slice(1), 16);
  return [all >> 16, (all >> 8) & 255, all & 255];
}

/** Three bytes as an opaque pixel. */
export function pixelOf(red: number, green: number, blue: number): number {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** A pixel as `#rrggbb`. */
export function hexOf(pixel: number): string {
  const swapped = ((pixel & 255) << 16) | (pixel & 0xff00) | ((pixel >> 16) & 255);
  return "#" + swapped.toString(16).padStart(6, "0");
}

/** What each byte of a colour gives of light, from 0 to 1 (WCAG 2.2, relative luminance). */
const LIGHT = Float64Array.from({ length: 256 }, (_, byte) => (byte <= 10 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4));

/** Light of a pixel, from 0 to 1. */
function luminance(pixel: number): number {
  return 0.2126 * LIGHT[pixel & 255] + 0.7152 * LIGHT[(pixel >> 8) & 255] + 0.0722 * LIGHT[(pixel >> 16) & 255];
}

const DARK = "#15181c", ENOUGH = 4.5, FLARE = 0.05;
const DARK_LIGHT = luminance(pixelOf(...bytesOf(DARK)));

/** Dark, white, or where neither has a contrast of 4.5 black: every pixel has one that does. */
export function inkOn(pixel: number): string {
  const light = luminance(pixel) + FLARE, white = (1 + FLARE) / light;
  if (white >= ENOUGH) return "#ffffff";
  return light / (DARK_LIGHT + FLARE) >= ENOUGH ? DARK : "#000000";
}

/** The values at the two ends of the colour bar, where none are given. */
export function colourRange(values: ArrayLike<number>, scale: Scale): [number, number] {
  let low = Infinity, high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (scale === "diverging") {
    const top = low > high ? 1 : Math.max(Math.abs(low), Math.abs(high)) || 1;
    return [-top, top];
  }
  if (low > high) return [0, 1];
  return high > low ? [low, high] : [low, low + Math.max(1, Math.abs(low) * 1e-3)];
}

/** Place of a value on its palette, from 0 to 1; zero is in the middle of a diverging one. */
export function fraction(value: number, { scale, low, high }: Colouring): number {
  const part = scale === "diverging"
    ? 0.5 + 0.5 * (value < 0 ? value / Math.max(-low, 1e-300) : value / Math.max(high, 1e-300))
    : (value - low) / (high - low);
  return Math.min(Math.max(part, 0), 1);
}

/** Colours between the stops of a palette, by place from 0 to 1. */
class Ramp {
  readonly #parts: Float64Array;
  readonly #last: number;

  constructor(scale: Scale, theme: ThemeName) {
    const stops = STOPS[scale][theme];
    this.#parts = Float64Array.from(stops.flatMap(bytesOf));
    this.#last = stops.length - 1;
  }

  at(place: number): number {
    const at = place * this.#last, lower = Math.min(Math.floor(at), this.#last - 1), part = at - lower;
    const parts = this.#parts, i = 3 * lower, rest = 1 - part;
    const red = (parts[i] * rest + parts[i + 3] * part + 0.5) | 0, green = (parts[i + 1] * rest + parts[i + 4] * part + 0.5) | 0;
    return ((255 << 24) | (((parts[i + 2] * rest + parts[i + 5] * part + 0.5) | 0) << 16) | (green << 8) | red) >>> 0;
  }
}

/** The pixel of one value; what is not finite is grey. */
export function colourOf(value: number, colouring: Colouring, theme: ThemeName): number {
  if (!Number.isFinite(value)) return pixelOf(...bytesOf(NAN_COLOUR[theme]));
  return new Ramp(colouring.scale, theme).at(fraction(value, colouring));
}

/** The pixels of many values. */
export function paint(values: ArrayLike<number>, colouring: Colouring, theme: ThemeName): Uint32Array<ArrayBuffer> {
  const ramp = new Ramp(colouring.scale, theme), grey = pixelOf(...bytesOf(NAN_COLOUR[theme]));
  const pixels = new Uint32Array(values.length);
  for (let i = 0; i < pixels.length; i++) {
    const value = values[i];
    pixels[i] = Number.isFinite(value) ? ramp.at(fraction(value, colouring)) : grey;
  }
  return pixels;
}

/** A table of pixels for bytes: 0 to 255 along the palette; for signed bytes 128 is zero. */
export function byteTable(scale: Scale, theme: ThemeName): Uint32Array {
  const ramp = new Ramp(scale, theme);
  const place = (byte: number) => (scale === "diverging" ? Math.max(0, (byte - 128) / 254 + 0.5) : byte / 255);
  return Uint32Array.from({ length: 256 }, (_, byte) => ramp.at(place(byte)));
}

/** A palette as a CSS gradient, low end first. */
export function rampCss(scale: Scale, theme: ThemeName): string {
  return `linear-gradient(90deg, ${STOPS[scale][theme].join(", ")})`;
}

/** Colour and dash of the k-th series. */
export function seriesStyle(k: number, theme: ThemeName): { colour: string; dash: number[] } {
  const colours = SERIES[theme];
  return { colour: colours[k % colours.length], dash: DASHES[k % DASHES.length] };
}
