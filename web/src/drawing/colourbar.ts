// The bar beside a map: its colours, its ticks, its unit.

import { number } from "./numerals";
import { paint, type Colouring } from "./palette";
import { ellipsis, measure, type Pen } from "./pen";
import { Picture } from "./picture";
import { clip, largest, ticks } from "./scales";
import type { Theme } from "./theme";

const SIZE = 11, STEPS = 128, WIDE = 12;

/** Pixels right of the map that the bar needs, a margin of 18 included. */
export function barRoom(colouring: Colouring, few: boolean, unit: string): number {
  const names = barTicks(colouring, few).map((t) => measure(number(t), SIZE));
  return 18 + WIDE + 8 + largest(names) + (unit ? 20 : 4);
}

function barTicks({ low, high }: Colouring, few: boolean): number[] {
  return ticks(low, high, few ? 2 : 5);
}

/** Draw it at the left edge `x`; the unit is set at `right`. */
export function drawBar(
  pen: Pen, x: number, y: number, tall: number, right: number, colouring: Colouring, few: boolean, unit: string, theme: Theme,
): void {
  const { low, high } = colouring;
  const ramp = Float32Array.from({ length: STEPS }, (_, i) => high - ((i + 0.5) / STEPS) * (high - low));
  pen.picture(new Picture(1, STEPS, paint(ramp, colouring, theme.name)), [x, y, WIDE, tall]);
  for (const tick of barTicks(colouring, few)) {
    const at = y + ((high - tick) / (high - low)) * tall;
    pen.line([[x + WIDE, at], [x + WIDE + 3, at]], theme.faint);
    pen.text(x + WIDE + 7, clip(at, y + 5, y + tall - 5), number(tick), theme.ink, { size: SIZE });
  }
  if (unit) pen.text(right, y + tall / 2, ellipsis(unit, SIZE, tall), theme.faint, { size: SIZE, anchor: "middle", turn: 90 });
}
