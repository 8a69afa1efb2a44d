import { describe, expect, it } from "vitest";

import { type LinkState, bareRun, readLink, writeLink } from "../../src/state/link";

const STATE: LinkState = {
  v: 1,
  model: "microworld",
  ids: [1, 240, 180, 517],
  edits: [
    { edit: { kind: "zero", at: "L2.z[H3]@-1" }, on: true },
    { edit: { kind: "add", at: "L1.resid_post", value: { hash: "ab".repeat(32), shape: [128], dtype: "float32" }, scale: -2.5 }, on: false },
  ],
  a: "0123456789abcdef",
  show: "B-A",
  sel: { layer: 2, head: 3, q: 3, k: 0, site: "z" },
  view: "lens",
  params: { quantity: "kl", tokens: [1, 2], text: "Zürich ↵ <b>" },
};

describe("links", () => {
  it("come back as they were written", async () => {
    const hash = await writeLink("fedcba9876543210", STATE);
    expect(hash).toMatch(/^#run=fedcba9876543210&view=lens&s=[A-Za-z0-9_-]+$/);
    expect(await readLink(hash)).toEqual({ run: "fedcba9876543210", view: "lens", state: STATE });
  });

  it("stay short with a long prompt", async () => {
    const long = { ...STATE, ids: Array.from({ length: 1024 }, (_, i) => (i * 37) % 50257) };
    expect((await writeLink("0".repeat(16), long)).length).toBeLessThan(8000);
  });

  it("are what the standard library of Python reads: zlib, then JSON", async () => {
    const packed = /s=(.*)$/.exec(await writeLink("0".repeat(16), STATE))![1];
    const bytes = Uint8Array.from(atob(packed.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
    expect((bytes[0] * 256 + bytes[1]) % 31).toBe(0); // zlib's header check
  });

  it("without a state are none", async () => {
    expect(await readLink("")).toBeUndefined();
    expect(await readLink("#run=abc")).toBeUndefined();
  });

  it.each(["#s=!!!", "#s=AAAA", "#s=eJyrVsrNT8lXqgUADY8DHQ"])("that are broken are refused: %s", async (hash) => {
    await expect(readLink(hash)).rejects.toThrow(/damaged: a part of it is missing/);
  });

  it("cut short say so", async () => {
    const whole = await writeLink("0".repeat(16), STATE);
    await expect(readLink(whole.slice(0, -30))).rejects.toThrow(/damaged.*copy it again/s);
  });

  it("may name a run alone", () => {
    expect(bareRun("#run=0000000000000000")).toBe("0000000000000000");
    expect(bareRun("#run=0000000000000000&view=lens&s=AAAA")).toBeUndefined();
    expect(bareRun("")).toBeUndefined();
  });

  it("of another version or with other ids are refused", async () => {
    const strange = await writeLink("", { ...STATE, ids: [1, 2.5] });
    await expect(readLink(strange)).rejects.toThrow(/another state/);
    const later = await writeLink("", { ...STATE, v: 2 } as unknown as LinkState);
    await expect(readLink(later)).rejects.toThrow(/another state/);
  });
});
