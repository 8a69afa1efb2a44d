// What a view draws, kept up to date: asks again when the run, the mode or the parameters change,
// and keeps the old arrays until the new ones are there. Made while a component is set up.

import type { Arrays } from "../api/arrays";
import { type Failure, aborted, failure } from "../api/failure";
import type { Session } from "./session.svelte";

export class ViewData {
  arrays = $state.raw<Arrays | undefined>();
  loading = $state(false);
  trouble = $state.raw<Failure | undefined>();
  readonly #again: () => void;

  /** `params` is read reactively; undefined means: nothing to ask for now. */
  constructor(session: Session, name: string, params: () => Record<string, unknown> | undefined) {
    const slot = Symbol(name);
    let turn = $state(0);
    this.#again = () => turn++;
    $effect(() => {
      void turn;
      const asked = params();
      if (!asked || !session.shownKey) {
        this.arrays = undefined;
        this.loading = false;
        session.release(slot);
        return;
      }
      let current = true;
      this.loading = true;
      session.view(name, asked, slot).then(
        (arrays) => {
          if (!current) return;
          this.arrays = arrays;
          this.trouble = undefined;
          this.loading = false;
        },
        (thrown) => {
          if (!current || aborted(thrown)) return;
          this.trouble = failure(thrown);
          this.loading = false;
        },
      );
      return () => {
        current = false;
      };
    });
    $effect(() => () => session.release(slot));
  }

  again(): void {
    this.#again();
  }
}
