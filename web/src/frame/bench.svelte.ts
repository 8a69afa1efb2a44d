// What the parts of the frame share, and what a person can do from several places.

import { getContext, setContext } from "svelte";

import { Failure, failure } from "../api/failure";
import type { RunRecord } from "../api/types";
import { Dialogs } from "../state/dialogs.svelte";
import { groups } from "../state/dock_tree";
import { Layout } from "../state/layout.svelte";
import { writeLink } from "../state/link";
import { linkState } from "../state/linked";
import { Session } from "../state/session.svelte";
import { ThemeChoice } from "../state/theme.svelte";

const KEY = Symbol("bench");

export class Bench {
  readonly session = new Session();
  readonly layout = new Layout();
  readonly theme = new ThemeChoice();
  readonly dialogs = new Dialogs();

  constructor() {
    // What is on screen is captured in the same pass as the run.
    this.session.visible = () => groups(this.layout.tree).map((each) => each.active);
  }

  /** Show a view: its tab comes to the front. */
  showView(name: string): void {
    this.session.active = name;
    this.layout.activate(name);
    this.layout.page = "views";
  }

  async copyLink(): Promise<void> {
    const { session } = this;
    if (!session.b) return;
    const link = await writeLink(session.b.id, linkState(session));
    await this.copy(new URL(link, location.href).href, "Link copied: it reopens exactly this state");
  }

  /** A link that opens a run of the history as B. */
  async copyRunLink(record: RunRecord): Promise<void> {
    const edits = record.edits.map((edit) => ({ edit, on: true }));
    const view = this.session.active;
    const state = { v: 1, model: record.model, ids: record.ids, edits, show: "B", sel: {}, view, params: {} } as const;
    const link = await writeLink(record.id, { ...state, ids: [...record.ids] });
    await this.copy(new URL(link, location.href).href, `Link to run ${record.id} copied`);
  }

  async showPython(): Promise<void> {
    const { session } = this;
    if (!session.b) return;
    const { a, b, show, active } = session;
    const run = show === "A" && a ? a.id : b.id;
    const other = show === "B-A" && a ? { a: a.id } : {};
    const sweep = active === "patching" ? session.paramsOf(active) : undefined;
    const alone = sweep && !(sweep.page === "difference" && "a" in other && other.a !== run);
    const body = alone ? { run } : { run, ...other, view: active, params: this.#asked(active) };
    try {
      if (sweep?.page === "sweep" && typeof sweep.job === "string") return await this.#showSweep(sweep.job);
      const { code } = await session.client.post<{ code: string }>("/api/python", body);
      const note = alone ? `This reproduces the run alone: ${sweep.page === "difference" ? "two runs are compared under B−A only" : "no sweep is open"}.` : "Reproduces what is on screen with the library alone.";
      this.dialogs.show({ name: "code", title: "Copy as Python", text: code, note });
    } catch (thrown) {
      session.notices.error(thrown);
    }
  }

  async #showSweep(job: string): Promise<void> {
    const { model, about } = await this.session.client.get<{ model: string; about: { python: string } }>(`/api/jobs/${encodeURIComponent(job)}`);
    const text = sweepCode(model, about.python);
    this.dialogs.show({ name: "code", title: "Copy as Python", text, note: "This sweep, the same numbers with the library alone." });
  }

  /** Parameters of a view that the server knows; the rest is how the page shows them. */
  #asked(view: string): Record<string, unknown> {
    const known = new Set(Object.keys(this.session.views.find((each) => each.name === view)?.params.properties ?? {}));
    return Object.fromEntries(Object.entries($state.snapshot(this.session.paramsOf(view))).filter(([name]) => known.has(name)));
  }

  showJson(): void {
    const text = JSON.stringify(this.session.edits.active, null, 2);
    this.dialogs.show({ name: "code", title: "Copy edits as JSON", text, note: "The edits that are on, as the library reads them." });
  }

  async copy(text: string, said: string): Promise<boolean> {
    try {
      await navigator.clipboard.writeText(text);
      this.session.notices.note(said);
      return true;
    } catch (thrown) {
      const what = `the browser did not let the page copy: ${failure(thrown).what}`;
      this.session.notices.error(new Failure({ what, mend: "select the text, or the address above, and copy it" }));
      return false;
    }
  }
}

/** A sweep as a script. */
export function sweepCode(model: string, python: string): string {
  return `import residuum as rz\n\nmodel = rz.load(${JSON.stringify(model)})\n${python}`;
}

export function provideBench(): Bench {
  return setContext(KEY, new Bench());
}

export function useBench(): Bench {
  return getContext<Bench>(KEY);
}
