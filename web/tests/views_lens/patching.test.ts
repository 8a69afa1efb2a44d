import { describe, expect, it } from "vitest";

import type { Client } from "../../src/api/client";
import { Failure } from "../../src/api/failure";
import { addressOf, cellAt, cellsOf, differing, flatOf, flattened, indexOf, type JobEvent, type JobInfo, lasting, placeOf, sheetOf, type SweepAbout, sweepTitle, usualLength, WHATS } from "../../src/views/patching_kinds";
import { OpenSweep, Sweeps } from "../../src/views/patching_sweep.svelte";

const ABOUT: SweepAbout = {
  site: "z", kind: "denoise", dims: ["layer", "head", "pos"], shape: [2, 3, 4],
  labels: { layer: ["L0", "L1"], head: ["H0", "H1", "H2"], pos: ["0 a", "1 b", "2", "3 d"] },
  coords: { layer: [0, 1], head: [0, 1, 2], pos: [4, 5, 6, 7] },
  n_cells: 24, impossible: [], metric: "logit_diff", unit: "logits", task: "ioi", n_pairs: 4, clean_tokens: ["a"], corrupt_tokens: ["b"], note: "", python: "",
};
const INFO: JobInfo = { id: "j1", kind: "sweep", model: "m", state: "running", created: "2026-01-01T00:00:00Z", done: 0, total: 2, about: ABOUT, result: null, what: "", mend: "" };
const RESULT = { effects: [[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, null]], [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]], recovered_frac: [[[0.1]]], top: [] };
const event = (fields: Partial<JobEvent>) => ({ n: 1, type: "progress", ...fields }) as JobEvent;

describe("cells of a sweep", () => {
  it("numbers and indices are each other's inverse, over the whole sweep", () => {
    for (let flat = 0; flat < 24; flat++) expect(flatOf(ABOUT.shape, indexOf(ABOUT.shape, flat))).toBe(flat);
  });
  it("names every cell once, by an address that edits can use", () => {
    const names = Array.from({ length: 24 }, (_, flat) => addressOf(ABOUT, indexOf(ABOUT.shape, flat)));
    expect(new Set(names).size).toBe(24);
    expect(names[0]).toBe("L0.z[H0]@4");
    expect(names[23]).toBe("L1.z[H2]@7");
    expect(addressOf({ ...ABOUT, site: "resid_pre", dims: ["layer", "pos"] }, [1, 2])).toBe("L1.resid_pre@6");
  });
  it("finds the cell of a selection, and none where the sweep has none", () => {
    for (let flat = 0; flat < 24; flat++) expect(cellAt(ABOUT, placeOf(ABOUT, indexOf(ABOUT.shape, flat)))).toBe(flat);
    expect(cellAt(ABOUT, { layer: 1, head: 1 })).toBeUndefined();
    expect(cellAt(ABOUT, { layer: 9, head: 1, q: 4 })).toBeUndefined();
    expect(cellAt({ ...ABOUT, dims: ["layer", "head"], shape: [2, 3] }, { layer: 1, head: 1, q: 0 })).toBe(4);
  });
  it("puts the last axis across and the others down", () => {
    const { rows, cols } = sheetOf(ABOUT);
    expect(cols).toEqual(ABOUT.labels.pos);
    expect(rows).toEqual(["L0 H0", "L0 H1", "L0 H2", "L1 H0", "L1 H1", "L1 H2"]);
    expect(rows.length * cols.length).toBe(24);
  });
  it("reads nested numbers; none is NaN, never 0", () => {
    const flat = flattened([[1, null], [0, 2]]);
    expect(Array.from(flat)).toEqual([1, NaN, 0, 2]);
  });
  it("counts cells as the server does", () => {
    expect(WHATS.map((what) => cellsOf(what, 4, 8, 15))).toEqual([60, 60, 60, 32, 480]);
  });
  it("marks what differs, also where one prompt is longer", () => {
    expect([...differing(["a", "b", "c"], ["a", "x"])]).toEqual([1, 2]);
    expect(differing([1, 2], [1, 2]).size).toBe(0);
  });
  it("finds the length that most pairs have", () => {
    expect([[15, 14, 15], [14, 15], []].map(usualLength)).toEqual([15, 15, 0]);
  });
  it("names a sweep and a time in words", () => {
    expect(sweepTitle(ABOUT)).toBe("ioi, 4 pairs: heads by position, denoise");
    expect(sweepTitle({ ...ABOUT, task: "pair", n_pairs: 1, site: "q" })).toBe("two prompts, one pair: q by layer × head × pos, denoise");
    expect([0.2, 12.4, 130, 8000].map(lasting)).toEqual(["less than a second", "about 12 s", "about 2 min", "about 2.2 h"]);
  });
});

describe("a sweep that runs", () => {
  it("fills in its cells; what is not yet computed has no value", () => {
    const sweep = new OpenSweep(INFO);
    expect(sweep.values.every(Number.isNaN)).toBe(true);
    sweep.take(event({ type: "cells", cells: [[0, 0, 0], [1, 2, 3]], values: [0, -2], partial: true }));
    expect([sweep.values[0], sweep.values[23], sweep.cells]).toEqual([0, -2, 2]);
    expect(sweep.partial[23]).toBe(1);
    sweep.take(event({ type: "cells", cells: [[1, 2, 3]], values: [-3], partial: false }));
    expect([sweep.values[23], sweep.partial[23], sweep.cells]).toEqual([-3, 0, 2]);
    sweep.take(event({ type: "progress", done: 1, total: 2, eta_s: 3.5, kept: 1 }));
    expect([sweep.done, sweep.total, sweep.eta, sweep.kept, sweep.over]).toEqual([1, 2, 3.5, 1, false]);
  });
  it("takes the result's numbers when it is done", () => {
    const sweep = new OpenSweep(INFO);
    sweep.take(event({ type: "done", result: RESULT }));
    expect([sweep.values[0], sweep.values[10], sweep.state, sweep.over]).toEqual([1, 11, "done", true]);
    expect(sweep.values[11]).toBeNaN();
  });
  it("says why it failed, and that it was cancelled", () => {
    const failed = new OpenSweep(INFO), cancelled = new OpenSweep(INFO);
    failed.take(event({ type: "failed", what: "no room", mend: "fewer pairs" }));
    expect(failed.trouble).toEqual({ what: "no room", mend: "fewer pairs" });
    cancelled.take(event({ type: "cancelled" }));
    expect([cancelled.state, cancelled.trouble]).toEqual(["cancelled", undefined]);
  });
  it("goes on after a broken connection, at the event where it was", async () => {
    const asked: string[] = [];
    const client = {
      async *events(path: string) {
        asked.push(path);
        if (asked.length === 1) {
          yield event({ n: 5, type: "cells", cells: [[0, 0, 1]], values: [7] });
          throw new TypeError("network error");
        }
        yield event({ n: 6, type: "done", result: RESULT });
      },
    } as unknown as Client;
    const sweep = new OpenSweep(INFO);
    await sweep.follow(client);
    expect(asked).toEqual(["/api/jobs/j1/events?since=0", "/api/jobs/j1/events?since=5"]);
    expect(sweep.state).toBe("done");
  });
  it("gives up on a job that the server no longer knows", async () => {
    const client = {
      // eslint-disable-next-line require-yield
      async *events() {
        throw new Failure({ what: "there is no job", mend: "look at the list" }, 404);
      },
    } as unknown as Client;
    const sweep = new OpenSweep(INFO);
    await sweep.follow(client);
    expect(sweep.state).toBe("failed");
    expect(sweep.trouble?.what).toBe("there is no job");
  });
});

describe("the list of sweeps", () => {
  const client = (info: JobInfo, dropped: string[] = []) =>
    ({
      get: async (path: string) => (path === "/api/jobs" ? { jobs: [info, { ...info, id: "j2", model: "other" }, { ...info, id: "j3", kind: "else" }] } : info),
      post: async () => ({ job: info.id }),
      drop: async (path: string) => void dropped.push(path),
      // eslint-disable-next-line require-yield
      async *events() {
        await new Promise(() => undefined);
      },
    }) as unknown as Client;

  it("has the sweeps of this model only", async () => {
    const sweeps = new Sweeps(client(INFO));
    await sweeps.list("m");
    expect(sweeps.jobs.map(({ id }) => id)).toEqual(["j1"]);
  });
  it("opens what it started, and cancels what runs", async () => {
    const dropped: string[] = [];
    const sweeps = new Sweeps(client(INFO, dropped));
    const sweep = await sweeps.start({});
    expect(sweeps.open?.id).toBe("j1");
    await sweeps.cancel();
    sweep.take(event({ type: "cancelled" }));
    await sweeps.cancel();
    expect(dropped).toEqual(["/api/jobs/j1"]);
  });
  it("shows a finished one from its result, without listening", () => {
    const sweep = new OpenSweep({ ...INFO, state: "done", result: RESULT });
    expect([sweep.over, sweep.values[3], sweep.cells]).toEqual([true, 4, 24]);
  });
});
