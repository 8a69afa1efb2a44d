// The answer line: the most likely next tokens of A and B in one list.

import type { Prediction } from "../api/types";

export interface AnswerRow {
  id: number;
  token: string;
  /** Undefined where it is not among the tokens that the server listed. */
  a?: number;
  b?: number;
  /** B − A; undefined where one is unknown. */
  change?: number;
}

/** The tokens that are likely in A or B, most likely first; at most `count`. */
export function answerRows(a: readonly Prediction[], b: readonly Prediction[], count = 6): AnswerRow[] {
  const rows = new Map<number, AnswerRow>();
  for (const { id, token, prob } of a) rows.set(id, { id, token, a: prob });
  for (const { id, token, prob } of b) rows.set(id, { ...(rows.get(id) ?? { id, token }), b: prob });
  const top = (row: AnswerRow) => Math.max(row.a ?? 0, row.b ?? 0);
  return [...rows.values()]
    .sort((one, other) => top(other) - top(one))
    .slice(0, count)
    .map((row) => (row.a === undefined || row.b === undefined ? row : { ...row, change: row.b - row.a }));
}
