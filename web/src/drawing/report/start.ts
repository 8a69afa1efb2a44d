// The script of reports and notebooks: it brings the page to life, and again whenever another
// fragment with figures was added. Running it twice is harmless.

import { prepareLive } from "../tip";
import { enliven, printAll } from "./figure";
import { enliveCopy, enliveTheme, themeFromAddress } from "./page";

declare global {
  interface Window {
    residuumFigures?: () => void;
  }
}

function once(selector: string, does: (item: HTMLElement) => void): void {
  for (const item of document.querySelectorAll<HTMLElement>(`${selector}:not([data-live])`)) {
    item.dataset.live = "";
    does(item);
  }
}

function start(): void {
  prepareLive();
  once(".rz-fig", (figure) => void enliven(figure, figure.classList.contains("rz-compact")));
  once(".rz-copy", enliveCopy);
  once(".rz-theme", enliveTheme);
}

const closed = new Set<HTMLDetailsElement>();

/** On paper folds are open, but for those that stay on the screen, and every figure is lines, not pixels. */
function toPaper(): void {
  for (const fold of document.querySelectorAll<HTMLDetailsElement>(".rz-fold:not([open], .rz-unprinted)")) {
    closed.add(fold);
    fold.open = true;
  }
  printAll();
}

function fromPaper(): void {
  document.querySelectorAll(".rz-print").forEach((made) => made.remove());
  closed.forEach((fold) => (fold.open = false));
  closed.clear();
}

if (window.residuumFigures) window.residuumFigures();
else {
  themeFromAddress();
  addEventListener("beforeprint", toPaper);
  addEventListener("afterprint", fromPaper);
  window.residuumFigures = start;
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
}
