import { describe, expect, it } from "vitest";

import { Client } from "../../src/api/client";
import { aborted, failure } from "../../src/api/failure";

const answering = (body: BodyInit | null, status = 200) => new Client(() => Promise.resolve(new Response(body, { status })));

describe("the client", () => {
  it("sends JSON, and asks with a query", async () => {
    const asked: [string, RequestInit | undefined][] = [];
    const client = new Client((path, init) => {
      asked.push([path, init]);
      return Promise.resolve(new Response("{}"));
    });
    await client.post("/api/tokens", { text: "a" });
    await client.get("/api/tokens/search", { query: "a&b", model: undefined });
    expect(asked[0][1]).toMatchObject({ method: "POST", body: '{"text":"a"}', headers: { "Content-Type": "application/json" } });
    expect(asked[1][0]).toBe("/api/tokens/search?query=a%26b");
  });

  it("hands on what and mend of a refusal", async () => {
    const client = answering('{"what":"no such run","mend":"run it again","where":"abc"}', 404);
    await expect(client.get("/api/runs/abc")).rejects.toMatchObject({ what: "no such run", mend: "run it again", where: "abc", status: 404 });
  });

  it.each([
    [401, /no token/, /residuum serve/],
    [429, /queue is full/, /cancel/],
    [502, /answered 502/, /terminal/],
  ])("has its own words for a bare %d", async (status, what, mend) => {
    const refused = await answering("<html>", status).get("/api/models").catch(failure);
    expect(refused).toMatchObject({ what: expect.stringMatching(what), mend: expect.stringMatching(mend) });
  });

  it("says that the server is gone, and lets an abort be an abort", async () => {
    const gone = new Client(() => Promise.reject(new TypeError("Failed to fetch")));
    await expect(gone.get("/api/models")).rejects.toMatchObject({ what: "the server does not answer" });
    const stopped = new Client(() => Promise.reject(new DOMException("stopped", "AbortError")));
    expect(aborted(await stopped.get("/api/models").catch((thrown: unknown) => thrown))).toBe(true);
  });

  it("reads events line by line, however they are cut", async () => {
    const text = '{"n":1}\n{"n":2,"type":"cells"}\n\n{"n":3}';
    for (const size of [1, 5, 100]) {
      const cut = new ReadableStream({
        start(stream) {
          const all = new TextEncoder().encode(text);
          for (let i = 0; i < all.length; i += size) stream.enqueue(all.slice(i, i + size));
          stream.close();
        },
      });
      const found: number[] = [];
      for await (const event of answering(cut).events<{ n: number }>("/api/jobs/1/events")) found.push(event.n);
      expect(found).toEqual([1, 2, 3]);
    }
  });
});
