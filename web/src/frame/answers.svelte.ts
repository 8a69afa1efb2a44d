// Predictions at the selected position. The last one comes with the run; others are read from the
// last row of the logit lens, which is the model's own output. A token that only one of the two
// runs lists is looked up in the other.

import { type Failure, aborted, failure } from "../api/failure";
import type { Prediction, RunRecord } from "../api/types";
import { type AnswerRow, answerRows } from "../state/answer";
import type { Session } from "../state/session.svelte";

const LISTED = 10;

export class Answers {
  rows = $state.raw<readonly AnswerRow[]>([]);
  loading = $state(false);
  trouble = $state.raw<Failure | undefined>();
  /** The position they stand at. */
  pos = $state(0);

  /** Made while a component is set up. */
  constructor(session: Session, count: () => number) {
    const reader = new Reader(session);
    $effect(() => {
      const { a, b } = session;
      if (!a || !b) return;
      const pos = Math.min(session.selection.q ?? b.ids.length - 1, b.ids.length - 1);
      const most = count();
      let current = true;
      this.loading = true;
      const tell = (rows: readonly AnswerRow[]) => {
        if (current) [this.rows, this.pos, this.trouble] = [rows, pos, undefined];
        return current;
      };
      reader.rows(a, b, pos, most, tell).then(
        () => current && (this.loading = false),
        (thrown) => {
          if (!current || aborted(thrown)) return;
          [this.trouble, this.loading, this.pos] = [failure(thrown), false, pos];
        },
      );
      return () => {
        current = false;
      };
    });
  }
}

class Reader {
  readonly #session: Session;
  readonly #slots = { a: Symbol("answer A"), b: Symbol("answer B") };

  constructor(session: Session) {
    this.#session = session;
  }

  /** Tell the rows, and again when what was missing is known. `tell` says whether to go on. */
  async rows(a: RunRecord, b: RunRecord, pos: number, count: number, tell: (rows: readonly AnswerRow[]) => boolean): Promise<void> {
    const same = a.id === b.id;
    const ofB = this.#listed(b, pos, "b");
    const [inA, inB] = await Promise.all([same ? ofB : this.#listed(a, pos, "a"), ofB]);
    const rows = answerRows(inA, inB, count);
    if (!tell(rows) || same) return;
    const lacking = (which: "a" | "b") => rows.filter((row) => row[which] === undefined).map((row) => row.id);
    const [moreA, moreB] = await Promise.all([this.#probs(a, pos, lacking("a"), "a"), this.#probs(b, pos, lacking("b"), "b")]);
    if (moreA.length || moreB.length) tell(answerRows([...inA, ...moreA], [...inB, ...moreB], count));
  }

  async #listed(run: RunRecord, pos: number, which: "a" | "b"): Promise<readonly Prediction[]> {
    if (pos === run.ids.length - 1) return run.predictions;
    if (pos >= run.ids.length) return [];
    const params = { top: LISTED, positions: [pos] };
    const { meta, arrays } = await this.#session.viewOf(run.id, "lens", params, this.#slots[which]);
    const { top_ids: ids, top_probs: probs } = arrays;
    const strings = meta.strings as Record<string, string>;
    const start = ids.data.length - ids.shape[2];
    return Array.from(ids.data.subarray(start), (id, i) => {
      return { pos, id, token: strings[id] ?? `#${id}`, prob: probs.data[start + i], logit: NaN };
    });
  }

  async #probs(run: RunRecord, pos: number, tokens: number[], which: "a" | "b"): Promise<Prediction[]> {
    if (!tokens.length || pos >= run.ids.length) return [];
    const { meta, arrays } = await this.#session.viewOf(run.id, "lens", { tokens, pos }, this.#slots[which]);
    const { data, shape } = arrays.trajectory;
    const strings = meta.strings as Record<string, string>;
    return tokens.map((id, i) => {
      return { pos, id, token: strings[id] ?? `#${id}`, prob: data[(i + 1) * shape[1] - 1], logit: NaN };
    });
  }
}
