// The stream by row and position: its length, where it points, and the length of what is added.

import type { LinesData } from "../drawing";
import { seen } from "../state/words";
import type { Place } from "../state/selection.svelte";
import type { Residual } from "./residual_sum";

export const QUANTITIES = ["norm", "cosine", "added"] as const;
export type Quantity = (typeof QUANTITIES)[number];

export const QUANTITY: Record<Quantity, { name: string; unit: string; about: string }> = {
  norm: { name: "Length", unit: "norm", about: "How long the stream is after each part." },
  cosine: { name: "Cosine", unit: "cosine", about: "How far the stream already points where it ends: 1 is the same direction." },
  added: { name: "Added", unit: "norm", about: "How long the vector is that attention and the MLP of each layer add." },
};

export function quantityOf(given: unknown): Quantity {
  return QUANTITIES.find((each) => each === given) ?? "norm";
}

export interface StreamTable {
  rows: string[];
  places: Place[];
  values: Float32Array;
}

/** Rows of a quantity in forward order. */
export function streamOf(found: Residual, quantity: Quantity): StreamTable {
  if (quantity !== "added") {
    const { rows } = found.meta;
    return { rows, places: rows.map(placeOfRow), values: found[quantity] };
  }
  const names = found.meta.writers.map((each) => (each === "attn_out" ? "attention" : "MLP"));
  const each = Array.from({ length: found.layers }, (_, layer) => layer);
  return {
    rows: each.flatMap((layer) => names.map((name) => `L${layer} ${name}`)),
    places: each.flatMap((layer) => found.meta.writers.map((site) => ({ layer, head: undefined, site }))),
    values: found.addedNorm,
  };
}

/** The stream that a row's label names: `embed`, `L3.mid`, `L3`. */
export function placeOfRow(label: string): Place {
  const layer = Number(/\d+/.exec(label)?.[0] ?? 0);
  const site = label === "embed" ? "resid_pre" : label.endsWith(".mid") ? "resid_mid" : "resid_post";
  return { layer, head: undefined, site };
}

/** A row's place in words. */
export function placeTold({ layer, site }: Place): string {
  const told: Record<string, string> = {
    resid_pre: `before layer ${layer}`, resid_mid: `after the attention of layer ${layer}`, resid_post: `after layer ${layer}`,
    attn_out: `the attention of layer ${layer}`, mlp_out: `the MLP of layer ${layer}`,
  };
  return told[site ?? ""] ?? "";
}

/** The row of a selected place; −1 where it has none. */
export function rowOf(table: StreamTable, { layer, head, site = "resid_post" }: Place): number {
  if (layer === undefined || head !== undefined) return -1;
  return table.places.findIndex((each) => each.layer === layer && each.site === site);
}

/** One position over the rows, as lines. */
export function linesAt(found: Residual, quantity: Quantity, pos: number): LinesData {
  const count = found.meta.tokens.length;
  const { unit, name } = QUANTITY[quantity];
  const shared = { unit: found.meta.minus ? `change of ${unit}` : unit, guides: quantity === "cosine" ? [{ y: found.meta.minus ? 0 : 1, label: "" }] : [] };
  if (quantity === "added") {
    const writers = found.meta.writers;
    const series = writers.map((site, which) => ({
      name: site === "attn_out" ? "attention" : "MLP",
      y: Float32Array.from({ length: found.layers }, (_, layer) => found.addedNorm[(layer * writers.length + which) * count + pos]),
    }));
    const labels = Array.from({ length: found.layers }, (_, layer) => `L${layer}`);
    return { xs: Float32Array.from(labels, (_, i) => i), labels, series, ...shared };
  }
  const { rows } = found.meta;
  const y = Float32Array.from(rows, (_, row) => found[quantity][row * count + pos]);
  return { xs: Float32Array.from(rows, (_, i) => i), labels: rows, series: [{ name: `${name} at ${pos} ${seen(found.meta.tokens[pos])}`, y }], ...shared };
}

/**
 * Where colours end. The first token's stream is often many times longer than all others; then
 * colours end at the largest of the others, and the cells beyond are counted.
 */
export function colourEnd(values: Float32Array, count: number): { high: number; beyond: number } {
  let first = 0;
  let others = 0;
  values.forEach((value, i) => {
    const size = Math.abs(value);
    if (!Number.isFinite(size)) return;
    if (i % count === 0) first = Math.max(first, size);
    else others = Math.max(others, size);
  });
  if (!(others > 0) || first <= 3 * others) return { high: Math.max(first, others) || 1, beyond: 0 };
  return { high: others, beyond: values.filter((value) => Math.abs(value) > others).length };
}
