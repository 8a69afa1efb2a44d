import { expect, it } from "vitest";
import { asFloats, fromHalf } from "../../src/drawing/half";

/** The definition, apart from the table: sign, exponent with bias 15, ten bits. */
function defined(bits: number): number {
  const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, part = bits & 1023;
  if (exponent === 31) return part ? NaN : sign * Infinity;
  return exponent ? sign * Math.pow(2, exponent - 25) * (1024 + part) : sign * Math.pow(2, -24) * part;
}

it("reads every half", () => {
  const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits), values = fromHalf(all);
  for (let bits = 0; bits < 65536; bits++) {
    if (!Object.is(values[bits], Math.fround(defined(bits)))) throw new Error(`half ${bits}: ${values[bits]}`);
  }
  expect(Array.from(fromHalf(Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x3555)))).toEqual(
    [1, -2, 65504, 2 ** -24, 0.333251953125]);
});

it("leaves floats alone", () => {
  const floats = Float32Array.of(1, 2);
  expect(asFloats(floats)).toBe(floats);
});
