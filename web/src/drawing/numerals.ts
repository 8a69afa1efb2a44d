// Numbers and labels as text.

/** A number with so many significant digits; NaN is an impossible value. */
export function number(value: number, digits = 4): string {
  if (Number.isNaN(value)) return "impossible";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text = size !== 0 && (size >= 1e6 || size < 1e-4)
    ? Number(value.toPrecision(digits - 1)).toExponential().replace("+", "") : String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", "−");
}

/** A number for a file: eight digits, nothing where there is no value. */
export function exact(value: number): number | string {
  return Number.isNaN(value) ? "" : Number(value.toPrecision(8));
}

const SIGNS: Record<string, string> = { "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽", "\u00ad": "‧" };

// Control characters, bidirectional marks, joiners and other signs that show nothing themselves.
const UNSEEN = /[\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}/gu;

function named(sign: string): string {
  return SIGNS[sign] ?? `⟨${sign.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/** A label in one line, with nothing in it that is unseen or turns text around. */
export function shownLabel(label: string): string {
  return label.replace(UNSEEN, named);
}

/** A token with its white space shown too. */
export function visible(token: string): string {
  return shownLabel(token).replaceAll(" ", "·") || "∅";
}
