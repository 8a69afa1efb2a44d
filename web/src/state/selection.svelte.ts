// The one selection that all views share, and what the inspector shows of it.

import { untrack } from "svelte";

import type { EditJSON } from "../api/types";
import { writeAddress } from "./address";

export interface Place {
  layer?: number;
  head?: number;
  /** Destination (query) position: "the token". */
  q?: number;
  /** Source (key) position. */
  k?: number;
  site?: string;
}

export interface Suggestion {
  label?: string;
  edit: EditJSON;
  /** Instead of adding the edit as it is: where its value must be stored or asked for first. */
  act?: () => void;
}

/** What a view tells the inspector. */
export interface Card {
  title: string;
  rows: (readonly [name: string, value: string | number, unit?: string])[];
  /** Suggested edits: plain JSON, or with a label of their own. */
  edits?: (EditJSON | Suggestion)[];
  note?: string;
}

const HEAD_SITES = new Set(["z", "head_out", "pattern", "scores", "q", "k", "v", "q_pre", "k_pre"]);
const KEYS = ["layer", "head", "q", "k", "site"] as const;

export class Selection {
  layer = $state<number | undefined>();
  head = $state<number | undefined>();
  q = $state<number | undefined>();
  k = $state<number | undefined>();
  site = $state<string | undefined>();
  cards = $state.raw<Record<string, Card>>({});
  #latest = $state("");

  /** Change what is named; the rest stays. `undefined` clears a part. */
  set(place: Place): void {
    if ("layer" in place) this.layer = place.layer;
    if ("head" in place) this.head = place.head;
    if ("q" in place) this.q = place.q;
    if ("k" in place) this.k = place.k;
    if ("site" in place) this.site = place.site;
  }

  /** Make this the whole selection. */
  replace(place: Place): void {
    this.set({ layer: undefined, head: undefined, q: undefined, k: undefined, site: undefined, ...place });
  }

  clear(): void {
    this.replace({});
  }

  /** Keep the selection inside a prompt of this many tokens. */
  fit(tokens: number): void {
    if (this.q !== undefined && this.q >= tokens) this.q = undefined;
    if (this.k !== undefined && this.k >= tokens) this.k = undefined;
  }

  get place(): Place {
    const place: Place = {};
    for (const key of KEYS) if (this[key] !== undefined) Object.assign(place, { [key]: this[key] });
    return place;
  }

  get empty(): boolean {
    return KEYS.every((key) => this[key] === undefined);
  }

  /** The address of the selection, as an edit needs it; undefined while no layer is chosen. */
  get address(): string | undefined {
    if (this.layer === undefined) return undefined;
    const name = this.site ?? (this.head === undefined ? "resid_post" : "z");
    const head = HEAD_SITES.has(name) ? this.head : undefined;
    return writeAddress({ name, layer: this.layer, head, pos: this.q });
  }

  /** Show this in the inspector; a view gives its name and replaces its own card only. */
  inspect(card: Card, from = "view"): void {
    // Views call this from effects, which must not come to depend on what they write.
    this.cards = { ...untrack(() => this.cards), [from]: card };
    this.#latest = from;
  }

  /** Take a view's card out again. */
  withdraw(from = "view"): void {
    const { [from]: _gone, ...rest } = untrack(() => this.cards);
    this.cards = rest;
  }

  get card(): Card | undefined {
    return this.cards[this.#latest] ?? Object.values(this.cards).at(-1);
  }
}
