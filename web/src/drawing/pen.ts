// Two pens with the same strokes: one draws on a canvas, one writes SVG.

import { hexOf } from "./palette";
import type { Picture } from "./picture";

export const SANS = 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif';
const SVG_SPACE = `http:${"/".repeat(2)}www.w3.org/2000/svg`; // a name, never fetched: pages hold no address

export type Point = readonly [number, number];
export type Box = readonly [x: number, y: number, w: number, h: number];

export interface Stroke {
  width?: number;
  dash?: readonly number[];
  alpha?: number;
}

export interface Lettering {
  size?: number;
  anchor?: "start" | "middle" | "end";
  turn?: number;
  weight?: number;
}

export interface Pen {
  rect(x: number, y: number, w: number, h: number, fill: string): void;
  line(points: readonly Point[], colour: string, stroke?: Stroke): void;
  /** A cubic curve. */
  curve(from: Point, lead: Point, trail: Point, to: Point, colour: string, stroke?: Stroke): void;
  area(points: readonly Point[], fill: string, alpha: number): void;
  dot(x: number, y: number, radius: number, fill: string): void;
  text(x: number, y: number, text: string, colour: string, lettering?: Lettering): void;
  /** A part of a picture, in its own pixels, stretched over a box without smoothing. */
  picture(picture: Picture, box: Box, part?: Box): void;
  /** What `draw` draws is cut at the box. */
  within(box: Box, draw: () => void): void;
}

let ruler: CanvasRenderingContext2D | null = null;

/** Width of a text in pixels; where there is no canvas, about that. */
export function measure(text: string, size: number, weight = 400): number {
  if (typeof document === "undefined") return text.length * size * 0.56;
  ruler ??= document.createElement("canvas").getContext("2d")!;
  ruler.font = `${weight} ${size}px ${SANS}`;
  return ruler.measureText(text).width;
}

/** A text cut to fit. */
export function ellipsis(text: string, size: number, room: number): string {
  if (measure(text, size) <= room) return text;
  const signs = [...text];
  let few = 0, many = signs.length;
  while (few < many) {
    const middle = (few + many + 1) >> 1;
    if (measure(signs.slice(0, middle).join("") + "…", size) <= room) few = middle;
    else many = middle - 1;
  }
  return signs.slice(0, few).join("") + "…";
}

/** A pen that draws on a canvas. */
export function canvasPen(context: CanvasRenderingContext2D): Pen {
  const trace = (points: readonly Point[]) => {
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  };
  const stroke = (colour: string, { width = 1, dash = [], alpha = 1 }: Stroke) => {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.lineJoin = "round";
    context.globalAlpha = alpha;
    context.setLineDash(dash as number[]);
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  };
  return {
    rect(x, y, w, h, fill) {
      context.fillStyle = fill;
      context.fillRect(x, y, w, h);
    },
    line(points, colour, style = {}) {
      trace(points);
      stroke(colour, style);
    },
    curve(from, lead, trail, to, colour, style = {}) {
      context.beginPath();
      context.moveTo(...from);
      context.bezierCurveTo(...lead, ...trail, ...to);
      stroke(colour, style);
    },
    area(points, fill, alpha) {
      trace(points);
      context.closePath();
      context.globalAlpha = alpha;
      context.fillStyle = fill;
      context.fill();
      context.globalAlpha = 1;
    },
    dot(x, y, radius, fill) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fillStyle = fill;
      context.fill();
    },
    text(x, y, text, colour, { size = 12, anchor = "start", turn = 0, weight = 400 } = {}) {
      context.save();
      context.translate(x, y);
      context.rotate((turn * Math.PI) / 180);
      context.font = `${weight} ${size}px ${SANS}`;
      context.direction = "ltr";
      context.textAlign = anchor === "middle" ? "center" : anchor;
      context.textBaseline = "middle";
      context.fillStyle = colour;
      context.fillText(text, 0, 0);
      context.restore();
    },
    picture(picture, box, part = [0, 0, picture.cols, picture.rows]) {
      context.imageSmoothingEnabled = false;
      context.drawImage(picture.canvas(), ...part, ...box);
    },
    within(box, draw) {
      context.save();
      context.beginPath();
      context.rect(...box);
      context.clip();
      draw();
      context.restore();
    },
  };
}

export interface SvgPen extends Pen {
  /** The whole document. */
  source(): string;
}

// What XML cannot hold even escaped.
const UNSPEAKABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Cs}/gu;

function escaped(text: string): string {
  return text.replace(UNSPEAKABLE, "\ufffd").replaceAll("&", "&amp;").replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

const place = (value: number) => Math.round(value * 100) / 100;
const path = (points: readonly Point[]) => points.map(([x, y]) => `${place(x)},${place(y)}`).join(" ");
const MOST_RECTANGLES = 20_000;

/** A pen that writes SVG. */
export function svgPen(width: number, height: number): SvgPen {
  const parts: string[] = [];
  const put = (tag: string, attributes: Record<string, string | number | undefined>, text?: string) => {
    const list = Object.entries(attributes).filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}="${escaped(String(value))}"`).join("");
    parts.push(text === undefined ? `<${tag}${list}/>` : `<${tag}${list}>${escaped(text)}</${tag}>`);
  };
  const stroke = (colour: string, { width: wide = 1, dash = [], alpha = 1 }: Stroke) => ({
    fill: "none", stroke: colour, "stroke-width": wide, "stroke-linejoin": "round",
    "stroke-dasharray": dash.length ? dash.join(" ") : undefined,
    "stroke-opacity": alpha === 1 ? undefined : place(alpha),
  });
  const pen: SvgPen = {
    rect: (x, y, w, h, fill) =>
      put("rect", { x: place(x), y: place(y), width: place(w), height: place(h), fill, "shape-rendering": "crispEdges" }),
    line: (points, colour, style = {}) => put("polyline", { points: path(points), ...stroke(colour, style) }),
    curve: (from, lead, trail, to, colour, style = {}) =>
      put("path", { d: `M${path([from])} C${path([lead, trail, to])}`, ...stroke(colour, style) }),
    area: (points, fill, alpha) => put("polygon", { points: path(points), fill, "fill-opacity": alpha }),
    dot: (x, y, radius, fill) => put("circle", { cx: place(x), cy: place(y), r: radius, fill }),
    text: (x, y, text, colour, { size = 12, anchor = "start", turn = 0, weight = 400 } = {}) =>
      put("text", {
        x: place(x), y: place(y), fill: colour, "font-size": size, "font-weight": weight,
        "text-anchor": anchor, "dominant-baseline": "central", "xml:space": "preserve",
        transform: turn ? `rotate(${turn} ${place(x)} ${place(y)})` : undefined,
      }, text),
    picture(picture, [x, y, w, h], part = [0, 0, picture.cols, picture.rows]) {
      const [left, top, cols, rows] = part;
      if (rows * cols > MOST_RECTANGLES || w < cols / 2) {
        put("image", {
          x: place(x), y: place(y), width: place(w), height: place(h), href: picture.dataUrl(part),
          preserveAspectRatio: "none", "image-rendering": "pixelated",
        });
        return;
      }
      for (let row = 0; row < rows; row++) {
        for (let col = 0; col < cols; col++) {
          const fill = hexOf(picture.pixels[(top + row) * picture.cols + left + col]);
          pen.rect(x + (col * w) / cols, y + (row * h) / rows, w / cols, h / rows, fill);
        }
      }
    },
    within([x, y, w, h], draw) {
      const [left, top, wide, tall] = [x, y, w, h].map(place); // an inner document cuts at its edges
      parts.push(`<svg x="${left}" y="${top}" width="${wide}" height="${tall}" viewBox="${left} ${top} ${wide} ${tall}">`);
      draw();
      parts.push("</svg>");
    },
    source: () =>
      `<svg xmlns="${SVG_SPACE}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
      `font-family="${escaped(SANS)}">${parts.join("")}</svg>`,
  };
  return pen;
}
