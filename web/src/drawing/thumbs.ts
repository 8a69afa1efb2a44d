// All heads in an element.

import { byIndex, type PlacedOptions } from "./placed";
import { Stage } from "./stage";
import { ThumbChart, type HeadMarks, type ThumbData, type ThumbPlan } from "./thumb_chart";

export interface HeadAt {
  layer: number;
  head: number;
}

export type ThumbOptions = PlacedOptions<HeadAt>;

/** All heads in an element. */
export class ThumbGrid {
  readonly stage: Stage<HeadMarks, ThumbPlan, ThumbChart>;

  constructor(host: HTMLElement, options: ThumbOptions = {}) {
    this.stage = new Stage(host, byIndex(options, (at) => this.#head(at)));
  }

  #head(at: number): HeadAt {
    const { heads } = this.stage.chart!.data;
    return { layer: Math.floor(at / heads), head: at % heads };
  }

  get chart(): ThumbChart | null {
    return this.stage.chart;
  }

  /** Draw all heads. */
  show(data: ThumbData): void {
    const chart = new ThumbChart(data);
    chart.density = Math.max(1, devicePixelRatio || 1);
    this.stage.show(chart);
  }

  /** Outline the head that is selected, and others. */
  mark(marks: HeadMarks | null): void {
    this.stage.mark(marks);
  }

  /** Highlight a head from elsewhere. */
  hover(head: HeadAt | null): void {
    const { chart } = this.stage;
    this.stage.hover(head && chart ? head.layer * chart.data.heads + head.head : null);
  }

  destroy(): void {
    this.stage.destroy();
  }
}
