// Head scores: shares of a head's attention on this prompt, and how spread it is.

import type { Arrays, Meta } from "../api/arrays";

export interface AllMeta extends Meta {
  layers: number[];
  heads: number;
  causal: boolean;
  unit: string;
  limit: number;
  block: number;
  scores: string[];
  about: Record<string, string>;
}

/** All heads as the server sent them. */
export interface AllHeads {
  meta: AllMeta;
  thumbs: Uint8Array;
  side: number;
  scores: Float32Array;
}

export function allHeads({ meta, arrays }: Arrays): AllHeads {
  const { thumbs, scores } = arrays;
  return { meta: meta as AllMeta, thumbs: thumbs.data as Uint8Array, side: thumbs.shape[2], scores: scores.data as Float32Array };
}

export function unitOf(score: string): string {
  return score === "entropy" ? "nats" : "share of attention";
}

/** One score of all heads, [row head]. */
export function scoreOf({ meta, scores }: AllHeads, name: string): Float32Array {
  const at = Math.max(0, meta.scores.indexOf(name));
  const size = meta.scores.length;
  return Float32Array.from({ length: meta.layers.length * meta.heads }, (_, i) => scores[i * size + at]);
}

/** The score to show: the one asked for, else the most telling one that has a value here. */
export function chooseScore(all: AllHeads, asked: unknown): string {
  const names = all.meta.scores;
  if (typeof asked === "string" && names.includes(asked)) return asked;
  const valued = (name: string) => names.includes(name) && scoreOf(all, name).some(Number.isFinite);
  return ["induction", "previous"].find(valued) ?? names[0] ?? "";
}

/** What a score is, in plain words. */
export function aboutScore({ meta }: AllHeads, name: string): string {
  return meta.about[name] ?? "";
}

/** The head whose score is of largest size; undefined where none has a value. */
export function strongestHead(all: AllHeads, name: string): { layer: number; head: number } | undefined {
  const values = scoreOf(all, name), { heads, layers } = all.meta;
  let best = -1;
  values.forEach((value, at) => {
    if (Number.isFinite(value) && (best < 0 || Math.abs(value) > Math.abs(values[best]))) best = at;
  });
  return best < 0 ? undefined : { layer: layers[Math.floor(best / heads)], head: best % heads };
}

/** All scores of one head, by name. */
export function scoresOf({ meta, scores }: AllHeads, row: number, head: number): [name: string, value: number][] {
  const start = (row * meta.heads + head) * meta.scores.length;
  return meta.scores.map((name, i) => [name, scores[start + i]]);
}

/** Bytes of one head's thumbnail. */
export function thumbOf({ meta, thumbs, side }: AllHeads, row: number, head: number): Uint8Array {
  const size = side * side;
  return thumbs.subarray((row * meta.heads + head) * size, (row * meta.heads + head + 1) * size);
}

/** Every score of every head as a table. */
export function scoreTable(all: AllHeads) {
  const { meta } = all;
  const value = (each: number) => (Number.isNaN(each) ? "" : Number(each.toPrecision(8)));
  const rows = meta.layers.flatMap((layer, row) =>
    Array.from({ length: meta.heads }, (_, head) => [`L${layer}H${head}`, ...scoresOf(all, row, head).map(([, each]) => value(each))]),
  );
  return { head: ["head", ...meta.scores.map((name) => `${name} (${unitOf(name)})`)], rows };
}

export const CONTRASTS = [1, 2, 4, 10] as const;

export function contrastOf(given: unknown): number {
  return CONTRASTS.find((each) => each === given) ?? 1;
}

/** Bytes with their colours ending earlier: the same picture, brighter by a factor. */
export function brighter(bytes: Uint8Array, factor: number, zero: number): Uint8Array {
  if (factor === 1) return bytes;
  const least = zero ? 1 : 0;
  const table = Uint8Array.from({ length: 256 }, (_, byte) => Math.round(Math.min(255, Math.max(least, zero + (byte - zero) * factor))));
  return bytes.map((byte) => table[byte]);
}
