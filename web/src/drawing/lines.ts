// A line chart in an element, with a legend that shows and hides its series.

import { LinesChart, type LinesData, type LinesMarks, type LinesPlan } from "./lines_chart";
import { shownLabel } from "./numerals";
import { DASHES, SERIES } from "./palette";
import { Stage, type StageOptions } from "./stage";
import { node } from "./tip";

/** A line of dashes and gaps as a background, as the chart draws it. */
export function dashed(lengths: readonly number[]): string {
  const colour = "light-dark(var(--l), var(--d))";
  if (!lengths.length) return colour;
  let end = 0;
  const parts = lengths.map((each, i) => `${i % 2 ? "transparent" : colour} ${end}px ${(end += each)}px`);
  return `repeating-linear-gradient(90deg, ${parts.join(", ")})`;
}

/** Buttons that show and hide the series of a chart; null where there is only one. */
export function legendOf(chart: LinesChart, redraw: () => void): HTMLElement | null {
  if (chart.data.series.length < 2) return null;
  const holder = node("div", { class: "rz-keys" });
  chart.data.series.forEach((line, k) => {
    const button = node("button", { type: "button", class: "rz-key", "aria-pressed": String(!chart.hidden.has(k)), title: "Show or hide this series" });
    const swatch = node("span", { class: "rz-swatch" });
    for (const [theme, name] of [["light", "l"], ["dark", "d"]] as const) {
      swatch.style.setProperty(`--${name}`, SERIES[theme][k % SERIES[theme].length]);
    }
    Object.assign(swatch.style, { borderTop: "0", height: "2.5px", background: dashed(DASHES[k % DASHES.length]) });
    button.append(swatch, node("span", {}, shownLabel(line.name)));
    button.addEventListener("click", () => {
      if (!chart.hidden.delete(k)) chart.hidden.add(k);
      button.setAttribute("aria-pressed", String(!chart.hidden.has(k)));
      redraw();
    });
    holder.append(button);
  });
  return holder;
}

/** A line chart in an element, with its legend above. */
export class Lines {
  readonly stage: Stage<LinesMarks, LinesPlan, LinesChart>;
  #legend: HTMLElement | null = null;

  constructor(host: HTMLElement, options: StageOptions = {}) {
    this.stage = new Stage(host, options);
  }

  get chart(): LinesChart | null {
    return this.stage.chart;
  }

  /** Draw lines; series that were hidden stay so, by name. */
  show(data: LinesData): void {
    const chart = new LinesChart(data), before = this.stage.chart;
    before?.hidden.forEach((k) => {
      const now = data.series.findIndex(({ name }) => name === before.data.series[k].name);
      if (now >= 0) chart.hidden.add(now);
    });
    this.#legend?.remove();
    this.#legend = legendOf(chart, () => this.stage.redraw());
    if (this.#legend) this.stage.host.prepend(this.#legend);
    this.stage.show(chart);
  }

  mark(marks: LinesMarks | null): void {
    this.stage.mark(marks);
  }

  destroy(): void {
    this.#legend?.remove();
    this.stage.destroy();
  }
}
