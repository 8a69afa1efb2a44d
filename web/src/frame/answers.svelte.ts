// Predictions at the selected position. The last one comes with the run; others are read from the
// last row of the logit lens, which is the model's own output.

import type { Arrays } from "../api/arrays";
import { type Failure, aborted, failure } from "../api/failure";
import type { Prediction, RunRecord } from "../api/types";
import type { Session } from "../state/session.svelte";

const TOP = 10;

export class Answers {
  a = $state.raw<readonly Prediction[]>([]);
  b = $state.raw<readonly Prediction[]>([]);
  loading = $state(false);
  trouble = $state.raw<Failure | undefined>();
  /** The position they stand at. */
  pos = $state(0);

  constructor(session: Session) {
    const slots = { a: Symbol("answer A"), b: Symbol("answer B") };
    $effect(() => {
      const { a, b } = session;
      if (!a || !b) return;
      const pos = session.selection.q ?? b.ids.length - 1;
      let current = true;
      this.loading = true;
      Promise.all([read(session, a, pos, slots.a), a === b ? undefined : read(session, b, pos, slots.b)]).then(
        ([ofA, ofB]) => {
          if (!current) return;
          [this.a, this.b, this.pos, this.loading, this.trouble] = [ofA, ofB ?? ofA, pos, false, undefined];
        },
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

async function read(session: Session, run: RunRecord, pos: number, slot: symbol): Promise<readonly Prediction[]> {
  if (pos === run.ids.length - 1) return run.predictions;
  if (pos >= run.ids.length) return [];
  const params = { site: "resid_post", kind: "logit", quantity: "prob", top: TOP, positions: [pos] };
  return lastRow(await session.viewOf(run.id, "lens", params, slot), pos);
}

function lastRow({ meta, arrays }: Arrays, pos: number): Prediction[] {
  const { top_ids: ids, top_probs: probs } = arrays;
  const strings = meta.strings as Record<string, string>;
  const start = ids.data.length - ids.shape[2];
  return Array.from(ids.data.subarray(start), (id, i) => {
    return { pos, id, token: strings[id] ?? `#${id}`, prob: probs.data[start + i], logit: NaN };
  });
}
