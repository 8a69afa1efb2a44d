// Ticks, their spacing, and values placed between pixels.

/** Round values from low to high, about so many. */
export function ticks(low: number, high: number, about: number): number[] {
  const rough = (high - low) / Math.max(1, about);
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((m) => m * power >= rough * 0.999) ?? 10) * power;
  const first = Math.ceil(low / step - 1e-9);
  const found: number[] = [];
  for (let k = 0; k < 60 && (first + k) * step <= high + step * 1e-9; k++) {
    found.push(Number(((first + k) * step).toPrecision(12)));
  }
  return found;
}

/** Logarithms of round values: powers of ten, or 1, 2, 5 where these are few. */
export function powers(low: number, high: number): number[] {
  const whole: number[] = [];
  for (let k = Math.ceil(low); k <= Math.floor(high); k++) whole.push(k);
  if (whole.length >= 3) return whole.filter((_, i) => i % Math.ceil(whole.length / 8) === 0);
  const finer: number[] = [];
  for (let k = Math.floor(low); k <= Math.ceil(high); k++) for (const m of [1, 2, 5]) finer.push(k + Math.log10(m));
  const inside = finer.filter((t) => t >= low && t <= high);
  return inside.length >= 2 ? inside : ticks(10 ** low, 10 ** high, 4).map(Math.log10);
}

/** Indices to label with a least stride: evenly spaced, the first and the last among them. */
export function spread(count: number, stride: number): number[] {
  const step = Math.max(1, stride);
  const shown: number[] = [];
  for (let i = 0; i < count - 1; i += step) shown.push(i);
  while (shown.length > 1 && count - 1 - shown[shown.length - 1] < step) shown.pop();
  if (count > 0) shown.push(count - 1);
  return shown;
}

/** Whole pixels that hold a length; a rounding error is no pixel. */
export function whole(length: number): number {
  return Math.ceil(length - 1e-6);
}

/** Keep a number between two ends. */
export function clip(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

/** The largest of some numbers, or `least` where there are none. */
export function largest(values: Iterable<number>, least = 0): number {
  let most = least;
  for (const value of values) if (value > most) most = value;
  return most;
}
