// The prompt: token ids. Text is only for typing.

import type { Client } from "../api/client";
import { aborted, type Failure, failure } from "../api/failure";
import type { Tokens } from "../api/types";
import { isSign } from "./words";

export class Prompt {
  ids = $state.raw<readonly number[]>([]);
  tokens = $state.raw<readonly string[]>([]);
  /** What was typed for these ids; empty when the ids came another way. */
  typed = $state("");
  /** What the tokeniser says while a person types. */
  draft = $state.raw<Tokens | undefined>();
  trouble = $state.raw<Failure | undefined>();

  readonly #client: Client;
  readonly #texts = new Map<string, string>();
  #flight: AbortController | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  set(ids: readonly number[], tokens: readonly string[], text?: string): void {
    this.ids = ids;
    this.tokens = tokens;
    if (text !== undefined) this.#texts.set(ids.join(), text);
    this.typed = text ?? this.#texts.get(ids.join()) ?? "";
  }

  /** Names of the tokens, told by a run of these ids. */
  name(ids: readonly number[], tokens: readonly string[]): void {
    if (ids.join() === this.ids.join()) this.tokens = tokens;
  }

  /** A text to start typing from: what was typed, or the tokens read together. */
  get text(): string {
    if (this.typed) return this.typed;
    const spoken = this.tokens.filter((each) => !isSign(each));
    const spaced = spoken.slice(1).some((each) => /^[ \u0120\u2581]/.test(each));
    return spoken.join(spaced ? "" : " ").replace(/[\u0120\u2581]/g, " ");
  }

  /** Tokens of a text; an earlier question still open is let go, and then answers undefined. */
  async tokenise(model: string, text: string, bos?: boolean): Promise<Tokens | undefined> {
    this.#flight?.abort();
    const flight = (this.#flight = new AbortController());
    if (!text) {
      this.draft = undefined;
      this.trouble = undefined;
      return undefined;
    }
    try {
      const body = bos === undefined ? { model, text } : { model, text, prepend_bos: bos };
      this.draft = await this.#client.post<Tokens>("/api/tokens", body, flight.signal);
      this.trouble = undefined;
      return this.draft;
    } catch (thrown) {
      if (aborted(thrown) || flight.signal.aborted) return undefined;
      this.trouble = failure(thrown);
      this.draft = undefined;
      return undefined;
    }
  }
}
