// Cells as pixels: a small image, kept as a canvas once one is asked for.

import type { Box } from "./pen";

export class Picture {
  #canvas: HTMLCanvasElement | null = null;

  /** `pixels`: rows × cols of 0xAABBGGRR. */
  constructor(
    readonly cols: number,
    readonly rows: number,
    readonly pixels: Uint32Array<ArrayBuffer>,
  ) {}

  /** The image, one pixel a cell. */
  canvas(): HTMLCanvasElement {
    this.#canvas ??= sheet(this.cols, this.rows, (context) => {
      const bytes = new Uint8ClampedArray(this.pixels.buffer, this.pixels.byteOffset, this.pixels.byteLength);
      context.putImageData(new ImageData(bytes, this.cols, this.rows), 0, 0);
    });
    return this.#canvas;
  }

  /** A part of it as a PNG in a `data:` address. */
  dataUrl([x, y, w, h]: Box): string {
    return sheet(w, h, (context) => context.drawImage(this.canvas(), x, y, w, h, 0, 0, w, h)).toDataURL("image/png");
  }
}

function sheet(cols: number, rows: number, draw: (context: CanvasRenderingContext2D) => void): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = cols;
  canvas.height = rows;
  draw(canvas.getContext("2d")!);
  return canvas;
}
