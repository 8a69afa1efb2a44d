// The lens in words: what is shown, in which unit, and which layers are rows.

import type { Meta } from "../api/arrays";
import type { Show } from "../state/link";

export type Quantity = "prob" | "rank" | "entropy" | "kl" | "logit";
export type Kind = "logit" | "tuned";

export interface LensMeta extends Meta {
  rows: string[];
  positions: number[];
  kind: Kind;
  site: string;
  quantity: Quantity;
  unit: string;
  targets: number[];
  strings: Record<string, string>;
  missing: Record<string, string>;
  /** Whether the model's folder holds a tuned lens. */
  tuned?: boolean;
}

export const QUANTITIES: Record<Quantity, { title: string; of: "token" | "all"; told: string; short: string }> = {
  prob: { title: "Probability", of: "token", told: "probability of", short: "probability" },
  rank: { title: "Rank", of: "token", told: "rank of", short: "rank" },
  logit: { title: "Logit", of: "token", told: "logit of", short: "logit" },
  entropy: { title: "Entropy", of: "all", told: "entropy of each layer's answer", short: "bits" },
  kl: { title: "KL to the final", of: "all", told: "KL divergence of each layer's answer from the final one", short: "bits" },
};

export const MOST_ROWS = 15;

/** Every how many layers are shown, so that the map keeps to about so many rows. */
export function strideFor(rows: number, most = MOST_ROWS): number {
  for (const stride of [1, 2, 4, 8, 16]) if (Math.ceil((rows - 1) / stride) + 1 <= most) return stride;
  return 32;
}

/** Rows to show: the first, the last and the selected one, and every `stride`-th, counted from the end. */
export function rowsShown(count: number, stride: number, selected: number | null = null): number[] {
  const shown = new Set([0, count - 1, ...(selected === null || selected >= count ? [] : [selected])]);
  for (let row = count - 1; row > 0; row -= stride) shown.add(row);
  return [...shown].filter((row) => row >= 0).sort((one, other) => one - other);
}

/** The layer and site that a row is of: the embedding is what goes into layer 0. */
export function placeOfRow(label: string, site: string): { layer: number; site: string } {
  const layer = /^L(\d+)$/.exec(label);
  return layer ? { layer: Number(layer[1]), site } : { layer: 0, site: "resid_pre" };
}

/** The row of a selected layer; null where it has none. */
export function rowOf(rows: readonly string[], layer: number | undefined, site: string | undefined): number | null {
  if (layer === undefined) return null;
  const name = layer === 0 && site === "resid_pre" && rows[0] === "embed" ? "embed" : `L${layer}`;
  const row = rows.indexOf(name);
  return row < 0 ? null : row;
}

/** One sentence: what the colours are. */
export function lensCaption(quantity: Quantity, kind: Kind, show: Show, target: string | undefined): string {
  const { told, of } = QUANTITIES[quantity];
  const own = show === "B-A" ? "the token that A answers at each position" : "the token that the model answers at each position";
  const what = of === "all" ? told : `${told} ${target === undefined ? own : `“${target}”`}`;
  const colour = quantity !== "rank" ? "" : show === "B-A" ? "; blue gained places" : "; darker is nearer to 1";
  const run = show === "B-A" ? "B − A" : show;
  return `${run}, ${kind === "tuned" ? "tuned" : "logit"} lens: ${show === "B-A" ? "change of the " : ""}${what}${colour}`;
}
