// Edits, numbers and changes in words.

import type { EditJSON, EditKind } from "../api/types";
import { placeInWords } from "./address";

export const KINDS: Record<EditKind, { title: string; verb: string; about: string }> = {
  zero: { title: "Zero", verb: "Zero", about: "Write zeros: what is lost with this part?" },
  mean: { title: "Mean", verb: "Put its mean at", about: "Write its mean over a task's prompts: the part says the same everywhere." },
  resample: { title: "Resample", verb: "Resample", about: "Write its value on another prompt of a task, drawn by seed." },
  patch: { title: "Patch", verb: "Patch", about: "Write its value from another run: what does this part carry over?" },
  add: { title: "Add", verb: "Add a vector to", about: "Add a direction, times a factor." },
  scale: { title: "Scale", verb: "Scale", about: "Multiply by a factor; 0 is Zero, 1 changes nothing." },
  set: { title: "Set", verb: "Set", about: "Write a constant." },
  erase: { title: "Erase", verb: "Erase a direction from", about: "Project a direction out." },
  freeze: { title: "Freeze", verb: "Freeze", about: "Hold it at its value without edits." },
  splice: { title: "Splice", verb: "Splice a dictionary into", about: "Put a dictionary's reconstruction in." },
};

/** One edit as a sentence without its number. */
export function editInWords(edit: EditJSON, tokens: readonly string[] = []): string {
  return `${KINDS[edit.kind]?.verb ?? edit.kind} ${placeInWords(edit.at, tokens)}`;
}

/** Name of the number of an edit that a person may turn. */
export function factorOf(edit: EditJSON): "factor" | "scale" | "seed" | undefined {
  if (edit.kind === "scale") return "factor";
  if (edit.kind === "add") return "scale";
  if (edit.kind === "resample") return "seed";
  return undefined;
}

export function percent(share: number): string {
  const hundred = share * 100;
  if (hundred >= 99.95) return share === 1 ? "100" : ">99.9";
  if (hundred >= 0.05) return hundred.toFixed(1);
  return hundred === 0 ? "0" : "<0.1";
}

/** A change in percentage points, signed, with a true minus. */
export function points(change: number): string {
  const hundred = change * 100;
  if (Math.abs(hundred) < 0.05) return "±0.0";
  return `${hundred > 0 ? "+" : "−"}${Math.abs(hundred).toFixed(1)}`;
}

export function number(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "no value" : value > 0 ? "∞" : "−∞";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value).replace("-", "−");
  const size = Math.abs(value);
  const exponent = size >= 1e5 || size < 1e-3;
  const text = exponent ? value.toExponential(digits - 1) : size >= 10 ** digits ? value.toFixed(0) : value.toPrecision(digits);
  return text.replace(/-/g, "−");
}

const LEAST_SHARE = 1e-4;

/** A share of something, or a change of one; what is tiny is only said to be so. */
export function share(value: number, digits = 4): string {
  if (!value || Math.abs(value) >= LEAST_SHARE) return number(value, digits);
  return value > 0 ? "<0.0001" : "−<0.0001";
}

export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${Number(count.toPrecision(3))} ${count === 1 ? noun : nouns}`;
}

/** Whether a token is one of the tokenizer's own signs, such as <s> or <|endoftext|>. */
export function isSign(token: string | undefined): boolean {
  return /^<[|/a-z_]+>$/i.test(token ?? "");
}

/** A token as a person can see it: spaces and line ends made visible. */
export function seen(token: string): string {
  return token.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/^ /, "·") || "∅";
}
