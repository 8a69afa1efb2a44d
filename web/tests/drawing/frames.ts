// How long drawing takes in a real browser; frames.test.ts opens it and holds the numbers to limits.

import "../../src/drawing/drawing.css";
import { HeatMap, Matrix, ThumbGrid } from "../../src/drawing/index";

type Spread = { best: number; median: number; worst: number };

const found: Record<string, Spread> = {};

function host(width: number, height = 0): HTMLElement {
  const made = document.createElement("div");
  made.style.width = `${width}px`;
  if (height) made.style.height = `${height}px`;
  document.body.append(made);
  return made;
}

function told(times: number[]): Spread {
  times.sort((a, b) => a - b);
  const round = (ms: number) => Math.round(ms * 100) / 100;
  return { best: round(times[0]), median: round(times[Math.floor(times.length / 2)]), worst: round(times[times.length - 1]) };
}

/** Wait until what was drawn is on its way to the screen. */
function flush(element: Element): void {
  for (const canvas of element.querySelectorAll("canvas")) canvas.getContext("2d")!.getImageData(0, 0, 1, 1);
}

function measured(name: string, element: Element, times: number, draw: (i: number) => void): void {
  const all: number[] = [];
  for (let i = 0; i < times; i++) {
    const from = performance.now();
    draw(i);
    flush(element);
    all.push(performance.now() - from);
  }
  found[name] = told(all);
}

/** Time between frames while something happens in each. */
async function frames(name: string, count: number, act: (i: number) => void): Promise<void> {
  const gaps: number[] = [];
  let before = await new Promise<number>(requestAnimationFrame);
  for (let i = 0; i < count; i++) {
    act(i);
    const now = await new Promise<number>(requestAnimationFrame);
    gaps.push(now - before);
    before = now;
  }
  found[name] = told(gaps.slice(3));
}

function thumbs(layers: number, heads: number, side: number) {
  const bytes = new Uint8Array(layers * heads * side * side);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 2654435761) >>> 24;
  return { bytes, layers, heads, side };
}

for (const [layers, heads, side, width] of [[12, 12, 64, 800], [4, 8, 16, 800], [24, 16, 64, 800], [48, 64, 16, 1000], [48, 64, 64, 1000]] as const) {
  const place = host(width), grid = new ThumbGrid(place), data = thumbs(layers, heads, side);
  measured(`thumbnails ${layers} x ${heads} of ${side}: show`, place, 15, () => grid.show(data));
  measured(`thumbnails ${layers} x ${heads} of ${side}: point at a head`, place, 50, (i) => grid.hover({ layer: i % layers, head: i % heads }));
  grid.destroy();
  place.remove();
}

const t = 512, tokens = Array.from({ length: t }, (_, i) => ` token${i}`);
const halves = Uint16Array.from({ length: t * t }, (_, i) => 0x2000 + ((i * 7919) % 0x1c00));
const place = host(900, 700), matrix = new Matrix(place, { fill: true, label: "512." });
const data = { values: halves, rows: tokens, cols: tokens, x: "key", y: "query", low: 0, high: 1 };
measured("matrix 512 of halves: show", place, 15, () => matrix.show(data));
const box = matrix.stage.plan!.box, edge = place.getBoundingClientRect();
const move = (i: number) => matrix.stage.element.dispatchEvent(new PointerEvent("pointermove", {
  clientX: edge.left + box[0] + (i * 13) % box[2], clientY: edge.top + box[1] + (i * 7) % box[3], bubbles: true,
}));
measured("matrix 512: move the pointer", place, 200, move);
measured("matrix 512: zoom", place, 60, (i) => {
  matrix.zoom(i % 20 < 10 ? 1.3 : 1 / 1.3);
  matrix.stage.redraw();
});
measured("matrix 512: pan", place, 60, (i) => {
  matrix.pan(i % 2 ? 9 : -9, 5);
  matrix.stage.redraw();
});
matrix.reset();
await frames("matrix 512: between frames, moving", 120, move);
await frames("matrix 512: between frames, zooming", 120, (i) => matrix.zoom(i % 40 < 20 ? 1.1 : 1 / 1.1));

const mapPlace = host(900), map = new HeatMap(mapPlace, {}), rows = tokens.slice(0, 48), cols = tokens.slice(0, 128);
const text = rows.map((_, r) => cols.map((__, c) => `tok${(r * c) % 99}`));
const values = Float32Array.from({ length: 48 * 128 }, (_, i) => Math.sin(i));
measured("heat map 48 x 128 with text: show", mapPlace, 8, () => map.show({ values, rows, cols, text }));
measured("heat map 48 x 128 with text: point", mapPlace, 60, (i) => map.hover(i % 48, i % 128));
measured("heat map 12 x 512: show", mapPlace, 8, () => map.show({ values: new Float32Array(12 * t), rows: rows.slice(0, 12), cols: tokens }));

document.getElementById("found")!.textContent = JSON.stringify(found, null, 1);
document.title = "done";
