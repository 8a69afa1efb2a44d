// Half precision: 16 bits as the numbers they stand for.

let table: Float32Array | null = null;

function halfTable(): Float32Array {
  if (table) return table;
  table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, part = bits & 1023;
    table[bits] = exponent === 31 ? (part ? NaN : sign * Infinity)
      : exponent ? sign * 2 ** (exponent - 15) * (1 + part / 1024) : sign * 2 ** -14 * (part / 1024);
  }
  return table;
}

/** Halves as float32, one for one. */
export function fromHalf(bits: Uint16Array): Float32Array {
  const known = halfTable(), values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = known[bits[i]];
  return values;
}

/** Floats as they are; 16-bit arrays are halves. */
export function asFloats(values: Float32Array | Uint16Array): Float32Array {
  return values instanceof Uint16Array ? fromHalf(values) : values;
}
