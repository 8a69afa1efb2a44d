// Many cells as few, keeping what matters: what lies farthest from zero.

/** Pool pictures to fewer cells, keeping what lies farthest from zero: a thin line stays seen. */
export function pooled(
  bytes: Uint8Array, count: number, [down, across]: readonly [number, number], [rows, cols]: readonly [number, number], zero: number,
): Uint8Array {
  const out = new Uint8Array(count * rows * cols).fill(zero);
  const place = (cells: number, into: number) => Uint16Array.from({ length: cells }, (_, i) => Math.floor((i * into) / cells));
  const toRow = place(down, rows), toCol = place(across, cols);
  let from = 0;
  for (let n = 0; n < count; n++) {
    for (let r = 0; r < down; r++) {
      const start = (n * rows + toRow[r]) * cols;
      for (let c = 0; c < across; c++) {
        const value = bytes[from++], at = start + toCol[c], held = out[at];
        if (zero ? Math.abs(value - zero) > Math.abs(held - zero) : value > held) out[at] = value;
      }
    }
  }
  return out;
}

/** Blocks of cells as the one with the largest magnitude; NaN only where all are. */
export function strongest(values: Float32Array, rows: number, cols: number, block: number): Float32Array {
  const down = Math.ceil(rows / block), across = Math.ceil(cols / block), out = new Float32Array(down * across).fill(NaN);
  for (let r = 0, from = 0; r < rows; r++) {
    const start = Math.floor(r / block) * across;
    for (let c = 0; c < cols; c++, from++) {
      const at = start + Math.floor(c / block), value = values[from];
      if (Number.isNaN(out[at]) || Math.abs(value) > Math.abs(out[at])) out[at] = value;
    }
  }
  return out;
}
