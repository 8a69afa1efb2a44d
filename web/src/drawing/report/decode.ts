// The data that Python wrote into the page, as the drawings take it.

import { BarsChart } from "../bars";
import { GraphChart, type GraphData } from "../graph_chart";
import { HeatMapChart, type HeatMapData } from "../heatmap_chart";
import { LinesChart, type AxisScale } from "../lines_chart";
import type { Scale } from "../palette";
import type { Chart } from "../chart";

type Encoded = string | null | undefined;

interface HeatMapBlock extends Omit<HeatMapData, "values" | "categories" | "scale"> {
  values: string;
  scale: Scale | "categorical";
  categories?: string[] | null;
}

interface LinesBlock {
  xs: string;
  series: { name: string; y: string; lo?: Encoded; hi?: Encoded }[];
  x: string;
  y: string;
  unit: string;
  xScale: AxisScale;
  yScale: AxisScale;
  labels?: string[] | null;
  guides: { y: number; label: string }[];
}

interface BarsBlock {
  names: string[];
  values: string;
  lo?: Encoded;
  hi?: Encoded;
  x: string;
  unit: string;
}

interface GraphBlock extends Omit<GraphData, "values" | "measured"> {
  values: string;
  measured?: { name: string; sizes: string; values: string; lo?: Encoded; hi?: Encoded } | null;
}

/** Little-endian float32 in base64. */
export function floats(encoded: string): Float32Array {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

const maybe = (encoded: Encoded) => (encoded == null ? null : floats(encoded));

const READERS: Record<string, (text: string) => Chart> = {
  heatmap(text) {
    const block = JSON.parse(text) as HeatMapBlock;
    const { scale, categories } = block;
    return new HeatMapChart({
      ...block, values: floats(block.values), scale: scale === "categorical" ? "sequential" : scale, categories: categories ?? undefined,
    }) as Chart;
  },
  lines(text) {
    const block = JSON.parse(text) as LinesBlock;
    const series = block.series.map((s) => ({ name: s.name, y: floats(s.y), lo: maybe(s.lo), hi: maybe(s.hi) }));
    return new LinesChart({ ...block, xs: floats(block.xs), series }) as Chart;
  },
  graph(text) {
    const block = JSON.parse(text) as GraphBlock, curve = block.measured;
    const measured = curve && { name: curve.name, sizes: floats(curve.sizes), values: floats(curve.values), lo: maybe(curve.lo), hi: maybe(curve.hi) };
    return new GraphChart({ ...block, values: floats(block.values), measured }) as Chart;
  },
  bars(text) {
    const block = JSON.parse(text) as BarsBlock;
    return new BarsChart({ ...block, values: floats(block.values), lo: maybe(block.lo), hi: maybe(block.hi) }) as Chart;
  },
};

/** The chart of a figure's data; null for kinds that are plain HTML. */
export function readChart(kind: string, text: string | null | undefined): Chart | null {
  return kind in READERS && text ? READERS[kind](text) : null;
}
