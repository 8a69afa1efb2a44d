// A heat map in an element: shown, filled in, marked.

import { HeatMapChart, type GridMarks, type HeatMapData, type HeatMapPlan } from "./heatmap_chart";
import { colourRange } from "./palette";
import { byIndex, type PlacedOptions } from "./placed";
import { Stage } from "./stage";

export interface CellAt {
  row: number;
  col: number;
  value: number;
}

export type HeatMapOptions = PlacedOptions<CellAt>;

/** A heat map in an element. */
export class HeatMap {
  readonly stage: Stage<GridMarks, HeatMapPlan, HeatMapChart>;

  constructor(host: HTMLElement, options: HeatMapOptions = {}) {
    this.stage = new Stage(host, byIndex(options, (at) => this.#cell(at)));
  }

  #cell(at: number): CellAt {
    const { cols, values } = this.stage.chart!;
    return { row: Math.floor(at / cols), col: at % cols, value: values[at] };
  }

  get chart(): HeatMapChart | null {
    return this.stage.chart;
  }

  /** Draw a map. */
  show(data: HeatMapData): void {
    this.stage.show(new HeatMapChart(data));
  }

  /** Write values into cells [row, col]; drawn at the next frame. Without given ends the colours follow. */
  fill(cells: readonly (readonly [number, number])[], values: ArrayLike<number>): void {
    const chart = this.stage.chart;
    if (!chart) return;
    chart.set(cells, values);
    const { data, colouring, key } = chart;
    const [low, high] = colourRange(chart.values, colouring.scale);
    const grown = (data.low === undefined && low !== colouring.low) || (data.high === undefined && high !== colouring.high);
    if (grown || key) this.stage.chart = new HeatMapChart(data);
    this.stage.schedule();
  }

  /** Outline what is selected. */
  mark(marks: GridMarks | null): void {
    this.stage.mark(marks);
  }

  /** Highlight a cell from elsewhere. */
  hover(row: number | null, col: number | null): void {
    const { chart } = this.stage;
    this.stage.hover(row === null || col === null || !chart ? null : row * chart.cols + col);
  }

  destroy(): void {
    this.stage.destroy();
  }
}
