// Where a chart is shown: cells on one canvas, what moves on a second one above it, so that moving
// the pointer never draws a cell again. Pointer, keyboard, drag and drop, theme and size are here.

import type { Chart, LayoutOptions, Plan } from "./chart";
import { canvasPen, type Pen } from "./pen";
import { inksOf, onTheme, themed, type Theme, type ThemeName } from "./theme";
import { announce, hideTip, node, prepareLive, showTip } from "./tip";

export interface StageOptions {
  /** What readers hear who cannot see it; arrow keys are explained after it. */
  label?: string;
  /** A theme to keep; without it the page's. */
  theme?: ThemeName;
  compact?: boolean;
  /** Fill the host's height too, not just its width. */
  fill?: boolean;
  /** Show values beside the pointer. */
  tips?: boolean;
  /** Least number of canvas pixels to a CSS pixel. */
  density?: number;
  onHover?: (at: number | null) => void;
  onPick?: (at: number, event: MouseEvent | KeyboardEvent) => void;
  /** A key that the chart does not know; true where it was handled. */
  onKey?: (event: KeyboardEvent, at: number | null) => boolean;
  /** Fill in what is dragged; false where nothing can be. */
  onDrag?: (at: number, data: DataTransfer) => boolean | void;
  onDrop?: (at: number, data: DataTransfer) => void;
}

const MOST_PIXELS = 16_000; // of a canvas's side, in every browser

export class Stage<M, P extends Plan, C extends Chart<M, P>> {
  readonly element: HTMLDivElement;
  readonly host: HTMLElement;
  chart: C | null = null;
  plan: P | null = null;
  at: number | null = null;
  #marks: M | null = null;
  #base = node("canvas", { class: "rz-base" });
  #over = node("canvas", { class: "rz-over" });
  #dense = 1;
  #options: StageOptions;
  #stops: (() => void)[] = [];
  #waiting = 0;
  #size = "";
  #theme: Theme | null = null;
  #told: { x: number; y: number } | null = null;

  constructor(host: HTMLElement, options: StageOptions = {}) {
    this.host = host;
    this.#options = options;
    this.element = node("div", { class: "rz-stage" });
    this.element.append(this.#base, this.#over);
    if (options.compact) this.element.setAttribute("aria-hidden", "true");
    else this.#name(options.label ?? "");
    host.append(this.element);
    this.#listen();
    const sizes = new ResizeObserver(() => this.#resized());
    sizes.observe(host);
    this.#stops.push(() => sizes.disconnect(), onTheme(() => this.redraw()));
  }

  /** Draw a chart; what was selected stays, and so does the tip where its place is still there. */
  show(chart: C): void {
    this.chart = chart;
    if (this.at !== null && this.at >= chart.count) this.#point(null, null);
    this.redraw();
    if (this.#told && this.at !== null) showTip(this.element, chart.lines(this.at), this.#told.x, this.#told.y);
  }

  /** Change the label that readers hear. */
  set label(text: string) {
    this.#name(text);
  }

  /** Outline what is selected; null for nothing. */
  mark(marks: M | null): void {
    this.#marks = marks;
    this.#overlay();
  }

  /** Highlight from elsewhere, without a tip and without telling anybody. */
  hover(at: number | null): void {
    this.at = at;
    this.#overlay();
  }

  /** Draw all again, at the next frame; as many calls as there are cost one drawing. */
  schedule(): void {
    this.#waiting ||= requestAnimationFrame(() => this.redraw());
  }

  /** Draw all again, now. */
  redraw(): void {
    if (this.#waiting) cancelAnimationFrame(this.#waiting);
    this.#waiting = 0;
    const width = this.host.clientWidth;
    this.#size = this.#measured();
    if (!this.chart || !width) return;
    this.plan = this.chart.layout(width, this.sizing);
    this.#fit();
    this.#theme = null;
    const pen = this.#pen(this.#base);
    this.chart.draw(pen, this.plan, this.theme);
    this.#overlay();
  }

  /** Take it away. */
  destroy(): void {
    if (this.#waiting) cancelAnimationFrame(this.#waiting);
    this.#stops.forEach((stop) => stop());
    if (this.#told) hideTip();
    this.element.remove();
  }

  /** What layouts are asked for here. */
  get sizing(): LayoutOptions {
    const { compact, fill } = this.#options, { host, element } = this;
    if (!fill) return { compact };
    const above = element.getBoundingClientRect().top - host.getBoundingClientRect().top + host.scrollTop;
    return { compact, height: Math.max(0, host.clientHeight - above) };
  }

  /** The inks it is drawn in: those of the page's style, read anew with each drawing. */
  get theme(): Theme {
    return (this.#theme ??= this.#options.theme ? themed(this.#options.theme) : inksOf(this.element));
  }

  /** Position of an event inside the drawing. */
  place(event: MouseEvent): [number, number] {
    const box = this.#over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** What is under an event. */
  under(event: MouseEvent): number | null {
    return this.plan && this.chart ? this.chart.probe(this.plan, ...this.place(event)) : null;
  }

  #name(label: string): void {
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "application");
    this.element.setAttribute("aria-label", `${label} Arrow keys read the values.`.trim());
  }

  #resized(): void {
    if (this.#measured() !== this.#size) this.redraw();
  }

  #measured(): string {
    return `${this.host.clientWidth} ${this.#options.fill ? this.host.clientHeight : ""}`;
  }

  #fit(): void {
    const { width, height } = this.plan!;
    const most = MOST_PIXELS / Math.max(width, height, 1);
    this.#dense = Math.min(Math.max(this.#options.density ?? 1, devicePixelRatio || 1), most);
    for (const canvas of [this.#base, this.#over]) {
      const cols = Math.round(width * this.#dense), rows = Math.round(height * this.#dense);
      if (canvas.width !== cols) canvas.width = cols;
      if (canvas.height !== rows) canvas.height = rows;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
  }

  #pen(canvas: HTMLCanvasElement): Pen {
    const context = canvas.getContext("2d")!;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.scale(this.#dense, this.#dense);
    return canvasPen(context);
  }

  #overlay(): void {
    if (!this.plan || !this.chart) return;
    const pen = this.#pen(this.#over), theme = this.theme;
    if (this.#marks !== null) this.chart.outline?.(pen, this.plan, this.#marks, theme);
    if (this.at !== null) this.chart.mark(pen, this.plan, this.at, theme);
  }

  /** Go to a place: by pointer (with its event) or by keyboard. */
  #point(at: number | null, event: MouseEvent | null): void {
    if (!this.plan || !this.chart) return;
    const changed = at !== this.at;
    this.at = at;
    if (changed) {
      this.#overlay();
      this.#options.onHover?.(at);
    }
    if (at === null) {
      if (this.#told) hideTip();
      this.#told = null;
      return;
    }
    if (this.#options.tips !== false) this.#tell(at, event);
    if (!event) announce(this.chart.lines(at).join(", "));
  }

  #tell(at: number, event: MouseEvent | null): void {
    const box = this.#over.getBoundingClientRect();
    const [x, y] = this.chart!.where(this.plan!, at);
    this.#told = event ? { x: event.clientX, y: event.clientY } : { x: x + box.left, y: y + box.top };
    showTip(this.element, this.chart!.lines(at), this.#told.x, this.#told.y);
  }

  #listen(): void {
    const { element } = this;
    element.addEventListener("pointermove", (event) => this.#point(this.under(event), event));
    element.addEventListener("pointerleave", () => this.#point(null, null));
    element.addEventListener("focus", prepareLive);
    // Later, and only if it is still there: a browser tells of it too while it takes the element away.
    element.addEventListener("blur", () => queueMicrotask(() => element.isConnected && this.#point(null, null)));
    element.addEventListener("keydown", (event) => this.#key(event));
    element.addEventListener("click", (event) => {
      const at = this.under(event);
      if (at !== null) this.#options.onPick?.(at, event);
    });
    if (this.#options.onDrag) this.#dragging();
    if (this.#options.onDrop) this.#dropping();
  }

  #key(event: KeyboardEvent): void {
    if (!this.chart || !this.plan) return;
    if (event.key === "Escape" && this.at !== null) {
      this.#point(null, null);
      event.stopPropagation();
      return;
    }
    const picked = event.key === "Enter" || event.key === " ";
    if (picked && this.at !== null && this.#options.onPick) this.#options.onPick(this.at, event);
    else if (!this.#options.onKey?.(event, this.at)) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const next = this.chart.move(this.at, event.key);
      if (next === undefined) return;
      this.#point(next, null);
      this.#reveal(next);
    }
    event.preventDefault();
  }

  /** Scroll the host so that what the keyboard reached is in sight. */
  #reveal(at: number): void {
    const [x, y] = this.chart!.where(this.plan!, at), { host } = this;
    if (host.scrollWidth > host.clientWidth) host.scrollLeft = Math.max(Math.min(host.scrollLeft, x - 60), x + 60 - host.clientWidth);
    if (host.scrollHeight > host.clientHeight) host.scrollTop = Math.max(Math.min(host.scrollTop, y - 60), y + 60 - host.clientHeight);
  }

  #dragging(): void {
    this.element.draggable = true;
    this.element.addEventListener("dragstart", (event) => {
      const at = this.under(event);
      const data = event.dataTransfer;
      if (at === null || !data || this.#options.onDrag!(at, data) === false) return event.preventDefault();
      hideTip();
      const chip = node("div", { class: "rz-dragged" }, this.chart!.lines(at)[0]);
      document.body.append(chip);
      data.setDragImage(chip, -8, -8);
      setTimeout(() => chip.remove());
    });
  }

  #dropping(): void {
    this.element.addEventListener("dragover", (event) => {
      const at = this.under(event);
      this.hover(at);
      if (at !== null) event.preventDefault();
    });
    this.element.addEventListener("dragleave", () => this.hover(null));
    this.element.addEventListener("drop", (event) => {
      const at = this.under(event);
      if (at === null || !event.dataTransfer) return;
      event.preventDefault();
      this.hover(null);
      this.#options.onDrop!(at, event.dataTransfer);
    });
  }
}
