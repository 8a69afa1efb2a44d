// A page with one drawing at a time, for tests in a real browser.

import "../../src/drawing/drawing.css";
import * as drawing from "../../src/drawing/index";

document.body.style.margin = "20px";

/** An empty element in place of all that was there. */
function fresh(width: number, height = 0): HTMLElement {
  document.body.replaceChildren();
  const host = document.createElement("div");
  host.style.cssText = `width:${width}px;${height ? `height:${height}px` : ""}`;
  document.body.append(host);
  return host;
}

/** Where a thing of a drawing is in the window. */
function where(stage: drawing.Stage<never, never, never>, at: number): [number, number] {
  const chart = stage.chart as unknown as drawing.Chart, [x, y] = chart.where(stage.plan as unknown as drawing.Plan, at);
  const box = stage.element.getBoundingClientRect();
  return [x + box.left, y + box.top];
}

Object.assign(window, { drawing, fresh, where, seen: [] as unknown[], tip: () => document.querySelector<HTMLElement>(".rz-tip:not([hidden])")?.innerText.split("\n") ?? null });
document.title = "ready";
