// Every drawing on one page, for looking at; a development page, not part of any build.

import "./drawing.css";
import * as d from "./index";
import { node } from "./tip";

const asked = new URLSearchParams(location.search).get("theme");
if (asked) document.documentElement.dataset.theme = asked;
document.body.style.cssText = "margin:16px;background:var(--rz-paper);color:var(--rz-ink);font:14px var(--rz-sans)";

let seed = 7;
const random = () => ((seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31);
const WORDS = ["When", " Mary", " and", " John", " went", " to", " the", " store", ",", " <b>x</b>", "\n", " \u202Eevil", " שלום", " drink"];

function place(title: string, style = ""): HTMLElement {
  const host = node("div");
  host.style.cssText = `overflow:auto;${style}`;
  document.body.append(node("h3", {}, title), host);
  return host;
}

function pattern(t: number, kind: number): Float32Array {
  const values = new Float32Array(t * t);
  for (let q = 0; q < t; q++) {
    let sum = 0;
    for (let k = 0; k <= q; k++) sum += values[q * t + k] = Math.exp(3 * (kind % 3 === 0 ? -((q - k - 1) ** 2) : kind % 3 === 1 ? -k : Math.sin(k * kind)) + random());
    for (let k = 0; k < t; k++) values[q * t + k] = k > q ? NaN : values[q * t + k] / sum;
  }
  return values;
}

function thumbs(layers: number, heads: number, t: number): d.ThumbData {
  const bytes = new Uint8Array(layers * heads * t * t);
  for (let n = 0; n < layers * heads; n++) bytes.set(pattern(t, n).map((v) => Math.round(255 * (v || 0))), n * t * t);
  return { bytes, layers, heads, side: t };
}

const labels = (letter: string, count: number) => Array.from({ length: count }, (_, i) => `${letter}${i}`);

const map = new d.HeatMap(place("Heat map"), { label: "Effects." });
const effects = Float32Array.from({ length: 144 }, (_, i) => (i % 29 === 5 ? NaN : (random() - 0.4) ** 3 * 8));
map.show({ values: effects, rows: labels("L", 12), cols: labels("H", 12), unit: "logits", x: "head", y: "layer" });
map.mark({ row: 3, col: 5, cells: [[3, 5]] });
map.hover(7, 8);

const lens = new d.HeatMap(place("Lens"), { label: "Lens." });
lens.show({
  values: Float32Array.from({ length: 7 * 14 }, random), rows: labels("L", 7), cols: WORDS, unit: "probability", scale: "sequential", low: 0, high: 1,
  text: Array.from({ length: 7 }, (_, r) => WORDS.map((_, c) => WORDS[(r * 5 + c * 3) % 14])), x: "token", y: "layer",
});

const fill = new d.HeatMap(place("Fills in"), { label: "Sweep." });
fill.show({ values: new Float32Array(12 * 14).fill(NaN), rows: labels("L", 12), cols: WORDS, unit: "logits", impossible: "not computed yet" });
fill.fill(Array.from({ length: 80 }, (_, i) => [Math.floor(i / 14), i % 14] as const), Float32Array.from({ length: 80 }, () => random() - 0.5));

const grid = new d.ThumbGrid(place("144 heads", "width:760px"), { label: "All heads." });
grid.show(thumbs(12, 12, 64));
grid.mark({ layer: 4, head: 6, others: [[2, 3], [9, 1]] });
grid.hover({ layer: 8, head: 2 });
new d.ThumbGrid(place("1 × 4"), {}).show(thumbs(1, 4, 12));
new d.ThumbGrid(place("48 × 64"), {}).show({ ...thumbs(48, 64, 16) });

const long = Array.from({ length: 512 }, (_, i) => WORDS[i % 14]);
const matrix = new d.Matrix(place("512 × 512", "width:700px"), { label: "L5.H5." });
matrix.show({ values: pattern(512, 2), rows: long, cols: long, x: "key", y: "query", unit: "weight", low: 0, high: 1 });
matrix.hover(300, 120);
const small = new d.Matrix(place("14 × 14", "width:560px"), { label: "L5.H5." });
small.show({ values: pattern(14, 2), rows: WORDS, cols: WORDS, x: "key", y: "query", low: 0, high: 1 });
small.mark({ row: 6, cells: [[6, 3]] });
const zoomed = new d.Matrix(place("zoomed", "width:560px"), { label: "L5.H5." });
zoomed.show({ values: pattern(60, 2), rows: long.slice(0, 60), cols: long.slice(0, 60), low: 0, high: 1 });
zoomed.zoom(6);

const arcs = new d.Arcs(place("Arcs"), { label: "Arcs." });
arcs.show({ tokens: WORDS, weights: pattern(14, 2) });
const one = new d.Arcs(place("Arcs of one token"), { label: "Arcs." });
one.show({ tokens: WORDS, weights: pattern(14, 5) });
one.hover(9);

const many = new d.Arcs(place("Arcs of 512 tokens"), { label: "Arcs." });
many.show({ tokens: long, weights: pattern(512, 1), threshold: 0.02 });
many.mark({ q: 300 });
new d.HeatMap(place("Lens of 512 tokens"), { label: "Lens." }).show({
  values: Float32Array.from({ length: 13 * 512 }, random), rows: labels("L", 13), cols: long, scale: "sequential", text: labels("L", 13).map(() => long), x: "token",
});
const scores = new d.HeatMap(place("Filling a height", "width:700px;height:300px"), { label: "Scores.", fill: true });
scores.show({ values: Float32Array.from({ length: 24 * 6 }, random), rows: labels("L", 24), cols: ["entropy", "previous", "first", "current", "duplicate", "induction"], scale: "sequential", most: 90 });

const strip = new d.TokenStrip(place("Tokens"), { label: "Prompt" });
strip.show({ tokens: ["<|endoftext|>", ...WORDS], ids: Array.from({ length: 15 }, (_, i) => i * 37), values: Float32Array.from({ length: 15 }, () => random() - 0.5), special: new Set([0]) });
strip.mark(4);

const bars = new d.Bars(place("Bars"), { label: "Bars." });
bars.show({ names: ["L2.H3", "L1.H0", "<b>x</b>", "none"], values: Float32Array.of(2.4, -0.7, 0.2, NaN), lo: Float32Array.of(2, -1, 0, NaN), hi: Float32Array.of(2.9, -0.3, 0.5, NaN), unit: "logits", x: "effect" });
bars.mark({ at: 1 });
const lines = new d.Lines(place("Lines"), { label: "Lines." });
lines.show({
  xs: Float32Array.from({ length: 12 }, (_, i) => i), labels: labels("L", 12), y: "probability", x: "layer", guides: [{ y: 0.5, label: "chance" }],
  series: ["Mary", "John", "store"].map((name, k) => ({ name, y: Float32Array.from({ length: 12 }, (_, i) => (i === 4 && k === 1 ? NaN : 1 / (1 + Math.exp(k * 2 - i / 2)))) })),
});
lines.mark({ at: 5 });

const table = place("Table", "max-width:900px");
table.append(d.tableOf(map.chart!, { caption: "Effects" }));
Object.assign(window, { drawings: d, matrix, grid, map, thumbs, pattern, place });
