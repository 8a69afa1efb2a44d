// A logit as a sum: what each head, MLP and bias adds, and how it adds up.

import type { Arrays, Meta } from "../api/arrays";
import type { Place } from "../state/selection.svelte";

export interface ResidualMeta extends Meta {
  rows: string[];
  columns: string[];
  writers: string[];
  pos: number;
  answer: number;
  wrong: number | null;
  embed: number | null;
  bias: number | null;
  rest: number | null;
  total: number | null;
  logits: number | null;
  convention: string;
  strings: Record<string, string>;
  reason: string;
}

export interface Residual {
  meta: ResidualMeta;
  layers: number;
  heads: number;
  norm: Float32Array;
  cosine: Float32Array;
  added: Float32Array;
  addedNorm: Float32Array;
}

export function residual({ meta, arrays }: Arrays): Residual {
  const floats = (name: string) => arrays[name].data as Float32Array;
  const [layers, columns] = arrays.added.shape;
  return {
    meta: meta as ResidualMeta, layers, heads: columns - 2,
    norm: floats("norm"), cosine: floats("cosine"), added: floats("added"), addedNorm: floats("added_norm"),
  };
}

export interface Term {
  name: string;
  value: number;
}

/** The terms of the logit: sums over heads, MLPs and biases, and what stands beside them. */
export function termsOf({ meta, added, layers, heads }: Residual): Term[] {
  const sums = { heads: 0, mlps: 0, biases: 0 };
  for (let layer = 0; layer < layers; layer++) {
    for (let column = 0; column < heads + 2; column++) {
      const value = added[layer * (heads + 2) + column];
      if (!Number.isFinite(value)) continue;
      sums[column < heads ? "heads" : column === heads ? "mlps" : "biases"] += value;
    }
  }
  const rest = meta.rest ?? 0;
  const visible = Math.abs(rest) > 1e-4 * Math.max(1, Math.abs(meta.total ?? 0));
  return [
    { name: "embedding", value: meta.embed ?? NaN },
    { name: "all heads", value: sums.heads },
    { name: "all MLPs", value: sums.mlps },
    { name: "attention biases", value: sums.biases },
    { name: "final biases", value: meta.bias ?? NaN },
    ...(visible ? [{ name: "written by edits", value: rest }] : []),
  ];
}

/** How far the terms are from the logit that they should sum to; NaN where there is no sum. */
export function gapOf(found: Residual): number {
  return termsOf(found).reduce((sum, { value }) => sum + value, 0) - (found.meta.total ?? NaN);
}

/** Whether the model's own logit is another one: behind a soft cap. */
export function capped({ total, logits }: ResidualMeta): boolean {
  return total !== null && logits !== null && Math.abs(total - logits) > 2e-3 * Math.max(1, Math.abs(total));
}

/** The place of a cell of the matrix of parts. */
export function partAt(layer: number, column: number, heads: number): Place {
  if (column < heads) return { layer, head: column, site: "z" };
  return { layer, head: undefined, site: column === heads ? "mlp_out" : "attn_out" };
}

/** The cell of a selected place; undefined where it is none of the parts. */
export function cellOf({ layer, head, site }: Place, heads: number): [number, number] | undefined {
  if (layer === undefined) return undefined;
  if (site === "mlp_out" || site === "mlp_act") return [layer, heads];
  if (site === "attn_out") return [layer, heads + 1];
  return head === undefined ? undefined : [layer, head];
}

/** The address of a selected place, at all positions: the part itself, else the stream. */
export function partAddress({ layer, head, site }: Place): string | undefined {
  if (layer === undefined) return undefined;
  return head === undefined ? `L${layer}.${site ?? "resid_post"}` : `L${layer}.z[H${head}]`;
}

/** The parts that add or take most, largest first. */
export function strongestParts({ meta, added, heads }: Residual, count: number): { name: string; layer: number; column: number; value: number }[] {
  return Array.from(added, (value, i) => ({ value, layer: Math.floor(i / (heads + 2)), column: i % (heads + 2) }))
    .filter(({ value }) => Number.isFinite(value) && value !== 0)
    .sort((one, other) => Math.abs(other.value) - Math.abs(one.value))
    .slice(0, count)
    .map((each) => ({ ...each, name: partName(meta, heads, each.layer, each.column) }));
}

export function partName({ columns }: Pick<ResidualMeta, "columns">, heads: number, layer: number, column: number): string {
  if (column < heads) return `head ${layer}.${column}`;
  return column === heads ? `MLP ${layer}` : `${columns[column] === "bias" ? "attention bias" : columns[column]} ${layer}`;
}
