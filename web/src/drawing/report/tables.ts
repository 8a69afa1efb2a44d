// Tables of a report sort by a click on a heading and save as CSV.

import { csvText, fileName, saveBlob } from "../export";
import { node } from "../tip";
import { titleOf, tool } from "./figure";

function textOf(cell: HTMLTableCellElement): string {
  return cell.dataset.value ?? cell.textContent ?? "";
}

/** Make a table sort and save. */
export function enliveTable(figure: HTMLElement): void {
  const table = figure.querySelector("table")!, body = table.tBodies[0];
  const heads = [...table.tHead!.rows[0].cells], names = heads.map((head) => head.textContent ?? "");
  const holder = figure.querySelector(".rz-tools");
  if (holder && !figure.closest(".rz-thumbs")) {
    tool(holder, "CSV", () => {
      const rows = [...body.rows].map((row) => [...row.cells].map(textOf));
      saveBlob(new Blob([csvText({ head: names, rows })], { type: "text/csv" }), fileName(titleOf(figure) || "table", ".csv"));
    });
  }
  if (body.rows.length < 3) return;
  heads.forEach((head, column) => {
    const button = node("button", { type: "button", class: "rz-sort", title: "Sort by this column" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(body, heads, column));
  });
}

function sortBy(body: HTMLTableSectionElement, heads: HTMLTableCellElement[], column: number): void {
  const down = heads[column].getAttribute("aria-sort") !== "descending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...body.rows].sort((a, b) => {
    const order = compare(a.cells[column], b.cells[column]);
    return down ? -order : order;
  });
  body.append(...rows);
}

function compare(left: HTMLTableCellElement, right: HTMLTableCellElement): number {
  const [a, b] = [left.dataset.value, right.dataset.value];
  if (a !== undefined && b !== undefined) return Number(a) - Number(b);
  return textOf(left).localeCompare(textOf(right), undefined, { numeric: true });
}
