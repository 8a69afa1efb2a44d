// What the page tells: toasts with what and mend, and short words for the live region.

import { untrack } from "svelte";

import { type Told, aborted, failure } from "../api/failure";

export interface Notice {
  readonly key: number;
  readonly kind: "error" | "note";
  readonly told: Told;
  readonly action?: { label: string; act: () => void };
}

const NOTE_MS = 6000;
const SHORT_MS = 2500;

export class Notices {
  list = $state.raw<readonly Notice[]>([]);
  /** Read aloud, politely; never shown. */
  said = $state("");
  #next = 1;

  /** Show an error until it is closed. Aborted requests are none. */
  error(thrown: unknown): void {
    if (!aborted(thrown)) this.#show("error", failure(thrown));
  }

  note(what: string, mend = "", action?: Notice["action"]): void {
    const key = this.#show("note", { what, mend }, action);
    if (!action) setTimeout(() => this.close(key), mend ? NOTE_MS : SHORT_MS);
  }

  close(key: number): void {
    this.list = this.list.filter((each) => each.key !== key);
  }

  /** Say it to a screen reader; said again even when the words are the same. */
  say(words: string): void {
    this.said = words === untrack(() => this.said) ? `${words} ` : words;
  }

  #show(kind: Notice["kind"], told: Told, action?: Notice["action"]): number {
    const list = untrack(() => this.list);
    const same = list.find((each) => each.told.what === told.what && each.told.mend === told.mend);
    if (same) return same.key;
    const key = this.#next++;
    this.list = [...list, { key, kind, told, action }].slice(-4);
    return key;
  }
}
