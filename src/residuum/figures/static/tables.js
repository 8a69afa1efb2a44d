// Tables sort by a click on a heading; token strips and tables save as CSV.

function cellText(cell) {
  return cell.dataset.value ?? cell.textContent;
}

function enliveTable(figure) {
  const table = figure.querySelector("table"), body = table.tBodies[0];
  const title = figure.querySelector(".rz-title")?.textContent || "table";
  const heads = [...table.tHead.rows[0].cells];
  if (!figure.closest(".rz-thumbs")) {
    tool(figure.querySelector(".rz-tools"), "CSV", () => {
      const rows = [heads.map((head) => head.textContent), ...[...body.rows].map((row) => [...row.cells].map(cellText))];
      saveBlob(new Blob([csvText(rows)], { type: "text/csv" }), fileName(title, ".csv"));
    });
  }
  if (body.rows.length < 3) return;
  heads.forEach((head, column) => {
    const button = node("button", { type: "button", class: "rz-sort", title: "Sort by this column" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(body, heads, head, column));
  });
}

function sortBy(body, heads, head, column) {
  const down = head.getAttribute("aria-sort") !== "descending";
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[column];
  const rows = [...body.rows].sort((a, b) => {
    const [left, right] = [key(a), key(b)];
    const both = left.dataset.value !== undefined && right.dataset.value !== undefined;
    const order = both ? Number(left.dataset.value) - Number(right.dataset.value)
      : cellText(left).localeCompare(cellText(right), undefined, { numeric: true });
    return down ? -order : order;
  });
  body.append(...rows);
}

function enliveTokens(figure) {
  const tokens = [...figure.querySelectorAll(".rz-token")];
  for (const token of tokens) {
    const show = () => {
      const box = token.getBoundingClientRect();
      showTip(figure, token.dataset.tip.split(" · "), box.left, box.bottom - 8);
    };
    token.addEventListener("pointerenter", show);
    token.addEventListener("focus", show);
    token.addEventListener("pointerleave", hideTip);
    token.addEventListener("blur", hideTip);
  }
}
