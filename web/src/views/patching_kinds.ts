// What a sweep can patch, and how it is asked for and told about.

import type { components } from "../api/schema";
import { writeAddress } from "../state/address";
import type { Place } from "../state/selection.svelte";

export type Pair = components["schemas"]["Pair"];
export type SweepStarted = components["schemas"]["SweepStarted"];
export type JobInfo = Omit<components["schemas"]["JobInfo"], "about"> & { about: SweepAbout };
export type JobEvent = components["schemas"]["JobEvent"];

/** What a sweep's job says of itself before it starts. */
export interface SweepAbout extends Omit<SweepStarted, "job"> {
  clean_ids?: number[];
  corrupt_ids?: number[];
  seed?: number | null;
}

export interface TopCell {
  at: string;
  effect: number;
  recovered_frac: number | null;
  low: number | null;
  high: number | null;
  p: number | null;
  verdict: string;
}

type Nested = number | null | Nested[];

export interface SweepResult {
  effects: Nested;
  recovered_frac: Nested;
  clean: number;
  corrupt: number;
  n_pairs: number;
  passes: number;
  warnings: string[];
  top: TopCell[];
  python: string;
}

export interface What {
  name: string;
  title: string;
  sites: string;
  by: string[];
}

export const WHATS: readonly What[] = [
  { name: "stream", title: "stream, layer × position", sites: "resid_pre", by: ["layer", "pos"] },
  { name: "attn", title: "attention out, layer × position", sites: "attn_out", by: ["layer", "pos"] },
  { name: "mlp", title: "MLP out, layer × position", sites: "mlp_out", by: ["layer", "pos"] },
  { name: "heads", title: "heads, layer × head", sites: "z", by: ["layer", "head"] },
  { name: "headpos", title: "heads by position", sites: "z", by: ["layer", "head", "pos"] },
];

export const METRICS = ["logit_diff", "prob", "prob_diff", "accuracy", "loss_nats"] as const;

export const METRIC_TITLES: Record<string, string> = {
  logit_diff: "logit difference (logits)",
  prob: "probability of the answer",
  prob_diff: "difference of probabilities",
  accuracy: "accuracy (share)",
  loss_nats: "loss (nats)",
};

/** How many cells a sweep will have. */
export function cellsOf(what: What, layers: number, heads: number, tokens: number): number {
  const sizes: Record<string, number> = { layer: layers, head: heads, pos: tokens };
  return what.by.reduce((product, axis) => product * sizes[axis], 1);
}

/** One line that names a sweep. */
export function sweepTitle(about: SweepAbout): string {
  const what = WHATS.find(({ sites, by }) => sites === about.site && by.join() === about.dims.join());
  const pairs = about.n_pairs === 1 ? "one pair" : `${about.n_pairs} pairs`;
  return `${about.task === "pair" ? "two prompts" : about.task}, ${pairs}: ${what?.title ?? `${about.site} by ${about.dims.join(" × ")}`}, ${about.kind}`;
}

export interface Sheet {
  rows: string[];
  cols: string[];
}

/** Rows and columns of a sweep's picture: its last axis goes across, the others down. */
export function sheetOf(about: Pick<SweepAbout, "dims" | "labels">): Sheet {
  const axes = about.dims.map((dim) => about.labels[dim] ?? []);
  const cols = axes[axes.length - 1];
  const rows = axes.slice(0, -1).reduce<string[]>((names, axis) => names.flatMap((name) => axis.map((each) => (name ? `${name} ${each}` : each))), [""]);
  return { rows, cols };
}

/** Number of a cell in C order. */
export function flatOf(shape: readonly number[], index: readonly number[]): number {
  return index.reduce((at, each, axis) => at * shape[axis] + each, 0);
}

/** Index of a cell by its number. */
export function indexOf(shape: readonly number[], flat: number): number[] {
  const index: number[] = [];
  for (let axis = shape.length - 1, rest = flat; axis >= 0; axis--) {
    index.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return index;
}

/** Numbers of a nested list in C order; what is missing is NaN. */
export function flattened(values: Nested): Float32Array {
  const flat: number[] = [];
  const walk = (each: Nested) => (Array.isArray(each) ? each.forEach(walk) : flat.push(each ?? NaN));
  walk(values);
  return Float32Array.from(flat);
}

/** Where a cell is. */
export function placeOf(about: Pick<SweepAbout, "dims" | "coords" | "site">, index: readonly number[]): Place {
  const at = Object.fromEntries(about.dims.map((dim, axis) => [dim, about.coords[dim][index[axis]]]));
  return { layer: at.layer, head: at.head, q: at.pos, site: about.site };
}

export function addressOf(about: Pick<SweepAbout, "dims" | "coords" | "site">, index: readonly number[]): string {
  const { layer, head, q, site } = placeOf(about, index);
  return writeAddress({ name: site ?? about.site, layer, head, pos: q });
}

/** Number of the cell at a selection; undefined where the sweep has none there. */
export function cellAt(about: Pick<SweepAbout, "dims" | "coords" | "shape">, place: Place): number | undefined {
  const wanted: Record<string, number | undefined> = { layer: place.layer, head: place.head, pos: place.q };
  const index = about.dims.map((dim) => about.coords[dim].indexOf(wanted[dim] ?? -1));
  return index.some((each) => each < 0) ? undefined : flatOf(about.shape, index);
}

/** The most frequent of some lengths, the longer one of two; 0 of none. */
export function usualLength(lengths: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const length of lengths) counts.set(length, (counts.get(length) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || b - a)[0]?.[0] ?? 0;
}

/** Positions at which two prompts differ. */
export function differing(clean: readonly unknown[], corrupt: readonly unknown[]): Set<number> {
  const found = new Set<number>();
  for (let i = 0; i < Math.max(clean.length, corrupt.length); i++) if (clean[i] !== corrupt[i]) found.add(i);
  return found;
}

/** Seconds in words. */
export function lasting(seconds: number): string {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `about ${Math.round(seconds)} s`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min`;
  return `about ${(seconds / 3600).toFixed(1)} h`;
}
