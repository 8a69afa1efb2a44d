// Keeps the address bar and the state alike: written when the state changes, read when it is opened.

import { type LinkState, bareRun, readLink, writeLink } from "../state/link";
import { linkState, openLink, openRun } from "../state/linked";
import type { Bench } from "./bench.svelte";

const WAIT_MS = 150;

export class AddressBar {
  readonly #bench: Bench;
  #written = "";
  #prompt = "";
  #opening = false;

  /** Made while a component is set up. */
  constructor(bench: Bench) {
    this.#bench = bench;
    $effect(() => {
      const { session } = bench;
      if (!session.b || session.promptChanged) return;
      const run = session.b.id;
      const state = linkState(session);
      const timer = setTimeout(() => void this.#write(run, state), WAIT_MS);
      return () => clearTimeout(timer);
    });
  }

  /** Open what the address bar says, if it says anything new. */
  async open(): Promise<void> {
    if (location.hash === this.#written || !location.hash) return;
    const { session, layout } = this.#bench;
    this.#opening = true;
    try {
      const link = await readLink(location.hash);
      if (!link) {
        const run = bareRun(location.hash);
        if (run) await openRun(session, run);
        return;
      }
      await openLink(session, link);
      layout.activate(session.active);
      this.#prompt = promptOf(linkState(session));
    } catch (thrown) {
      session.notices.error(thrown);
    } finally {
      this.#opening = false;
      if (session.b) void this.#write(session.b.id, linkState(session));
    }
  }

  async #write(run: string, state: LinkState): Promise<void> {
    const hash = await writeLink(run, state);
    if (hash === this.#written || this.#opening) return;
    // Another prompt is a step that the browser's back button takes back; edits have their undo.
    const prompt = promptOf(state);
    const step = this.#prompt && this.#prompt !== prompt;
    this.#written = hash;
    this.#prompt = prompt;
    history[step ? "pushState" : "replaceState"](null, "", hash);
  }
}

function promptOf({ model, ids }: LinkState): string {
  return `${model} ${ids.join()}`;
}
