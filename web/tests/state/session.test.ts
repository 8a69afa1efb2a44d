import { beforeEach, describe, expect, it } from "vitest";

import { Client } from "../../src/api/client";
import { readLink, writeLink } from "../../src/state/link";
import { linkState, openLink } from "../../src/state/linked";
import { Session } from "../../src/state/session.svelte";
import { type Asked, FakeServer } from "../fake/server";

const IOI = "When Mary and John went to the store , John gave a drink to";
let server: FakeServer;
let session: Session;

beforeEach(async () => {
  server = new FakeServer();
  session = new Session(new Client(server.fetch));
  await session.start();
  await session.setText(IOI);
});

const runsAsked = () => server.asked.filter((each) => each.path === "/api/runs" && each.method === "POST").length;

describe("runs", () => {
  it("are one and the same without edits", async () => {
    await session.run();
    expect(session.a?.id).toBe(session.b?.id);
    expect(runsAsked()).toBe(1);
    expect(session.history.runs).toHaveLength(1);
  });

  it("A is without edits, B with those that are on; toggling back asks nothing", async () => {
    await session.run();
    const key = session.edits.add({ kind: "zero", at: "L2.z[H3]" });
    await session.run();
    expect(session.a!.edits).toEqual([]);
    expect(session.b!.edits).toEqual([{ kind: "zero", at: "L2.z[H3]" }]);
    expect(runsAsked()).toBe(2);
    session.edits.toggle(key);
    await session.run();
    session.edits.undo();
    await session.run();
    expect(session.b!.edits).toHaveLength(1);
    expect(runsAsked()).toBe(2);
  });

  it("keep only the latest when asked twice", async () => {
    await session.run();
    let open!: () => void;
    const held = new Promise<void>((done) => (open = done));
    server.gate = (asked: Asked) => (JSON.stringify(asked.body).includes("L1.z") ? held : Promise.resolve());
    const key = session.edits.add({ kind: "zero", at: "L1.z" });
    const first = session.run();
    session.edits.replace(key, { kind: "zero", at: "L2.z" });
    await session.run();
    open();
    await first;
    expect(session.b!.edits).toEqual([{ kind: "zero", at: "L2.z" }]);
    expect(session.running).toBe(false);
  });

  it("that fail say so at the edit, and leave B as it was", async () => {
    await session.run();
    const before = session.b;
    session.edits.add({ kind: "zero", at: "L1.z" });
    const key = session.edits.add({ kind: "zero", at: "L9.z" });
    await session.run();
    expect(session.edits.failures).toEqual({ [key]: { what: "layer 9 is out of range: the model has 4 layers", mend: "use L0 to L3", where: "L9.z" } });
    expect(session.notices.list).toEqual([]);
    expect(session.b).toBe(before);
    expect(session.stale?.what).toMatch(/layer 9/);
    session.edits.remove(key);
    await session.run();
    expect(session.stale).toBeUndefined();
    expect(session.b!.edits).toHaveLength(1);
  });

  it("that fail for another reason are told aloud", async () => {
    server.answer = () => new Response("{}", { status: 500 });
    await session.run();
    expect(session.notices.list[0].told.what).toBe("the server answered 500");
  });

  it("of the history open as B, and are pinned as A", async () => {
    await session.run();
    const first = session.b!;
    session.edits.add({ kind: "zero", at: "L2.z[H3]" });
    await session.run();
    await session.pin(session.b);
    await session.openRun(first);
    expect(session.b!.id).toBe(first.id);
    expect(session.a!.edits).toHaveLength(1);
    expect(session.edits.entries).toHaveLength(0);
    session.edits.undo();
    expect(session.edits.entries).toHaveLength(1);
  });

  it("of different lengths cannot be subtracted, and it is said why", async () => {
    await session.run();
    await session.pin(session.b);
    session.show = "B-A";
    await session.setText("red blue");
    await session.run();
    expect(session.incomparable).toBe("A has 15 tokens and B has 3");
    expect(session.show).toBe("B");
  });
});

describe("views", () => {
  const asked = () => server.asked.filter((each) => each.path.startsWith("/api/views/"));

  it("are asked for the shown run, and once", async () => {
    await session.run();
    session.edits.add({ kind: "zero", at: "L2.z[H3]" });
    await session.run();
    for (const show of ["A", "B", "B-A", "A"] as const) {
      session.show = show;
      const { meta, arrays } = await session.view("lens", { kind: "logit" });
      expect(meta.run).toBe(show === "A" ? session.a!.id : session.b!.id);
      expect(meta.minus).toBe(show === "B-A" ? session.a!.id : null);
      expect(arrays.value.shape).toEqual([5, 15]);
      expect(arrays.value.data[1]).toBeCloseTo(Math.sin(1), 6);
    }
    expect(asked()).toHaveLength(3);
  });

  it("let go of the earlier question of the same kind", async () => {
    await session.run();
    server.gate = (each) => (each.path.startsWith("/api/views/") && each.body?.layer === 0 ? new Promise(() => undefined) : Promise.resolve());
    const stale = session.view("attention", { layer: 0, head: 1 });
    await session.view("attention", { layer: 2, head: 1 });
    await expect(stale).rejects.toThrow("aborted");
  });

  it("before any run say what to do", async () => {
    await expect(session.view("lens")).rejects.toMatchObject({ what: "nothing was run yet", mend: "run a prompt first" });
  });
});

describe("links", () => {
  it("reopen the exact state in another session", async () => {
    await session.run();
    session.edits.add({ kind: "zero", at: "L2.z[H3]" });
    session.edits.add({ kind: "scale", at: "L1.mlp_out", factor: 0.25 }, false);
    await session.run();
    session.show = "B-A";
    session.active = "lens";
    session.setParams("lens", { quantity: "kl" });
    session.selection.replace({ layer: 1, q: 4 });
    const link = (await readLink(await writeLink(session.b!.id, linkState(session))))!;

    const other = new Session(new Client(new FakeServer().fetch));
    await other.start();
    await openLink(other, link);
    expect(other.b!.id).toBe(session.b!.id);
    expect(linkState(other)).toEqual(linkState(session));
    expect(other.notices.list).toEqual([]);
    expect(other.prompt.tokens).toEqual(session.prompt.tokens);
  });

  it("whose run comes out otherwise say so in plain words", async () => {
    await session.run();
    const link = (await readLink(await writeLink("0000000000000000", linkState(session))))!;
    await openLink(session, link);
    expect(session.notices.list[0].told.what).toMatch(/made for run 0000000000000000, and running it here gave/);
  });

  it("that compare with a run that is gone say so", async () => {
    await session.run();
    const link = (await readLink(await writeLink(session.b!.id, { ...linkState(session), a: "ffffffffffffffff" })))!;
    await openLink(session, link);
    expect(session.pinned).toBeUndefined();
    expect(session.notices.list[0].told.what).toMatch(/ffffffffffffffff/);
  });
});
