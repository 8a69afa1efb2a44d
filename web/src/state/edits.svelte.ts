// The stack of edits: ordered, each on or off, with undo and redo.

import type { EditJSON } from "../api/types";
import type { Told } from "../api/failure";

export interface Entry {
  /** Identity on the page only; never sent. */
  readonly key: number;
  readonly edit: EditJSON;
  readonly on: boolean;
}

interface Snapshot {
  readonly entries: readonly Entry[];
  readonly soloed: number | undefined;
}

const DEPTH = 200;
const COALESCE_MS = 900;

export class Edits {
  entries = $state.raw<readonly Entry[]>([]);
  /** Key of the edit that alone is on for now. */
  soloed = $state<number | undefined>();
  /** What the server said against an edit, by key. */
  failures = $state.raw<Readonly<Record<number, Told>>>({});
  /** What the last change was, for the live region. */
  said = $state("");

  #past = $state.raw<readonly Snapshot[]>([]);
  #future = $state.raw<readonly Snapshot[]>([]);
  #next = 1;
  #turning: { key: number; at: number } | undefined;
  readonly #now: () => number;

  constructor(now: () => number = () => Date.now()) {
    this.#now = now;
  }

  /** The edits that act, in order. */
  active = $derived(this.entries.filter((each) => this.acts(each)).map((each) => each.edit));
  activeKeys = $derived(this.entries.filter((each) => this.acts(each)).map((each) => each.key));
  canUndo = $derived(this.#past.length > 0);
  canRedo = $derived(this.#future.length > 0);

  acts(entry: Entry): boolean {
    return this.soloed === undefined ? entry.on : entry.key === this.soloed;
  }

  add(edit: EditJSON, on = true): number {
    const key = this.#next++;
    this.#change([...this.entries, { key, edit, on }], `added ${edit.kind} at ${edit.at}`);
    return key;
  }

  remove(key: number): void {
    const gone = this.#find(key);
    if (!gone) return;
    this.#change(
      this.entries.filter((each) => each.key !== key),
      `removed ${gone.edit.kind} at ${gone.edit.at}`,
    );
    if (this.soloed === key) this.soloed = undefined;
  }

  toggle(key: number, on?: boolean): void {
    const entry = this.#find(key);
    if (!entry) return;
    const next = on ?? !this.acts(entry);
    this.#commit();
    // With one edit soloed, turning an edit on or off ends the solo.
    const states = this.entries.map((each) => ({ ...each, on: this.acts(each) }));
    this.entries = (this.soloed === undefined ? this.entries : states).map((each) =>
      each.key === key ? { ...each, on: next } : each,
    );
    this.soloed = undefined;
    this.said = `${entry.edit.kind} at ${entry.edit.at} is ${next ? "on" : "off"}`;
  }

  /** Leave only this edit on; again: all as they were. */
  solo(key: number): void {
    const entry = this.#find(key);
    if (!entry) return;
    this.#commit();
    this.soloed = this.soloed === key ? undefined : key;
    this.said = this.soloed === key ? `only ${entry.edit.kind} at ${entry.edit.at} is on` : "all edits as before";
  }

  /** Put the edit at another place of the stack. */
  move(key: number, to: number): void {
    const from = this.entries.findIndex((each) => each.key === key);
    const place = Math.max(0, Math.min(this.entries.length - 1, to));
    if (from < 0 || from === place) return;
    const entries = [...this.entries];
    const [moved] = entries.splice(from, 1);
    entries.splice(place, 0, moved);
    this.#change(entries, `${moved.edit.kind} is now number ${place + 1} of ${entries.length}`);
  }

  /** Write another edit in an edit's place. */
  replace(key: number, edit: EditJSON): void {
    const entry = this.#find(key);
    if (!entry) return;
    this.#change(this.entries.map((each) => (each.key === key ? { ...each, edit } : each)), `changed ${edit.kind} at ${edit.at}`);
    this.#clearFailure(key);
  }

  /** Turn an edit's number; quick turns of one knob are one step of undo. */
  turn(key: number, name: "factor" | "scale" | "seed", value: number): void {
    const entry = this.#find(key);
    if (!entry || !Number.isFinite(value) || entry.edit[name] === value) return;
    const again = this.#turning?.key === key && this.#now() - this.#turning.at < COALESCE_MS;
    if (!again) this.#commit();
    this.#turning = { key, at: this.#now() };
    this.entries = this.entries.map((each) =>
      each.key === key ? { ...each, edit: { ...each.edit, [name]: value } } : each,
    );
    this.#clearFailure(key);
  }

  /** Put another stack in this one's place: one step of undo. */
  load(edits: readonly { edit: EditJSON; on: boolean }[]): void {
    const entries = edits.map(({ edit, on }) => ({ key: this.#next++, edit, on }));
    if (!entries.length && !this.entries.length) return;
    this.#commit();
    this.soloed = undefined;
    this.entries = entries;
    this.failures = {};
  }

  clear(): void {
    if (this.entries.length) this.load([]);
  }

  /** Forget the past: a link was opened. */
  reset(edits: readonly { edit: EditJSON; on: boolean }[] = []): void {
    this.entries = edits.map(({ edit, on }) => ({ key: this.#next++, edit, on }));
    this.soloed = undefined;
    this.failures = {};
    this.#past = [];
    this.#future = [];
    this.#turning = undefined;
  }

  undo(): void {
    const last = this.#past.at(-1);
    if (!last) return;
    this.#future = [...this.#future, this.#snapshot()];
    this.#past = this.#past.slice(0, -1);
    this.#restore(last);
    this.said = "undone";
  }

  redo(): void {
    const next = this.#future.at(-1);
    if (!next) return;
    this.#past = [...this.#past, this.#snapshot()];
    this.#future = this.#future.slice(0, -1);
    this.#restore(next);
    this.said = "redone";
  }

  /** Say what is wrong with an edit, or (undefined) that it is well. */
  fail(failures: Readonly<Record<number, Told>>): void {
    this.failures = failures;
  }

  #find(key: number): Entry | undefined {
    return this.entries.find((each) => each.key === key);
  }

  #change(entries: readonly Entry[], said = this.said): void {
    this.#commit();
    this.entries = entries;
    this.said = said;
  }

  #commit(): void {
    this.#past = [...this.#past, this.#snapshot()].slice(-DEPTH);
    this.#future = [];
    this.#turning = undefined;
  }

  #snapshot(): Snapshot {
    return { entries: this.entries, soloed: this.soloed };
  }

  #restore({ entries, soloed }: Snapshot): void {
    this.entries = entries;
    this.soloed = soloed;
    this.#turning = undefined;
  }

  #clearFailure(key: number): void {
    if (!(key in this.failures)) return;
    const { [key]: _mended, ...rest } = this.failures;
    this.failures = rest;
  }
}
