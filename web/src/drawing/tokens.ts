// A prompt as chips: token, id, a value as colour; real elements, so that text can be found and read.

import { moveInList, type TableData } from "./chart";
import { exact, number, visible } from "./numerals";
import { colourOf, colourRange, hexOf, inkOn, type Scale } from "./palette";
import { announce, hideTip, node, showTip } from "./tip";

export interface TokenData {
  tokens: readonly string[];
  ids?: ArrayLike<number> | null;
  values?: Float32Array | null;
  unit?: string;
  scale?: Scale;
  low?: number;
  high?: number;
  /** Ids of tokens that are no text, such as <|endoftext|>. */
  special?: ReadonlySet<number>;
  /** More lines to tell of a token. */
  note?: (at: number) => string[];
}

export interface TokenOptions {
  label?: string;
  /** Show ids under the tokens. */
  ids?: boolean;
  onHover?: (at: number | null) => void;
  onPick?: (at: number, event: MouseEvent | KeyboardEvent) => void;
  onDrag?: (at: number, data: DataTransfer) => boolean | void;
  onDrop?: (at: number, data: DataTransfer) => void;
}

/** A token strip in an element. */
export class TokenStrip {
  readonly element: HTMLOListElement;
  #chips: HTMLLIElement[] = [];
  #data: TokenData = { tokens: [] };
  #marked: readonly number[] = [];
  #shown: number | null = null;

  constructor(host: HTMLElement, readonly options: TokenOptions = {}) {
    this.element = node("ol", { class: "rz-strip", role: "listbox", "aria-orientation": "horizontal", "aria-label": options.label ?? "Tokens" });
    host.append(this.element);
    this.#listen();
  }

  /** Show a prompt. */
  show(data: TokenData): void {
    this.#data = data;
    this.#shown = null;
    this.#chips = data.tokens.map((token, at) => this.#chip(token, at));
    this.element.replaceChildren(...this.#chips);
    this.colour(data.values ?? null);
    this.mark(this.#marked);
  }

  /** Colour the tokens by other values; the tokens stay. */
  colour(values: Float32Array | null): void {
    this.#data = { ...this.#data, values };
    const { scale = "diverging" } = this.#data;
    const [low, high] = colourRange(values ?? [], scale);
    const colouring = { scale, low: this.#data.low ?? low, high: this.#data.high ?? high };
    this.#chips.forEach((chip, at) => {
      for (const [theme, name] of [["light", "l"], ["dark", "d"]] as const) {
        const pixel = values ? colourOf(values[at], colouring, theme) : null;
        chip.style.setProperty(`--${name}`, pixel === null ? "" : hexOf(pixel));
        chip.style.setProperty(`--${name}i`, pixel === null ? "" : inkOn(pixel));
      }
    });
  }

  /** Select tokens. */
  mark(at: number | readonly number[] | null): void {
    this.#marked = at === null ? [] : typeof at === "number" ? [at] : at;
    this.#chips.forEach((chip, i) => {
      const chosen = this.#marked.includes(i);
      chip.setAttribute("aria-selected", String(chosen));
      chip.tabIndex = i === (this.#marked[0] ?? 0) ? 0 : -1;
    });
  }

  /** What is told of a token. */
  lines(at: number): string[] {
    const { tokens, ids, values, unit, note } = this.#data;
    const value = values ? [Number.isNaN(values[at]) ? "no value" : `${number(values[at], 5)}${unit ? ` ${unit}` : ""}`] : [];
    const id = ids ? [`id ${ids[at]}`] : [];
    return [`“${visible(tokens[at])}”`, ...value, `position ${at}`, ...id, ...(note?.(at) ?? [])];
  }

  table(): TableData {
    const { tokens, ids, values, unit } = this.#data;
    const head = ["position", "token", ...(ids ? ["id"] : []), ...(values ? [unit || "value"] : [])];
    return { head, rows: tokens.map((token, at) => [at, token, ...(ids ? [ids[at]] : []), ...(values ? [exact(values[at])] : [])]) };
  }

  json(): Record<string, unknown> {
    const { tokens, ids, values, unit } = this.#data;
    return { kind: "tokens", tokens, ids: ids && Array.from(ids), values: values && Array.from(values, (v) => (Number.isFinite(v) ? v : null)), unit };
  }

  destroy(): void {
    this.#hover(null);
    this.element.remove();
  }

  #chip(token: string, at: number): HTMLLIElement {
    const { ids, special } = this.#data;
    const chip = node("li", { class: "rz-token", role: "option", dir: "ltr" });
    if (ids && special?.has(ids[at])) chip.classList.add("rz-token-special");
    chip.dataset.at = String(at);
    chip.draggable = Boolean(this.options.onDrag);
    chip.append(node("span", { class: "rz-token-text" }, visible(token)));
    if (ids && this.options.ids !== false) chip.append(node("span", { class: "rz-id" }, String(ids[at])));
    return chip;
  }

  #at(event: Event): number | null {
    const chip = (event.target as Element | null)?.closest<HTMLElement>(".rz-token");
    return chip && this.element.contains(chip) ? Number(chip.dataset.at) : null;
  }

  #hover(at: number | null): void {
    if (at === this.#shown) return;
    this.#shown = at;
    this.options.onHover?.(at);
    if (at === null) return hideTip();
    const box = this.#chips[at].getBoundingClientRect();
    showTip(this.element, this.lines(at), box.left, box.bottom - 8);
  }

  #listen(): void {
    const { element, options } = this;
    element.addEventListener("pointerover", (event) => this.#hover(this.#at(event)));
    element.addEventListener("pointerleave", () => this.#hover(null));
    element.addEventListener("focusin", (event) => this.#hover(this.#at(event)));
    element.addEventListener("focusout", () => this.#hover(null));
    element.addEventListener("click", (event) => {
      const at = this.#at(event);
      if (at !== null) options.onPick?.(at, event);
    });
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("dragstart", (event) => {
      const at = this.#at(event);
      if (at === null || !event.dataTransfer || options.onDrag?.(at, event.dataTransfer) === false) event.preventDefault();
      else hideTip();
    });
    if (!options.onDrop) return;
    element.addEventListener("dragover", (event) => this.#at(event) !== null && event.preventDefault());
    element.addEventListener("drop", (event) => {
      const at = this.#at(event);
      if (at === null || !event.dataTransfer) return;
      event.preventDefault();
      options.onDrop!(at, event.dataTransfer);
    });
  }

  #key(event: KeyboardEvent): void {
    const at = this.#at(event);
    if (event.key === "Escape") return this.#hover(null);
    if ((event.key === "Enter" || event.key === " ") && at !== null) {
      event.preventDefault();
      this.options.onPick?.(at, event);
      return;
    }
    const next = moveInList(at, event.key, this.#chips.length, "ArrowLeft", "ArrowRight");
    if (next === undefined) return;
    event.preventDefault();
    this.#chips.forEach((chip, i) => (chip.tabIndex = i === next ? 0 : -1));
    this.#chips[next].focus();
    announce(this.lines(next).join(", "));
  }
}
