import { describe, expect, it } from "vitest";

import { decodeArrays } from "../../src/api/arrays";
import { pack } from "../fake/server";

const META = { run: "r", minus: null, view: "v", tokens: ["<s>"], ids: [1] };
const bytes = (view: ArrayBufferView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

describe("arrays", () => {
  it("of every dtype come back", () => {
    const message = pack(META, [
      { name: "a", dtype: "f4", shape: [2, 2], data: bytes(Float32Array.of(1.5, -2, NaN, Infinity)) },
      { name: "b", dtype: "u1", shape: [3], data: Uint8Array.of(0, 128, 255) },
      { name: "c", dtype: "i4", shape: [2], data: bytes(Int32Array.of(-7, 50256)) },
      { name: "d", dtype: "f2", shape: [4], data: bytes(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7e00)) },
    ]);
    const { meta, arrays } = decodeArrays(message);
    expect(meta).toEqual(META);
    expect([...arrays.a.data]).toEqual([1.5, -2, NaN, Infinity]);
    expect([...arrays.b.data]).toEqual([0, 128, 255]);
    expect([...arrays.c.data]).toEqual([-7, 50256]);
    expect([...arrays.d.data]).toEqual([1, -2, 2 ** -24, NaN]);
    expect(arrays.a.shape).toEqual([2, 2]);
  });

  it("are refused when they are something else, or cut off", () => {
    const message = pack(META, [{ name: "a", dtype: "f4", shape: [4], data: new Uint8Array(16) }]);
    expect(() => decodeArrays(new TextEncoder().encode("<!doctype html>").buffer)).toThrow(/something else/);
    expect(() => decodeArrays(message.slice(0, message.byteLength - 8))).toThrow(/a was cut off/);
    expect(() => decodeArrays(message.slice(0, 20))).toThrow(/cut off/);
  });
});
