// A layered graph in an element: a slider that leaves only the first links, and what was measured at
// such sizes beside it.

import { GraphChart, type GraphData, type GraphMarks, type GraphPlan } from "./graph_chart";
import { LinesChart, type LinesMarks, type LinesPlan } from "./lines_chart";
import { number } from "./numerals";
import { Stage, type StageOptions } from "./stage";
import { node } from "./tip";

/** What the slider says: how many links, what share of all, and what was measured there. */
export function saidOf({ data, shown }: Pick<GraphChart, "data" | "shown">): string {
  const noun = data.noun ?? "links", all = data.total ? ` of ${data.total.toLocaleString("en")}` : "";
  const share = data.total ? ` (${number((100 * shown) / data.total, 2)} %)` : "";
  const curve = data.measured;
  if (!curve) return `${shown.toLocaleString("en")}${all} ${noun}${share}`;
  const at = curve.sizes.findIndex((size) => size === shown);
  const told = at < 0 ? `${curve.name} not measured at this size` : `${curve.name} ${number(curve.values[at], 3)}${intervalOf(curve, at)}`;
  return `${shown.toLocaleString("en")}${all} ${noun}${share}; ${told}`;
}

function intervalOf({ lo, hi }: NonNullable<GraphData["measured"]>, at: number): string {
  return lo && hi && !Number.isNaN(lo[at]) ? ` [${number(lo[at], 3)}, ${number(hi[at], 3)}]` : "";
}

/** What was measured, as lines, with the present size upright in it. */
export function curveOf({ data, shown }: Pick<GraphChart, "data" | "shown">): LinesChart | null {
  const curve = data.measured;
  if (!curve) return null;
  const { sizes, values: y, lo, hi, name } = curve, last = sizes[sizes.length - 1];
  const inside = shown >= sizes[0] && shown <= last;
  return new LinesChart({
    xs: sizes, series: [{ name, y, lo, hi }], x: data.noun ?? "links", y: name,
    xScale: last > 20 * sizes[0] ? "log" : "linear", guides: [{ y: 1, label: "" }],
    moments: inside ? [{ x: shown, label: shown.toLocaleString("en") }] : [],
  });
}

/** A slider that says how many links a graph shows. */
export function sliderOf(chart: GraphChart, redraw: () => void): HTMLElement {
  const most = chart.data.source.length, noun = chart.data.noun ?? "links";
  const holder = node("label", { class: "rz-prune" }), said = node("output", { class: "rz-prune-said" }, saidOf(chart));
  const slider = node("input", { type: "range", min: "1", max: String(most), value: String(chart.shown), "aria-label": `Number of ${noun} shown`, "aria-valuetext": saidOf(chart) });
  slider.addEventListener("input", () => {
    chart.shown = Number(slider.value);
    said.textContent = saidOf(chart);
    slider.setAttribute("aria-valuetext", saidOf(chart));
    redraw();
  });
  holder.append(node("span", {}, "Prune"), slider, said);
  return holder;
}

/** A layered graph in an element, with its slider above and its measure beside. */
export class Graph {
  readonly stage: Stage<GraphMarks, GraphPlan, GraphChart>;
  readonly element: HTMLDivElement;
  #beside: HTMLDivElement;
  #curve: Stage<LinesMarks, LinesPlan, LinesChart> | null = null;
  #slider: HTMLElement | null = null;
  #options: StageOptions;

  constructor(host: HTMLElement, options: StageOptions = {}) {
    this.#options = options;
    this.element = node("div", { class: "rz-graph-view" });
    const main = node("div", { class: "rz-graph-main" });
    this.#beside = node("div", { class: "rz-graph-beside" });
    this.element.append(main);
    host.append(this.element);
    this.stage = new Stage(main, options);
  }

  get chart(): GraphChart | null {
    return this.stage.chart;
  }

  show(data: GraphData): void {
    this.use(new GraphChart(data));
  }

  /** The same, of a chart that is there already. */
  use(chart: GraphChart): void {
    this.#slider?.remove();
    if (!this.#options.compact) {
      this.#slider = sliderOf(chart, () => {
        this.stage.schedule();
        this.#drawCurve(chart);
      });
      this.element.before(this.#slider);
      this.element.classList.toggle("rz-graph-measured", Boolean(chart.data.measured));
      if (chart.data.measured) this.element.append(this.#beside);
      else this.#beside.remove();
    }
    this.stage.show(chart);
    this.#drawCurve(chart);
  }

  mark(marks: GraphMarks | null): void {
    this.stage.mark(marks);
  }

  destroy(): void {
    this.#curve?.destroy();
    this.#slider?.remove();
    this.stage.destroy();
    this.element.remove();
  }

  #drawCurve(chart: GraphChart): void {
    const curve = this.#options.compact ? null : curveOf(chart);
    if (!curve) return;
    this.#curve ??= new Stage(this.#beside, { label: `${chart.data.measured!.name} by number of ${chart.data.noun ?? "links"}.` });
    this.#curve.show(curve);
  }
}
