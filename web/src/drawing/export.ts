// Charts as files: SVG and PNG on white, CSV and JSON with all values.

import type { Chart, Plan, TableData } from "./chart";
import { canvasPen, ellipsis, svgPen, type Pen } from "./pen";
import { themed, type ThemeName } from "./theme";
import { node } from "./tip";

export interface SheetOptions {
  title?: string;
  width?: number;
  theme?: ThemeName;
}

function drawSheet<P extends Plan>(pen: Pen, chart: Chart<never, P>, plan: P, title: string, name: ThemeName): void {
  const theme = themed(name);
  pen.rect(0, 0, plan.width, plan.height, theme.paper);
  if (title) pen.text(8, 16, ellipsis(title, 14, plan.width - 16), theme.ink, { size: 14, weight: 600 });
  chart.draw(pen, plan, theme);
}

/** A chart as an SVG document. */
export function exportSvg<P extends Plan>(chart: Chart<never, P>, { title = "", width = 900, theme = "light" }: SheetOptions = {}): string {
  const plan = chart.layout(width, { title }), pen = svgPen(plan.width, plan.height);
  drawSheet(pen, chart, plan, title, theme);
  return pen.source();
}

/** A chart as a PNG, three pixels to one. */
export async function exportPng<P extends Plan>(chart: Chart<never, P>, { title = "", width = 900, theme = "light" }: SheetOptions = {}): Promise<Blob> {
  const plan = chart.layout(width, { title }), sheet = document.createElement("canvas");
  const dense = Math.min(3, 16000 / Math.max(plan.width, plan.height));
  sheet.width = plan.width * dense;
  sheet.height = plan.height * dense;
  const context = sheet.getContext("2d")!;
  context.scale(dense, dense);
  drawSheet(canvasPen(context), chart, plan, title, theme);
  return new Promise((done, fail) => sheet.toBlob((blob) => (blob ? done(blob) : fail(new Error("the browser could not write a PNG of this size")))));
}

/** A table as CSV. */
export function csvText({ head, rows }: TableData): string {
  const field = (cell: string) => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return [head, ...rows].map((row) => row.map((cell) => field(String(cell))).join(",")).join("\r\n") + "\r\n";
}

/** All values of a chart as CSV. */
export function exportCsv(chart: Pick<Chart, "table">): string {
  return csvText(chart.table());
}

/** All values of a chart as JSON; NaN is null. */
export function exportJson(chart: Pick<Chart, "json">, more: Record<string, unknown> = {}): string {
  return JSON.stringify({ ...more, ...chart.json() }) + "\n";
}

/** A file name from a title. */
export function fileName(title: string, suffix: string): string {
  const stem = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return (stem.slice(0, 60) || "figure") + suffix;
}

/** Hand a file to the reader. */
export function saveBlob(blob: Blob, name: string): void {
  const link = node("a", { download: name });
  link.href = URL.createObjectURL(blob);
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 5000);
}

export type FileKind = "svg" | "png" | "csv" | "json";

/** Save a chart as a file of that kind. */
export async function saveAs<P extends Plan>(chart: Chart<never, P>, kind: FileKind, options: SheetOptions = {}): Promise<void> {
  const name = fileName(options.title ?? chart.kind, `.${kind}`);
  const text = (content: string, type: string) => new Blob([content], { type });
  if (kind === "png") saveBlob(await exportPng(chart, options), name);
  else if (kind === "svg") saveBlob(text(exportSvg(chart, options), "image/svg+xml"), name);
  else if (kind === "csv") saveBlob(text(exportCsv(chart), "text/csv"), name);
  else saveBlob(text(exportJson(chart, { title: options.title ?? "" }), "application/json"), name);
}
