// What the inspector shows of a head, and what may be tried on it.

import type { Arrays } from "../api/arrays";
import { seen, share } from "../state/words";
import type { Session } from "../state/session.svelte";
import type { Card, Suggestion } from "../state/selection.svelte";
import { type Head, addressOf, nameOf } from "./attention_heads";
import { type AllHeads, scoresOf } from "./attention_scores";

type Row = Card["rows"][number];

/** Exact numbers of the open head: the chosen cell, then its scores. */
export function rowsOf(all: AllHeads | undefined, one: Arrays | undefined, head: Head, q?: number, k?: number): Row[] {
  const rows: Row[] = [];
  const tokens = one?.meta.tokens ?? [];
  if (one && q !== undefined && q < tokens.length) {
    const { pattern, value_norm: norms } = one.arrays;
    const unit = String(one.meta.unit);
    const row = pattern.data.subarray(q * tokens.length, (q + 1) * tokens.length);
    if (k !== undefined && k < tokens.length) {
      rows.push([`${q} ${seen(tokens[q])} → ${k} ${seen(tokens[k])}`, impossible(row[k]), unit]);
      rows.push([`value's length at ${k}`, norms.data[k]]);
    } else {
      const best = strongest(row);
      if (best >= 0) rows.push([`most: ${q} ${seen(tokens[q])} → ${best} ${seen(tokens[best])}`, row[best], unit]);
    }
  }
  const at = all ? all.meta.layers.indexOf(head.layer) : -1;
  if (all && at >= 0) for (const [name, value] of scoresOf(all, at, head.head)) rows.push([name, name === "entropy" ? value : share(value), Number.isNaN(value) ? "" : name === "entropy" ? "nats" : "share"]);
  return rows;
}

function impossible(value: number): number | string {
  return Number.isNaN(value) ? "impossible" : value;
}

/** The cell of largest size; −1 where there is none. */
export function strongest(row: ArrayLike<number>): number {
  let best = -1;
  for (let i = 0; i < row.length; i++) {
    if (Number.isFinite(row[i]) && (best < 0 || Math.abs(row[i]) > Math.abs(row[best]))) best = i;
  }
  return best;
}

/** Edits of one place: zero, mean, patch from A, scale; with a position also there alone. */
export function suggestionsFor(session: Session, at: string, pos: number | undefined, mean: (at: string) => void): Suggestion[] {
  const { a } = session;
  const found: Suggestion[] = [{ edit: { kind: "zero", at } }];
  if (pos !== undefined) found.push({ edit: { kind: "zero", at: `${at}@${pos}` } });
  found.push({ label: "Mean over a task…", edit: { kind: "mean", at }, act: () => mean(at) });
  if (a) found.push({ label: "Patch from A", edit: { kind: "patch", at }, act: () => void session.patch(a.id, at, at) });
  found.push({ label: "Scale by ½", edit: { kind: "scale", at, factor: 0.5 } });
  return found;
}

/** Zero a place; again takes that back. */
export function toggleZero({ edits }: Session, at: string): void {
  const known = edits.entries.find(({ edit }) => edit.kind === "zero" && edit.at === at);
  if (known) edits.toggle(known.key);
  else edits.add({ kind: "zero", at });
}

export function cardOf(session: Session, all: AllHeads | undefined, one: Arrays | undefined, head: Head, q: number | undefined, k: number | undefined, mean: (at: string) => void): Card {
  return {
    title: `Head ${nameOf(head)} in ${session.show.replace("-", "−")}`,
    rows: rowsOf(all, one, head, q, k),
    edits: suggestionsFor(session, addressOf(head), q, mean),
    note: "Where the head looks on this prompt, not what it does.",
  };
}
