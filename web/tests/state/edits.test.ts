import { beforeEach, describe, expect, it } from "vitest";

import type { EditJSON } from "../../src/api/types";
import { Edits } from "../../src/state/edits.svelte";

const zero = (at: string): EditJSON => ({ kind: "zero", at });
const places = (edits: Edits) => edits.entries.map((each) => each.edit.at);

let clock = 0;
let edits: Edits;
beforeEach(() => {
  clock = 0;
  edits = new Edits(() => clock);
});

describe("the stack", () => {
  it("acts with the edits that are on, in order", () => {
    edits.add(zero("L0.z"));
    const second = edits.add(zero("L1.z"));
    edits.add(zero("L2.z"));
    edits.toggle(second);
    expect(edits.active.map((each) => each.at)).toEqual(["L0.z", "L2.z"]);
    edits.move(edits.entries[2].key, 0);
    expect(places(edits)).toEqual(["L2.z", "L0.z", "L1.z"]);
  });

  it("takes each change back and does it again", () => {
    const key = edits.add({ kind: "scale", at: "L1.mlp_out", factor: 0.5 });
    edits.add(zero("L2.z[H3]"));
    edits.toggle(key);
    edits.move(key, 1);
    edits.remove(key);
    const states = [() => edits.undo(), () => edits.redo()];
    const end = places(edits);
    for (let i = 0; i < 5; i++) states[0]();
    expect(edits.entries).toEqual([]);
    expect(edits.canUndo).toBe(false);
    for (let i = 0; i < 5; i++) states[1]();
    expect(places(edits)).toEqual(end);
    expect(edits.canRedo).toBe(false);
  });

  it("forgets what was undone once something else is done", () => {
    edits.add(zero("L0.z"));
    edits.undo();
    edits.add(zero("L1.z"));
    edits.redo();
    expect(places(edits)).toEqual(["L1.z"]);
  });

  it("keeps a quick turn of one knob as one step", () => {
    const key = edits.add({ kind: "scale", at: "L1.mlp_out", factor: 1 });
    for (const factor of [0.9, 0.8, 0.7]) {
      clock += 100;
      edits.turn(key, "factor", factor);
    }
    clock += 5000;
    edits.turn(key, "factor", 0.1);
    edits.undo();
    expect(edits.entries[0].edit.factor).toBe(0.7);
    edits.undo();
    expect(edits.entries[0].edit.factor).toBe(1);
  });

  it("refuses a number that is none", () => {
    const key = edits.add({ kind: "scale", at: "L1.mlp_out", factor: 1 });
    edits.turn(key, "factor", NaN);
    expect(edits.entries[0].edit.factor).toBe(1);
  });

  it("solos one edit and gives the others back as they were", () => {
    const first = edits.add(zero("L0.z"), false);
    const second = edits.add(zero("L1.z"));
    edits.add(zero("L2.z"));
    edits.solo(first);
    expect(edits.active.map((each) => each.at)).toEqual(["L0.z"]);
    edits.solo(first);
    expect(edits.active.map((each) => each.at)).toEqual(["L1.z", "L2.z"]);
    edits.solo(second);
    edits.toggle(first);
    expect(edits.active.map((each) => each.at)).toEqual(["L0.z", "L1.z"]);
    edits.undo();
    expect(edits.active.map((each) => each.at)).toEqual(["L1.z"]);
  });

  it("ends a solo when that edit goes, and undo brings both back", () => {
    edits.add(zero("L0.z"));
    const second = edits.add(zero("L1.z"));
    edits.solo(second);
    edits.remove(second);
    expect(edits.active.map((each) => each.at)).toEqual(["L0.z"]);
    edits.undo();
    expect(edits.active.map((each) => each.at)).toEqual(["L1.z"]);
  });

  it("forgets a failure when the edit is changed", () => {
    const key = edits.add(zero("L9.z"));
    edits.fail({ [key]: { what: "layer 9 is out of range", mend: "use L0 to L3" } });
    edits.replace(key, zero("L3.z"));
    expect(edits.failures).toEqual({});
  });
});
