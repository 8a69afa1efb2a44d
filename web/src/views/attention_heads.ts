// Heads by their addresses: which ones edits touch, and what may be tried on one.

import type { EditJSON } from "../api/types";
import type { Show } from "../state/link";

export interface Head {
  layer: number;
  head: number;
}

export const WEIGHTINGS = ["pattern", "value", "output"] as const;
export type Weighting = (typeof WEIGHTINGS)[number];

export const WEIGHTED: Record<Weighting, { name: string; told: string; unit: string }> = {
  pattern: { name: "Attention", told: "attention", unit: "attention" },
  value: { name: "× value", told: "attention × length of the value read", unit: "norm" },
  output: { name: "× output", told: "attention × length of what it adds to the stream", unit: "norm" },
};

export function weightingOf(given: unknown): Weighting {
  return WEIGHTINGS.find((each) => each === given) ?? "pattern";
}

/** The address of what a head computes. */
export function addressOf({ layer, head }: Head, pos?: number): string {
  return `L${layer}.z[H${head}]${pos === undefined ? "" : `@${pos}`}`;
}

export function nameOf({ layer, head }: Head): string {
  return `${layer}.${head}`;
}

const QUERY = /^(?:L(\*|\d+|\d*:\d*)\.)?([a-z0-9_*?]+)(?:\[([A-Z])(\*|\d+)\])?(?:@.+)?$/;
const PER_HEAD = ["q_pre", "q", "scores", "pattern", "z", "head_out"];
const PER_KV_HEAD = ["k_pre", "k", "v"];

interface Sizes {
  layers: readonly number[];
  heads: number;
  /** Key and value heads, where several query heads share one. */
  kvHeads?: number | null;
}

/** Whether an edit writes into some head's own sites: those heads. */
export function touchedBy(edit: EditJSON, { layers, heads, kvHeads }: Sizes): Head[] {
  const found = QUERY.exec(edit.at);
  if (!found || (found[3] && found[3] !== "H")) return [];
  const [, layer, name, , part] = found;
  const glob = new RegExp(`^${name.replace(/\*/g, ".*").replace(/\?/g, ".")}$`);
  const shared = heads / (kvHeads || heads);
  const groups = [...(PER_HEAD.some((each) => glob.test(each)) ? [1] : []), ...(PER_KV_HEAD.some((each) => glob.test(each)) ? [shared] : [])];
  if (!groups.length) return [];
  const all = Array.from({ length: heads }, (_, head) => head);
  const meant = all.filter((head) => part === undefined || part === "*" || groups.some((size) => Math.floor(head / size) === Number(part)));
  const there = layers.filter((each) => inside(each, layer, layers));
  return there.flatMap((each) => meant.map((head) => ({ layer: each, head })));
}

function inside(layer: number, query: string | undefined, layers: readonly number[]): boolean {
  if (query === undefined || query === "*") return true;
  if (!query.includes(":")) return layer === Number(query);
  const [start, stop] = query.split(":");
  return layer >= Number(start || 0) && layer < (stop ? Number(stop) : Math.max(...layers) + 1);
}

/** Heads that any of the edits touches, each once, with what is done to it. */
export function touched(edits: readonly EditJSON[], sizes: Sizes): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const edit of edits) {
    for (const head of touchedBy(edit, sizes)) {
      const name = nameOf(head);
      found.set(name, [...(found.get(name) ?? []), `${edit.kind} at ${edit.at}`]);
    }
  }
  return found;
}

/** Which run is on screen, in words. */
export function shownInWords(show: Show, same: boolean, edits: number, pinned: boolean): string {
  const plainly = pinned ? "the pinned run" : "without edits";
  if (show === "A") return `A, ${plainly}`;
  if (show === "B") return same ? "B, the same as A: no edit is on" : `B, with ${edits} ${edits === 1 ? "edit" : "edits"}`;
  return same ? "B−A: no edit is on, so nothing differs" : "B−A, what the edits change";
}
