// Decoded arrays of views, by run and parameters: bounded by bytes, one request per question, and
// a request that nobody waits for any more is aborted.

import type { Arrays } from "../api/arrays";

interface Flight {
  promise: Promise<Arrays>;
  abort: AbortController;
  waiting: Set<string | symbol>;
}

export class ArraysCache {
  readonly #limit: number;
  readonly #kept = new Map<string, Arrays>();
  readonly #flights = new Map<string, Flight>();
  #bytes = 0;

  constructor(limitBytes = 96 * 2 ** 20) {
    this.#limit = limitBytes;
  }

  peek(key: string): Arrays | undefined {
    return this.#kept.get(key);
  }

  /**
   * The arrays for `key`. `slot` names who asks: when the same slot asks for something else, its
   * earlier request is let go, and aborted if it was the only one waiting.
   */
  get(key: string, slot: string | symbol, ask: (signal: AbortSignal) => Promise<Arrays>): Promise<Arrays> {
    this.#release(slot, key);
    const kept = this.#kept.get(key);
    if (kept) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return Promise.resolve(kept);
    }
    const flight = this.#flights.get(key) ?? this.#start(key, ask);
    flight.waiting.add(slot);
    return flight.promise;
  }

  /** Nobody at this slot waits any more. */
  release(slot: string | symbol): void {
    this.#release(slot, undefined);
  }

  clear(): void {
    for (const flight of this.#flights.values()) flight.abort.abort();
    this.#flights.clear();
    this.#kept.clear();
    this.#bytes = 0;
  }

  #start(key: string, ask: (signal: AbortSignal) => Promise<Arrays>): Flight {
    const abort = new AbortController();
    const flight: Flight = { abort, waiting: new Set(), promise: ask(abort.signal) };
    this.#flights.set(key, flight);
    const landed = () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    flight.promise.then((arrays) => {
      landed();
      this.#keep(key, arrays);
    }, landed);
    return flight;
  }

  #release(slot: string | symbol, except: string | undefined): void {
    for (const [key, flight] of this.#flights) {
      if (key === except || !flight.waiting.delete(slot) || flight.waiting.size) continue;
      this.#flights.delete(key);
      flight.abort.abort();
    }
  }

  #keep(key: string, arrays: Arrays): void {
    this.#kept.set(key, arrays);
    this.#bytes += arrays.bytes;
    for (const [oldest, old] of this.#kept) {
      if (this.#bytes <= this.#limit || oldest === key) return;
      this.#kept.delete(oldest);
      this.#bytes -= old.bytes;
    }
  }
}
