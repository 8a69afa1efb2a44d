// Runs, newest first. Runs are immutable, so one record per id is enough.

import type { Client } from "../api/client";
import type { RunRecord } from "../api/types";

export class History {
  runs = $state.raw<readonly RunRecord[]>([]);
  loaded = $state(false);

  async load(client: Client): Promise<void> {
    const { runs: listed } = await client.get<{ runs: RunRecord[] }>("/api/runs");
    const here = new Set(listed.map((each) => each.id));
    this.runs = [...this.runs.filter((each) => !here.has(each.id)), ...listed];
    this.loaded = true;
  }

  /** A run was made, or looked at again: it stands first. */
  add(record: RunRecord): void {
    this.runs = [record, ...this.runs.filter((each) => each.id !== record.id)];
  }

  find(id: string): RunRecord | undefined {
    return this.runs.find((each) => each.id === id);
  }
}
