// Binary arrays of the server: "RZA1", header length, JSON header, padding, data (little-endian).

import { fromHalf } from "../drawing/half";

export type Dtype = "f4" | "f2" | "u1" | "i4";
export type Cells = Float32Array | Uint8Array | Int32Array;

export interface NdArray {
  name: string;
  dtype: Dtype;
  shape: number[];
  /** C order; float16 arrives as float32. */
  data: Cells;
}

export interface Meta {
  run: string;
  minus: string | null;
  view: string;
  tokens: string[];
  ids: number[];
  [field: string]: unknown;
}

export interface Arrays<M = Meta> {
  meta: M;
  arrays: Record<string, NdArray>;
  /** Size as it came, for the cache. */
  bytes: number;
}

interface Header {
  meta: Meta;
  arrays: { name: string; dtype: Dtype; shape: number[]; offset: number }[];
}

const MAGIC = 0x31415a52; // "RZA1" read as a little-endian number
const WIDTH: Record<Dtype, number> = { f4: 4, f2: 2, u1: 1, i4: 4 };

/** Decode what a view route sent. Throws when the bytes are no such message. */
export function decodeArrays(buffer: ArrayBuffer): Arrays {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8 || view.getUint32(0, true) !== MAGIC) {
    throw new Error("the server sent something else than arrays");
  }
  const length = view.getUint32(4, true);
  if (8 + length > buffer.byteLength) throw new Error("the arrays were cut off on the way");
  const text = new TextDecoder().decode(new Uint8Array(buffer, 8, length));
  const header = JSON.parse(text) as Header;
  const start = Math.ceil((8 + length) / 8) * 8;
  const arrays: Record<string, NdArray> = {};
  for (const { name, dtype, shape, offset } of header.arrays) {
    const size = shape.reduce((product, each) => product * each, 1);
    if (start + offset + size * WIDTH[dtype] > buffer.byteLength) {
      throw new Error(`the array ${name} was cut off on the way`);
    }
    arrays[name] = { name, dtype, shape, data: cells(buffer, start + offset, size, dtype) };
  }
  return { meta: header.meta, arrays, bytes: buffer.byteLength };
}

function cells(buffer: ArrayBuffer, at: number, size: number, dtype: Dtype): Cells {
  if (dtype === "u1") return new Uint8Array(buffer, at, size);
  if (dtype === "i4") return new Int32Array(buffer, at, size);
  if (dtype === "f4") return new Float32Array(buffer, at, size);
  return fromHalf(new Uint16Array(buffer, at, size));
}
