import { describe, expect, it } from "vitest";

import type { Arrays } from "../../src/api/arrays";
import { ArraysCache } from "../../src/state/arrays_cache";

const arrays = (bytes = 10): Arrays => ({ meta: { run: "r", minus: null, view: "lens", tokens: [], ids: [] }, arrays: {}, bytes });

/** A question whose answer is given by hand. */
function question() {
  let signal: AbortSignal | undefined;
  let answer!: (value: Arrays) => void;
  const asked = { times: 0 };
  const ask = (given: AbortSignal) => {
    signal = given;
    asked.times++;
    return new Promise<Arrays>((done, fail) => {
      answer = done;
      given.addEventListener("abort", () => fail(new DOMException("aborted", "AbortError")));
    });
  };
  return { ask, asked, answer: (value: Arrays) => answer(value), aborted: () => signal?.aborted };
}

describe("the cache of arrays", () => {
  it("asks once for what two wait for, and never again", async () => {
    const cache = new ArraysCache();
    const one = question();
    const both = Promise.all([cache.get("key", "left", one.ask), cache.get("key", "right", one.ask)]);
    one.answer(arrays());
    const [left, right] = await both;
    expect(left).toBe(right);
    expect(await cache.get("key", "later", one.ask)).toBe(left);
    expect(one.asked.times).toBe(1);
  });

  it("aborts a question when its only asker asks for something else", async () => {
    const cache = new ArraysCache();
    const [old, fresh] = [question(), question()];
    const stale = cache.get("old", "slot", old.ask);
    const current = cache.get("new", "slot", fresh.ask);
    fresh.answer(arrays());
    await expect(stale).rejects.toThrow("aborted");
    await current;
    expect(old.aborted()).toBe(true);
  });

  it("keeps a question open while another still waits for it", async () => {
    const cache = new ArraysCache();
    const [shared, other] = [question(), question()];
    const first = cache.get("shared", "one", shared.ask);
    void cache.get("shared", "two", shared.ask);
    void cache.get("other", "one", other.ask).catch(() => undefined);
    expect(shared.aborted()).toBe(false);
    shared.answer(arrays());
    await first;
    cache.release("one");
    expect(other.aborted()).toBe(true);
  });

  it("asks again after a failure", async () => {
    const cache = new ArraysCache();
    await expect(cache.get("key", "slot", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await cache.get("key", "slot", () => Promise.resolve(arrays()))).toBeDefined();
  });

  it("stays within its bytes, and lets go what was used longest ago", async () => {
    const cache = new ArraysCache(30);
    for (const key of ["a", "b", "c"]) await cache.get(key, "slot", () => Promise.resolve(arrays(10)));
    await cache.get("a", "slot", () => Promise.reject(new Error("a was lost")));
    await cache.get("d", "slot", () => Promise.resolve(arrays(10)));
    expect(["a", "b", "c", "d"].map((key) => cache.peek(key) !== undefined)).toEqual([true, false, true, true]);
  });
});
