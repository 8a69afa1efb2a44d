// Pointer, keys, wheel, fingers, dragging: in Chromium, on the sources.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Browser, hasChromium } from "./browser";

const REQUIRED = !["", "0", undefined].includes(process.env.RESIDUUM_REQUIRE_BROWSER);

describe.skipIf(!hasChromium && !REQUIRED)("in a browser", { timeout: 60_000 }, () => {
  let page: Browser;
  beforeAll(async () => {
    page = await Browser.open("tests/drawing/stand.html");
    await page.until("document.title === 'ready'");
  }, 90_000);
  afterAll(() => page?.close());
  beforeEach(() => page.run("seen.length = 0"));

  const at = (name: string, index: number) => page.run<[number, number]>(`where(${name}.stage, ${index})`);
  const seen = () => page.run<unknown[]>("seen");
  const tip = () => page.run<string[] | null>("tip()");

  async function heatMap(): Promise<void> {
    await page.run(`globalThis.map = new drawing.HeatMap(fresh(600), {
      label: "Effects.", onHover: (cell) => seen.push(["hover", cell]), onPick: (cell) => seen.push(["pick", cell]),
      onDrag: (cell, data) => data.setData("text/plain", cell.row + "," + cell.col), onDrop: (cell, data) => seen.push(["drop", cell, data.getData("text/plain")]),
    }); map.show({values: Float32Array.of(1, 2, 3, NaN, 5, 6), rows: ["L0", "L1"], cols: ["a", "b", "<i>c"], unit: "logits"}); 0`);
  }

  it("the pointer reads, leaves, picks", async () => {
    await heatMap();
    await page.pointer("mouseMoved", ...(await at("map", 5)));
    expect(await tip()).toEqual(["6 logits", "row: L1", "column: <i>c"]);
    await page.click(...(await at("map", 1)));
    expect(await seen()).toContainEqual(["pick", { row: 0, col: 1, value: 2 }]);
    await page.pointer("mouseMoved", 5, 5);
    expect(await tip()).toBeNull();
    expect((await seen()).at(-1)).toEqual(["hover", null]);
  });

  it("moving draws no cell again", async () => {
    await heatMap();
    await page.run(`globalThis.drawn = 0; for (const name of ["drawImage", "putImageData"]) {
      const own = CanvasRenderingContext2D.prototype[name];
      CanvasRenderingContext2D.prototype[name] = function (...all) { drawn++; return own.apply(this, all); };
    } 0`);
    for (const index of [0, 1, 2, 5]) await page.pointer("mouseMoved", ...(await at("map", index)));
    await page.run("map.mark({row: 1, cells: [[0, 2]]})");
    await page.frame();
    expect(await page.run("drawn")).toBe(0);
    await page.run("map.fill([[1, 0]], [9])");
    await page.frame();
    expect(await page.run("drawn")).toBeGreaterThan(0); // so the count counts
  });

  it("keys read, pick, and are told to those who listen", async () => {
    await heatMap();
    await page.run("map.stage.element.focus()");
    for (const key of ["ArrowDown", "ArrowRight", "ArrowDown", "Enter"]) await page.key(key);
    expect(await page.run("document.querySelector('.rz-live').textContent")).toBe("5 logits, row: L1, column: b");
    expect((await seen()).at(-1)).toEqual(["pick", { row: 1, col: 1, value: 5 }]);
    await page.key("Escape");
    expect(await tip()).toBeNull();
  });

  it("what fills in is told at once, under the pointer too", async () => {
    await heatMap();
    await page.pointer("mouseMoved", ...(await at("map", 3)));
    expect((await tip())![0]).toBe("no value possible here");
    await page.run("map.show({...map.chart.data, values: Float32Array.of(1, 2, 3, 4, 5, 6)})");
    expect((await tip())![0]).toBe("4 logits");
    await page.run("map.show({values: Float32Array.of(1), rows: ['a'], cols: ['b']})");
    expect(await tip()).toBeNull();
  });

  it("a theme redraws, with other colours", async () => {
    await heatMap();
    const pixel = `[...map.stage.element.querySelector("canvas").getContext("2d").getImageData(...where(map.stage, 2).map((v) => v - 20), 1, 1).data].slice(0, 3)`;
    await page.run("document.documentElement.dataset.theme = 'light'");
    await page.frame();
    const light = await page.run(pixel);
    await page.run("document.documentElement.dataset.theme = 'dark'");
    await page.frame();
    expect(await page.run(pixel)).not.toEqual(light);
    await page.run("delete document.documentElement.dataset.theme");
  });

  it("canvases take the colours of the page's style", async () => {
    await heatMap();
    const paper = () => page.run<string>("map.stage.theme.paper");
    expect(await paper()).toBe("#ffffff");
    await page.run("document.documentElement.style.setProperty('--mine', '#abcdef'); document.documentElement.style.setProperty('--rz-paper', 'var(--mine)'); map.stage.redraw()");
    expect(await paper()).toBe("#abcdef");
    await page.run("document.documentElement.removeAttribute('style'); document.documentElement.dataset.theme = 'dark'");
    await page.frame();
    expect(await paper()).toBe("#171a1f");
    await page.run("delete document.documentElement.dataset.theme");
  });

  it("a width redraws to fit", async () => {
    await heatMap();
    const wide = await page.run<number>("map.stage.plan.width");
    await page.run("map.stage.host.style.width = '240px'");
    await page.frame();
    expect(await page.run<number>("map.stage.plan.width")).toBeLessThan(Math.min(wide, 260));
  });

  it("a cell drags onto another", async () => {
    await heatMap();
    const dropped = await page.run<string>(`(() => {
      const data = new DataTransfer(), over = map.stage.element.querySelector(".rz-over");
      const send = (type, index) => over.dispatchEvent(new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: data,
        clientX: where(map.stage, index)[0], clientY: where(map.stage, index)[1]}));
      send("dragstart", 1); send("dragover", 5); send("drop", 5);
      return JSON.stringify(seen.at(-1));
    })()`);
    expect(JSON.parse(dropped)).toEqual(["drop", { row: 1, col: 2, value: 6 }, "0,1"]);
  });

  it("heads are found and moved between", async () => {
    await page.run(`globalThis.grid = new drawing.ThumbGrid(fresh(500), {label: "Heads.", onPick: (head) => seen.push(head)});
      grid.show({bytes: new Uint8Array(3 * 4 * 9).fill(7), layers: 3, heads: 4, side: 3}); 0`);
    await page.click(...(await at("grid", 6)));
    await page.key("ArrowDown");
    await page.key("Enter");
    expect(await seen()).toEqual([{ layer: 1, head: 2 }, { layer: 2, head: 2 }]);
  });

  async function matrix(side = 60): Promise<void> {
    await page.run(`globalThis.matrix = new drawing.Matrix(fresh(600, 500), {fill: true, label: "Head.", onPick: (cell) => seen.push(cell)});
      {const names = Array.from({length: ${side}}, (_, i) => " t" + i);
      matrix.show({values: Float32Array.from({length: ${side * side}}, (_, i) => i), rows: names, cols: names});} 0`);
  }
  const sight = () => page.run<{ row: number; col: number; zoom: number }>("({...matrix.stage.plan.sight})");

  it("a matrix keeps to its element", async () => {
    await matrix();
    const [height, width] = await page.run<number[]>("[matrix.stage.plan.height, matrix.stage.plan.width]");
    expect(height).toBeLessThanOrEqual(500);
    expect(width).toBeLessThanOrEqual(600);
  });

  it("the wheel zooms around the pointer, dragging pans, 0 shows all", async () => {
    await matrix();
    const all = await sight(), place = await at("matrix", 30 * 60 + 40);
    await page.pointer("mouseMoved", ...place);
    const before = await tip();
    for (let i = 0; i < 6; i++) await page.wheel(...place, -200);
    await page.frame();
    const near = await sight();
    expect(near.zoom).toBeGreaterThan(all.zoom * 3);
    await page.pointer("mouseMoved", place[0] + 1, place[1] + 1);
    expect(await tip()).toEqual(before);
    await page.pointer("mousePressed", ...place, 1);
    for (const step of [10, 30, 50]) await page.pointer("mouseMoved", place[0] + step, place[1], 1);
    await page.pointer("mouseReleased", place[0] + 50, place[1]);
    await page.frame();
    expect((await sight()).col).toBeCloseTo(near.col - 50 / near.zoom, 1);
    expect(await seen()).toEqual([]); // panning is no picking
    await page.run("matrix.stage.element.focus()");
    await page.key("0");
    await page.frame();
    expect(await sight()).toEqual(all);
  });

  it("keys zoom at the crosshair and bring it along", async () => {
    await matrix();
    await page.run("matrix.stage.element.focus()");
    await page.key("PageDown");
    for (let i = 0; i < 5; i++) await page.key("+");
    await page.frame();
    expect((await sight()).row).toBeGreaterThan(30);
    await page.key("Home");
    await page.key("PageUp");
    await page.frame();
    expect((await sight()).row).toBe(0);
    await page.key("Enter");
    expect((await seen()).at(-1)).toEqual({ row: 0, col: 0, value: 0 });
  });

  it("two fingers zoom", async () => {
    await matrix();
    const all = await sight(), [x, y] = await at("matrix", 30 * 60 + 30);
    await page.touch("touchStart", [{ x: x - 20, y }, { x: x + 20, y }]);
    for (const apart of [30, 50, 80]) await page.touch("touchMove", [{ x: x - apart, y }, { x: x + apart, y }]);
    await page.touch("touchEnd", []);
    await page.frame();
    expect((await sight()).zoom).toBeGreaterThan(all.zoom * 2);
  });

  it("tokens are chips with safe text; arrows walk, space picks", async () => {
    await page.run(`globalThis.strip = new drawing.TokenStrip(fresh(600), {label: "Prompt", onPick: (at) => seen.push(at)});
      strip.show({tokens: ["The", " <img src=x onerror=alert(1)>", "\\n"], ids: [5, 6, 7]}); strip.mark(1); 0`);
    expect(await page.run("[...document.querySelectorAll('.rz-token')].map((chip) => chip.innerText)")).toEqual(["The\n5", "·<img·src=x·onerror=alert(1)>\n6", "⏎\n7"]);
    expect(await page.run("document.querySelectorAll('img').length")).toBe(0);
    await page.run("document.querySelectorAll('.rz-token')[1].focus()");
    await page.key("ArrowRight");
    await page.key(" ");
    expect(await seen()).toEqual([2]);
  });

  it("arcs are drawn and tell what a token looks at", async () => {
    await page.run(`globalThis.arcs = new drawing.Arcs(fresh(600), {label: "Arcs."});
      arcs.show({tokens: ["The", " cat"], weights: Float32Array.of(1, 0, 0.25, 0.75)}); 0`);
    await page.pointer("mouseMoved", ...(await at("arcs", 1)));
    expect(await tip()).toEqual(["1 ·cat", "0.75 → 1 ·cat", "0.25 → 0 The"]);
  });

  it("nothing went wrong on the way", () => expect(page.errors).toEqual([]));
});
