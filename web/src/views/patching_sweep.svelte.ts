// The sweeps of this server, and the one that is open: its cells as they come in.

import type { Client } from "../api/client";
import { aborted, type Failure, failure } from "../api/failure";
import { flatOf, flattened, type JobEvent, type JobInfo, type SweepAbout, type SweepResult, type SweepStarted } from "./patching_kinds";

/** One sweep, followed until it ends. */
export class OpenSweep {
  readonly id: string;
  readonly about: SweepAbout;
  readonly values: Float32Array;
  /** 1 where a value is the mean over the pairs computed so far. */
  readonly partial: Uint8Array;
  state = $state<JobInfo["state"]>("waiting");
  done = $state(0);
  total = $state(0);
  eta = $state<number | undefined>();
  /** Blocks that were found finished, after a restart or from the same sweep before. */
  kept = $state(0);
  cells = $state(0);
  /** Changes whenever values did. */
  turn = $state(0);
  result = $state.raw<SweepResult | undefined>();
  recovered = $state.raw<Float32Array | undefined>();
  trouble = $state.raw<Failure | { what: string; mend: string } | undefined>();
  readonly #abort = new AbortController();

  constructor(info: JobInfo) {
    this.id = info.id;
    this.about = info.about;
    this.state = info.state;
    const size = info.about.shape.reduce((product, each) => product * each, 1);
    this.values = new Float32Array(size).fill(NaN);
    this.partial = new Uint8Array(size);
    if (info.result) this.#finish(info.result as unknown as SweepResult);
  }

  get over(): boolean {
    return this.state !== "waiting" && this.state !== "running";
  }

  /** Read its events until the last; goes on where it was when the connection breaks. */
  async follow(client: Client): Promise<void> {
    let since = 0;
    for (let tries = 0; tries < 4 && !this.#abort.signal.aborted; tries++) {
      try {
        for await (const event of client.events<JobEvent>(`/api/jobs/${this.id}/events?since=${since}`, this.#abort.signal)) {
          since = event.n;
          tries = 0;
          this.take(event);
        }
        if (this.over) return;
      } catch (thrown) {
        if (aborted(thrown)) return;
        if (tries === 3 || failure(thrown).status === 404) {
          this.state = "failed";
          this.trouble = failure(thrown);
          return;
        }
        await new Promise((wait) => setTimeout(wait, 400 * 2 ** tries));
      }
    }
  }

  leave(): void {
    this.#abort.abort();
  }

  take(event: JobEvent): void {
    if (event.type === "progress") {
      this.state = "running";
      this.done = event.done ?? this.done;
      this.total = event.total ?? this.total;
      this.eta = event.eta_s ?? undefined;
      this.kept = event.kept ?? this.kept;
    } else if (event.type === "cells") {
      event.cells?.forEach((index, i) => {
        const at = flatOf(this.about.shape, index);
        if (Number.isNaN(this.values[at])) this.cells++;
        this.values[at] = event.values?.[i] ?? NaN;
        this.partial[at] = event.partial ? 1 : 0;
      });
      this.turn++;
    } else if (event.type === "done") this.#finish(event.result as unknown as SweepResult);
    else {
      this.state = event.type;
      if (event.type === "failed") this.trouble = { what: event.what ?? "the sweep failed", mend: event.mend ?? "" };
    }
  }

  #finish(result: SweepResult): void {
    this.values.set(flattened(result.effects));
    this.partial.fill(0);
    this.recovered = flattened(result.recovered_frac);
    this.result = result;
    this.state = "done";
    this.cells = this.about.n_cells;
    this.turn++;
  }
}

export class Sweeps {
  jobs = $state.raw<readonly JobInfo[]>([]);
  open = $state.raw<OpenSweep | undefined>();
  starting = $state(false);
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Ask what sweeps there are for a model, the newest first. */
  async list(model: string): Promise<void> {
    const { jobs } = await this.#client.get<{ jobs: JobInfo[] }>("/api/jobs");
    this.jobs = jobs.filter((each) => each.kind === "sweep" && each.model === model);
  }

  async start(body: Record<string, unknown>): Promise<OpenSweep> {
    this.starting = true;
    try {
      const { job } = await this.#client.post<SweepStarted>("/api/sweeps", body);
      return await this.show(job);
    } finally {
      this.starting = false;
    }
  }

  /** Open one and follow it. */
  async show(id: string): Promise<OpenSweep> {
    if (this.open?.id === id) return this.open;
    const info = await this.#client.get<JobInfo>(`/api/jobs/${encodeURIComponent(id)}`);
    this.close();
    const sweep = (this.open = new OpenSweep(info));
    if (!info.result) void sweep.follow(this.#client).then(() => this.list(info.model).catch(() => undefined));
    await this.list(info.model);
    return sweep;
  }

  /** Show none; what runs goes on. */
  close(): void {
    this.open?.leave();
    this.open = undefined;
  }

  async cancel(): Promise<void> {
    if (this.open && !this.open.over) await this.#client.drop(`/api/jobs/${this.open.id}`);
  }
}
