// A matrix in an element, with what moves and zooms it.

import type { CellAt } from "./heatmap";
import type { GridMarks } from "./heatmap_chart";
import { MatrixChart, MOST_ZOOM, type MatrixData, type MatrixPlan, type Sight } from "./matrix_chart";
import type { Point } from "./pen";
import type { PlacedOptions } from "./placed";
import { clip } from "./scales";
import { Stage } from "./stage";

export interface MatrixOptions extends Omit<PlacedOptions<CellAt>, "onKey" | "onDrag" | "onDrop"> {
  onSight?: (sight: Sight | null) => void;
}

/** A matrix in an element: wheel, pinch, + − 0 zoom; dragging pans; arrows move the crosshair. */
export class Matrix {
  readonly stage: Stage<GridMarks, MatrixPlan, MatrixChart>;
  readonly #onSight: ((sight: Sight | null) => void) | undefined;
  readonly #fingers = new Map<number, Point>();
  #panned = 0;

  constructor(host: HTMLElement, options: MatrixOptions = {}) {
    const { onHover, onPick, onSight, ...rest } = options;
    this.#onSight = onSight;
    this.stage = new Stage(host, {
      ...rest,
      onHover: (at) => {
        if (at !== null) this.#keepInSight(at);
        onHover?.(at === null ? null : this.#cell(at));
      },
      onPick: (at, event) => {
        const panned = this.#panned >= 5 && !(event instanceof KeyboardEvent);
        this.#panned = 0;
        if (!panned) onPick?.(this.#cell(at), event);
      },
      onKey: (event, at) => this.#key(event, at),
    });
    this.stage.element.classList.add("rz-matrix");
    this.#gestures();
  }

  #cell(at: number): CellAt {
    const { cols, values } = this.stage.chart!;
    return { row: Math.floor(at / cols), col: at % cols, value: values[at] };
  }

  get chart(): MatrixChart | null {
    return this.stage.chart;
  }

  /** Draw a matrix; of the same size, what is in sight stays. */
  show(data: MatrixData): void {
    const before = this.stage.chart, chart = new MatrixChart(data);
    if (before && before.rows === chart.rows && before.cols === chart.cols) chart.sight = before.sight;
    this.stage.show(chart);
  }

  mark(marks: GridMarks | null): void {
    this.stage.mark(marks);
  }

  hover(row: number | null, col: number | null): void {
    const { chart } = this.stage;
    this.stage.hover(row === null || col === null || !chart ? null : row * chart.cols + col);
  }

  /** Zoom by a factor, keeping the cell under a point of the drawing where it is. */
  zoom(factor: number, [px, py]: Point = this.#middle()): boolean {
    const { plan, chart } = this.stage;
    if (!plan || !chart) return false;
    const [x, y] = plan.box, { zoom, row, col } = plan.sight;
    const next = clip(zoom * factor, plan.fit, Math.max(plan.fit, MOST_ZOOM)), stays = [row + (py - y) / zoom, col + (px - x) / zoom];
    return this.#look({ zoom: next, row: stays[0] - (py - y) / next, col: stays[1] - (px - x) / next });
  }

  /** Move what is in sight by pixels. */
  pan(dx: number, dy: number): boolean {
    const { plan } = this.stage;
    if (!plan) return false;
    const { zoom, row, col } = plan.sight;
    return this.#look({ zoom, row: row - dy / zoom, col: col - dx / zoom });
  }

  /** Show all. */
  reset(): void {
    if (this.stage.chart) this.stage.chart.sight = null;
    this.stage.schedule();
    this.#onSight?.(null);
  }

  destroy(): void {
    this.stage.destroy();
  }

  #middle(): Point {
    const [x, y, w, h] = this.stage.plan!.box;
    return [x + w / 2, y + h / 2];
  }

  /** Look elsewhere; false where that changes nothing. */
  #look(sight: Sight): boolean {
    const { chart, plan, host } = this.stage;
    if (!chart || !plan) return false;
    chart.sight = sight;
    const settled = chart.layout(host.clientWidth, this.stage.sizing).sight, old = plan.sight;
    chart.sight = settled;
    if (settled.zoom === old.zoom && settled.row === old.row && settled.col === old.col) return false;
    this.stage.schedule();
    plan.sight = settled; // further events of this frame go on from here
    this.#onSight?.(settled);
    return true;
  }

  #keepInSight(at: number): void {
    const { plan, chart } = this.stage;
    if (!plan || !chart) return;
    const [x, y, w, h] = plan.box, [cx, cy, side] = chart.cell(plan, at);
    const off = (start: number, length: number, place: number) => Math.max(0, start - place) - Math.max(0, place + side - start - length);
    const dx = off(x, w, cx), dy = off(y, h, cy);
    if (Math.abs(dx) >= side || Math.abs(dy) >= side) this.pan(dx, dy);
  }

  #key(event: KeyboardEvent, at: number | null): boolean {
    const { plan, chart } = this.stage;
    const here = at !== null && plan && chart ? chart.where(plan, at) : undefined;
    if (event.key === "+" || event.key === "=") this.zoom(1.5, here);
    else if (event.key === "-") this.zoom(1 / 1.5, here);
    else if (event.key === "0") this.reset();
    else return false;
    return true;
  }

  #gestures(): void {
    const { element } = this.stage;
    element.addEventListener("wheel", (event) => {
      const pixels = event.deltaMode === 1 ? event.deltaY * 33 : event.deltaY;
      const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      const changed = sideways ? this.pan(-(event.deltaX || event.deltaY), 0)
        : this.zoom(Math.exp(-clip(pixels, -200, 200) * 0.0025), this.stage.place(event));
      if (changed || event.ctrlKey) event.preventDefault();
    }, { passive: false });
    element.addEventListener("pointerdown", (event) => {
      this.#fingers.set(event.pointerId, this.stage.place(event));
      this.#panned = 0;
    });
    element.addEventListener("pointermove", (event) => this.#moved(event));
    for (const end of ["pointerup", "pointercancel"] as const) {
      element.addEventListener(end, (event) => void this.#fingers.delete(event.pointerId));
    }
  }

  #moved(event: PointerEvent): void {
    const before = this.#fingers.get(event.pointerId);
    if (!before) return;
    const now: Point = this.stage.place(event), dx = now[0] - before[0], dy = now[1] - before[1];
    this.#panned += Math.hypot(dx, dy);
    const other = [...this.#fingers].find(([id]) => id !== event.pointerId)?.[1];
    this.#fingers.set(event.pointerId, now);
    if (other) {
      const apart = (a: Point) => Math.max(10, Math.hypot(a[0] - other[0], a[1] - other[1]));
      this.zoom(apart(now) / apart(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    } else if (this.#panned >= 5 && this.pan(dx, dy) && !this.stage.element.hasPointerCapture(event.pointerId)) {
      this.stage.element.setPointerCapture(event.pointerId);
    }
  }
}
