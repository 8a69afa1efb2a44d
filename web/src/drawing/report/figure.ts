// A figure of a report: its stage, its buttons, its copy for paper.

import type { Chart, Plan } from "../chart";
import { saveAs } from "../export";
import { Graph } from "../graph";
import { GraphChart } from "../graph_chart";
import { legendOf } from "../lines";
import { LinesChart } from "../lines_chart";
import { svgPen } from "../pen";
import { Stage } from "../stage";
import { tableOf } from "../table";
import { themed } from "../theme";
import { hideTip, node } from "../tip";
import { readChart } from "./decode";
import { enliveTable } from "./tables";
import { enliveTokens } from "./tokens";

/** Widths on paper in pixels: of a page, and of a column. */
const WHOLE = 680, HALF = 320;
const prints = new Set<() => void>();

/** Draw all figures as lines, for paper. */
export function printAll(): void {
  prints.forEach((print) => print());
}

/** A button that saves. */
export function tool(holder: Element, label: string, does: () => void): HTMLButtonElement {
  const title = `Save as ${label}`;
  const button = node("button", { type: "button", class: "rz-button", "aria-label": title, title }, label);
  button.addEventListener("click", does);
  holder.append(button);
  return button;
}

/** The title of a figure. */
export function titleOf(figure: Element): string {
  return figure.querySelector(".rz-title")?.textContent ?? "";
}

/** Bring one figure to life; returns how to let it go. */
export function enliven(figure: HTMLElement, compact: boolean): (() => void) | undefined {
  const kind = figure.dataset.kind ?? "";
  if (kind === "table") return void enliveTable(figure);
  if (kind === "tokens") return void enliveTokens(figure);
  const chart = readChart(kind, figure.querySelector(":scope > .rz-data")?.textContent);
  if (!chart) return undefined;
  const stop = mount(figure, chart, compact);
  if (compact) makeOpener(figure);
  return stop;
}

function mount(figure: HTMLElement, chart: Chart, compact: boolean): () => void {
  const body = figure.querySelector<HTMLElement>(".rz-body")!, title = titleOf(figure);
  const options = { compact, label: figure.getAttribute("aria-label") || title, density: 2 };
  const graph = chart instanceof GraphChart ? new Graph(body, options) : null;
  const stage = (graph?.stage ?? new Stage(body, options)) as Stage<unknown, Plan, Chart>;
  if (!compact) {
    addTools(figure, chart, title);
    const legend = chart instanceof LinesChart ? legendOf(chart, () => stage.redraw()) : null;
    if (legend) body.prepend(legend);
  }
  if (graph && chart instanceof GraphChart) graph.use(chart);
  else stage.show(chart);
  const print = () => {
    const sheet = chart.layout(compact ? body.clientWidth || 160 : figure.closest(".rz-columns") ? HALF : WHOLE, { compact });
    const pen = svgPen(sheet.width, sheet.height);
    chart.draw(pen, sheet, themed("light"));
    const drawn = new DOMParser().parseFromString(pen.source(), "image/svg+xml").documentElement;
    drawn.setAttribute("class", "rz-print");
    stage.element.append(document.importNode(drawn, true));
  };
  prints.add(print);
  return () => {
    prints.delete(print);
    (graph ?? stage).destroy();
  };
}

function addTools(figure: HTMLElement, chart: Chart, title: string): void {
  const holder = figure.querySelector(".rz-tools")!;
  for (const kind of ["png", "svg", "csv"] as const) tool(holder, kind.toUpperCase(), () => void saveAs(chart, kind, { title }));
  const button = node("button", { type: "button", class: "rz-button", "aria-expanded": "false", title: "Show the values as a table" }, "Table");
  let shown: HTMLElement | null = null;
  button.addEventListener("click", () => {
    if (shown) shown.remove();
    shown = shown ? null : tableOf(chart, { label: title });
    if (shown) figure.querySelector(".rz-body")!.after(shown);
    button.setAttribute("aria-expanded", String(Boolean(shown)));
  });
  holder.append(button);
}

function makeOpener(figure: HTMLElement): void {
  figure.tabIndex = 0;
  figure.setAttribute("role", "button");
  figure.setAttribute("aria-haspopup", "dialog");
  figure.addEventListener("click", () => openInFull(figure));
  figure.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    openInFull(figure);
  });
}

function copyInFull(small: HTMLElement): HTMLElement {
  const kind = small.dataset.kind ?? "", label = small.getAttribute("aria-label") ?? "";
  const full = node("figure", { class: `rz-fig rz-${kind}`, "data-kind": kind, "data-live": "", "aria-label": label });
  const top = node("div", { class: "rz-top" });
  top.append(node("div", { class: "rz-title" }, titleOf(small)), node("div", { class: "rz-tools" }));
  full.append(top, node("div", { class: "rz-body" }), small.querySelector(".rz-data")!.cloneNode(true));
  const caption = small.querySelector("figcaption");
  if (caption) full.append(caption.cloneNode(true));
  return full;
}

function openInFull(small: HTMLElement): void {
  hideTip();
  const dialog = node("dialog", { class: "rz-dialog", "aria-label": titleOf(small) || "Figure" }), full = copyInFull(small);
  dialog.append(full);
  document.body.append(dialog);
  dialog.showModal();
  const stop = enliven(full, false);
  const close = node("button", { type: "button", class: "rz-button", "aria-label": "Close" }, "Close");
  close.addEventListener("click", () => dialog.close());
  full.querySelector(".rz-tools")!.append(close);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    hideTip();
    stop?.();
    dialog.remove();
    small.focus();
  });
}
