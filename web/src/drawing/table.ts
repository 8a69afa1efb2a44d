// Tables: what a chart shows, for readers who cannot see it, or who want the numbers.

import type { Cell, Chart, TableData } from "./chart";
import { number, shownLabel } from "./numerals";
import { node } from "./tip";

export interface TableOptions {
  /** A line above it. */
  caption?: string;
  /** What readers hear who cannot see it; without one the caption. */
  label?: string;
  /** Most rows and columns shown; the rest is told, and is in the CSV file. */
  most?: number;
}

/** The table alternative of a chart, as an element. */
export function tableOf(figure: Pick<Chart, "table">, options: TableOptions = {}): HTMLElement {
  return tableElement(figure.table(), options);
}

/** A table of data, as an element that scrolls. */
export function tableElement({ head, rows }: TableData, { caption = "", label = caption, most = 200 }: TableOptions = {}): HTMLElement {
  const holder = node("div", { class: "rz-scroll rz-numbers", tabindex: "0", role: "region", "aria-label": label || "Table of values" });
  const table = node("table");
  if (caption) table.append(node("caption", {}, caption));
  const headings = node("tr");
  head.slice(0, most + 1).forEach((name, i) => {
    const numeric = rows.some((row) => typeof row[i] === "number");
    headings.append(node("th", { scope: "col", class: numeric ? "rz-right" : "" }, shownLabel(name)));
  });
  const top = node("thead"), body = node("tbody");
  top.append(headings);
  for (const row of rows.slice(0, most)) body.append(rowOf(row.slice(0, most + 1)));
  table.append(top, body);
  holder.append(table);
  const left = Math.max(0, rows.length - most), right = Math.max(0, head.length - 1 - most);
  if (left || right) holder.append(node("p", { class: "rz-empty" }, `${left} more rows and ${right} more columns are in the CSV file.`));
  return holder;
}

function rowOf(cells: readonly Cell[]): HTMLTableRowElement {
  const line = node("tr");
  cells.forEach((cell, i) => {
    const text = typeof cell === "number" ? number(cell, 4) : shownLabel(cell);
    const made = i ? node("td", { class: typeof cell === "number" ? "rz-right" : "" }, text || "–") : node("th", { scope: "row" }, text);
    if (typeof cell === "number") made.dataset.value = String(cell);
    line.append(made);
  });
  return line;
}
