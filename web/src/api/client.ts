// The one door to the server: JSON, binary arrays, event streams; errors always as what and mend.

import { type Arrays, decodeArrays } from "./arrays";
import { aborted, failure, refused } from "./failure";

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;
type Query = Record<string, string | number | boolean | undefined>;

export class Client {
  readonly #fetch: Fetch;

  constructor(fetcher: Fetch = (input, init) => fetch(input, init)) {
    this.#fetch = fetcher;
  }

  get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
    return this.#json("GET", path + search(query), undefined, signal);
  }

  post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
    return this.#json("POST", path, body, signal);
  }

  async drop(path: string): Promise<void> {
    await this.#ask("DELETE", path);
  }

  /** Ask for a view's arrays. */
  async arrays(path: string, body: unknown, signal?: AbortSignal): Promise<Arrays> {
    const response = await this.#ask("POST", path, body, signal);
    return decodeArrays(await response.arrayBuffer());
  }

  /** Read a stream of events, one JSON document a line. */
  async *events<T>(path: string, signal?: AbortSignal): AsyncGenerator<T> {
    const response = await this.#ask("GET", path, undefined, signal);
    if (!response.body) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        const lines = (rest + (value ?? "")).split("\n");
        rest = done ? "" : (lines.pop() ?? "");
        for (const line of lines) if (line.trim()) yield JSON.parse(line) as T;
        if (done) return;
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  async #json<T>(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<T> {
    const response = await this.#ask(method, path, body, signal);
    return (await response.json()) as T;
  }

  async #ask(
    method: string,
    path: string,
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<Response> {
    const init: RequestInit = { method, signal, credentials: "same-origin" };
    if (body !== undefined) {
      init.headers = { "Content-Type": "application/json" };
      init.body = JSON.stringify(body);
    }
    let response: Response;
    try {
      response = await this.#fetch(path, init);
    } catch (thrown) {
      throw aborted(thrown) ? thrown : failure(thrown);
    }
    if (!response.ok) throw await refused(response);
    return response;
  }
}

function search(query?: Query): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  if (!given.length) return "";
  return `?${new URLSearchParams(given.map(([key, value]) => [key, String(value)]))}`;
}
