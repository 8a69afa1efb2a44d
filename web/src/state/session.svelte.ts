// What a person works on: model, prompt, the runs A and B, and what is shown of them.

import { untrack } from "svelte";

import type { Arrays } from "../api/arrays";
import { Client } from "../api/client";
import { Failure, aborted, failure } from "../api/failure";
import type { EditJSON, EditVerdict, Example, ModelInfo, Models, RunRecord, StoredValue, ViewInfo } from "../api/types";
import { ArraysCache } from "./arrays_cache";
import { Edits } from "./edits.svelte";
import { History } from "./history.svelte";
import type { Show } from "./link";
import { Notices } from "./notices.svelte";
import { Prompt } from "./prompt.svelte";
import { type Place, Selection } from "./selection.svelte";

export type Phase = "starting" | "failed" | "ready";

export class Session {
  readonly client: Client;
  readonly selection = new Selection();
  readonly edits = new Edits();
  readonly history = new History();
  readonly notices = new Notices();
  readonly prompt: Prompt;

  phase = $state<Phase>("starting");
  trouble = $state.raw<Failure | undefined>();
  models = $state.raw<readonly ModelInfo[]>([]);
  model = $state.raw<ModelInfo | undefined>();
  loadingModel = $state("");
  views = $state.raw<readonly ViewInfo[]>([]);
  examples = $state.raw<readonly Example[]>([]);
  /** The example that was opened last; its steps stay at hand. */
  example = $state.raw<Example | undefined>();

  a = $state.raw<RunRecord | undefined>();
  b = $state.raw<RunRecord | undefined>();
  pinned = $state.raw<RunRecord | undefined>();
  running = $state(false);
  /** Why B is not the run of what stands above. */
  stale = $state.raw<Failure | undefined>();
  show = $state<Show>("B");
  /** Name of the view that the address bar names. */
  active = $state("");
  params = $state<Record<string, Record<string, unknown>>>({});

  /** Names of the views on screen: a run captures what they need. */
  visible: () => string[] = () => (this.active ? [this.active] : []);

  notes = $state.raw<Readonly<Record<string, string>>>({});

  readonly #arrays: ArraysCache;
  readonly #records = new Map<string, RunRecord>();
  #flight: AbortController | undefined;

  constructor(client = new Client(), cacheBytes?: number) {
    this.client = client;
    this.prompt = new Prompt(client);
    this.#arrays = new ArraysCache(cacheBytes);
  }

  /** Why B−A cannot be shown; empty when it can. */
  incomparable = $derived.by(() => {
    if (!this.a || !this.b) return "run a prompt first";
    if (this.a.model !== this.b.model) return "A and B are runs of different models";
    if (this.a.ids.length !== this.b.ids.length) {
      return `A has ${this.a.ids.length} tokens and B has ${this.b.ids.length}`;
    }
    return "";
  });
  /** The run whose tokens the views show. */
  shown = $derived(this.show === "A" ? this.a : this.b);
  /** Changes whenever views must ask again. */
  shownKey = $derived(`${this.shown?.id ?? ""}${this.show === "B-A" ? `-${this.a?.id ?? ""}` : ""}`);

  /** Ask the server what there is. */
  async start(): Promise<void> {
    this.phase = "starting";
    try {
      const [models, views] = await Promise.all([this.client.get<Models & { first?: string | null }>("/api/models"), this.client.get<{ views: ViewInfo[] }>("/api/views")]);
      this.models = models.models;
      this.views = [...views.views].sort((one, other) => one.order - other.order);
      const named = (name: string | null | undefined) => models.models.find((each) => each.name === name);
      this.model = named(keptModel()) ?? named(models.first) ?? named(models.current) ?? models.models[0];
      this.active ||= this.views[0]?.name ?? "";
      if (this.model && !this.model.loaded) await this.chooseModel(this.model.name);
      this.phase = "ready";
      await Promise.all([this.#loadExamples(), this.history.load(this.client)]);
    } catch (thrown) {
      if (this.phase === "ready") this.notices.error(thrown);
      else {
        this.trouble = failure(thrown);
        this.phase = "failed";
      }
    }
  }

  async chooseModel(name: string): Promise<void> {
    if (this.model?.name === name && this.model.loaded) return;
    this.loadingModel = name;
    try {
      this.models = (await this.client.post<Models>("/api/models", { name })).models;
      this.model = this.models.find((each) => each.name === name) ?? this.model;
      keepModel(name);
      this.notices.say(`${name} is loaded`);
      if (this.phase !== "ready") return;
      await this.#loadExamples();
      await this.#readAgain();
    } catch (thrown) {
      if (this.phase !== "ready") throw thrown;
      this.notices.error(thrown);
    } finally {
      this.loadingModel = "";
    }
  }

  /** Another model: the same text, or the same ids where it has no tokenizer; run if one was. */
  async #readAgain(): Promise<void> {
    const ran = this.b !== undefined || this.stale !== undefined;
    this.a = this.b = this.pinned = this.stale = this.example = undefined;
    this.selection.clear();
    const { ids, text } = this.prompt;
    if (!ids.length) return;
    if (this.model?.has_tokenizer) await this.setText(text);
    const fits = !this.prompt.trouble && this.prompt.ids.every((id) => id < (this.model?.d_vocab ?? 0));
    if (fits && ran) return this.run();
    if (fits) return;
    this.setIds([], []);
    this.notices.note(`this prompt cannot be read by ${this.model?.name}`, this.prompt.trouble?.what ?? "it has no tokenizer: give token ids");
    this.prompt.trouble = undefined;
  }

  /** Take a text as the prompt; its token ids are what counts. */
  async setText(text: string, bos?: boolean): Promise<void> {
    if (!this.model) return;
    const tokens = await this.prompt.tokenise(this.model.name, text, bos);
    if (tokens) this.setIds(tokens.ids, tokens.tokens, text);
  }

  setIds(ids: readonly number[], tokens: readonly string[], text?: string): void {
    this.prompt.set(ids, tokens, text);
    this.selection.fit(ids.length);
  }

  /** Run the prompt: B with the edits that are on, A without (or the pinned run). */
  async run(): Promise<void> {
    if (!this.model || !this.prompt.ids.length) return;
    this.#flight?.abort();
    const flight = (this.#flight = new AbortController());
    this.running = true;
    const keys = this.edits.activeKeys;
    const edits = this.edits.active;
    try {
      const a = this.pinned ?? (await this.#record([], flight.signal));
      const b = edits.length || this.pinned ? await this.#record(edits, flight.signal) : a;
      if (flight.signal.aborted) return;
      this.#settle(a, b);
    } catch (thrown) {
      if (aborted(thrown) || flight.signal.aborted) return;
      await this.#blame(thrown, edits, keys);
    } finally {
      if (this.#flight === flight) this.running = false;
    }
  }

  /** Run again if something was run before: the edits changed. */
  refresh(): void {
    if (this.b || this.stale) void this.run();
  }

  /**
   * Arrays of a view for the shown mode (A, B or B−A), cached by run, minus, view and parameters.
   * A slot has one request open: asking for something else lets its earlier one go. Without a
   * slot, questions of one view with the same parameter names share one.
   */
  async view(name: string, params: Record<string, unknown> = {}, slot?: string | symbol): Promise<Arrays> {
    const run = this.shown?.id;
    if (!run) throw new Failure({ what: "nothing was run yet", mend: "run a prompt first" });
    const minus = this.show === "B-A" ? this.a?.id : undefined;
    const asker = slot ?? `${name}:${Object.keys(params).sort().join()}`;
    return this.viewOf(run, name, minus ? { ...params, minus } : params, asker);
  }

  /** Arrays of a view for one run, whatever is shown. */
  async viewOf(run: string, name: string, params: Record<string, unknown>, slot: string | symbol): Promise<Arrays> {
    const body = { ...params, run };
    return this.#arrays.get(`${name} ${JSON.stringify(body)}`, slot, (signal) =>
      this.client.arrays(`/api/views/${name}`, body, signal),
    );
  }

  /** Remember where a stored value comes from: an edit itself holds its hash alone. */
  note({ value, note }: StoredValue): void {
    this.notes = { ...this.notes, [value.hash]: note };
  }

  /** Where a stored value comes from; empty where this tab did not see it made. */
  noteOf(hash: string): string {
    return this.notes[hash] ?? "";
  }

  /** Patch: write at `to` the value that a run has at `from`. */
  async patch(run: string, from: string, to: string): Promise<void> {
    try {
      const { value } = await this.client.post<StoredValue>("/api/values", { from: "run", run, at: from });
      this.edits.add({ kind: "patch", at: to, value });
    } catch (thrown) {
      this.notices.error(thrown);
    }
  }

  release(slot: string | symbol): void {
    this.#arrays.release(slot);
  }

  paramsOf(view: string): Record<string, unknown> {
    return this.params[view] ?? {};
  }

  setParams(view: string, change: Record<string, unknown>): void {
    this.params[view] = { ...untrack(() => this.params[view]), ...change };
  }

  /** Open a run of the history as B: its prompt and its edits. */
  async openRun(record: RunRecord): Promise<void> {
    if (record.model !== this.model?.name) await this.chooseModel(record.model);
    this.setIds(record.ids, record.tokens);
    this.edits.load(record.edits.map((edit) => ({ edit, on: true })));
    await this.run();
  }

  async pin(record: RunRecord | undefined): Promise<void> {
    this.pinned = record;
    if (this.b) await this.run();
    this.notices.say(record ? `run ${record.id} is A` : "A is the prompt without edits");
  }

  async openExample(example: Example): Promise<void> {
    this.example = example;
    this.pinned = undefined;
    await this.setText(example.text);
    this.edits.load(example.edits.map((edit) => ({ edit, on: true })));
    if (this.views.some((each) => each.name === example.view)) this.active = example.view;
    this.select(example.sel);
    await this.run();
  }

  /** The prompt above is not the one that was run. */
  get promptChanged(): boolean {
    return this.b !== undefined && !same(this.prompt.ids, this.b.ids);
  }

  /** Make this the selection, kept inside the prompt. */
  select(place: Place): void {
    this.selection.replace(place);
    this.selection.fit(this.prompt.ids.length);
  }

  async #record(edits: readonly EditJSON[], signal: AbortSignal): Promise<RunRecord> {
    const model = this.model?.name ?? "";
    const body = { model, ids: [...this.prompt.ids], edits, views: this.visible().filter(Boolean) };
    const key = JSON.stringify([model, body.ids, edits]);
    const kept = this.#records.get(key);
    if (kept) return kept;
    const record = await this.client.post<RunRecord>("/api/runs", body, signal);
    this.#records.set(key, record);
    return record;
  }

  #settle(a: RunRecord, b: RunRecord): void {
    this.a = a;
    this.b = b;
    this.stale = undefined;
    this.edits.fail({});
    this.prompt.name(b.ids, b.tokens);
    if (!this.pinned) this.history.add(a);
    this.history.add(b);
    if (this.incomparable && this.show === "B-A") this.show = "B";
    const best = b.predictions[0];
    if (best) this.notices.say(`Run ${b.id}: next token ${best.token.trim()}, ${(best.prob * 100).toFixed(1)} percent`);
  }

  /** Find the edit that the server refused, and say it there; else say it aloud. */
  async #blame(thrown: unknown, edits: readonly EditJSON[], keys: readonly number[]): Promise<void> {
    const told = failure(thrown);
    this.stale = told;
    const checks = edits.length && told.status === 400 ? await this.#check(edits) : [];
    const blamed = checks.flatMap((check, i) => (check.ok ? [] : [[keys[i], check.failure ?? told] as const]));
    if (!blamed.length && edits.length === 1 && told.status === 400) blamed.push([keys[0], told]);
    this.edits.fail(Object.fromEntries(blamed));
    if (!blamed.length) this.notices.error(told);
    this.notices.say(`The run failed: ${told.what}`);
  }

  async #check(edits: readonly EditJSON[]): Promise<EditVerdict[]> {
    try {
      const body = { model: this.model?.name, ids: [...this.prompt.ids], edits };
      return (await this.client.post<{ edits: EditVerdict[] }>("/api/edits/check", body)).edits;
    } catch {
      return []; // the run's own failure is told instead
    }
  }

  async #loadExamples(): Promise<void> {
    const model = this.model?.name;
    this.examples = (await this.client.get<{ examples: Example[] }>("/api/examples", { model })).examples;
  }
}

const KEPT = "residuum.model";

/** The model of this tab, so that a reload keeps it; a fresh tab has none. */
function keptModel(): string | null {
  return typeof sessionStorage === "undefined" ? null : sessionStorage.getItem(KEPT);
}

function keepModel(name: string): void {
  if (typeof sessionStorage !== "undefined") sessionStorage.setItem(KEPT, name);
}

function same(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((each, i) => each === other[i]);
}
