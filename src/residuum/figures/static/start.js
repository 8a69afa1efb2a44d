// Bring the page to life, now and whenever another fragment was added.

const CHARTS = { heatmap: heatmapChart, lines: linesChart, bars: barsChart };

function enliven(figure, compact) {
  const kind = figure.dataset.kind;
  if (kind === "table") return enliveTable(figure);
  if (kind === "tokens") return enliveTokens(figure);
  if (!(kind in CHARTS)) return undefined;
  const chart = CHARTS[kind](JSON.parse(figure.querySelector(":scope > .rz-data").textContent));
  const mounted = mount(figure, chart, { compact });
  if (kind === "lines" && !compact) addLegend(figure, chart, mounted.redraw);
  if (compact) makeOpener(figure);
  return mounted;
}

function makeOpener(figure) {
  figure.tabIndex = 0;
  figure.setAttribute("role", "button");
  figure.setAttribute("aria-haspopup", "dialog");
  figure.addEventListener("click", () => openInFull(figure));
  figure.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); openInFull(figure); }
  });
}

function openInFull(small) {
  hideTip();
  const dialog = node("dialog", { class: "rz-dialog" });
  const full = node("figure", { class: `rz-fig rz-${small.dataset.kind}`, "data-kind": small.dataset.kind, "aria-label": small.getAttribute("aria-label") });
  const top = node("div", { class: "rz-top" }), tools = node("div", { class: "rz-tools" });
  top.append(node("div", { class: "rz-title" }, small.querySelector(".rz-title")?.textContent || ""), tools);
  full.append(top, node("div", { class: "rz-body" }), small.querySelector(".rz-data").cloneNode(true));
  const caption = small.querySelector("figcaption");
  if (caption) full.append(caption.cloneNode(true));
  dialog.append(full);
  document.body.append(dialog);
  dialog.showModal();
  const mounted = enliven(full, false);
  const close = node("button", { type: "button", class: "rz-button", "aria-label": "Close" }, "Close");
  close.addEventListener("click", () => dialog.close());
  tools.append(close);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    hideTip();
    mounted?.stop();
    document.body.append(tip);
    dialog.remove();
    small.focus();
  });
}

function enliveCopy(button) {
  button.addEventListener("click", async () => {
    const code = button.closest(".rz-code").querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code); // no clipboard here: select it for the reader
      button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
      return;
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
}

function enliveTheme(button) {
  const name = () => { button.textContent = themeName() === "dark" ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = themeName() === "dark" ? "light" : "dark";
    name();
    redrawAll();
  });
  preferred.addEventListener("change", name);
  name();
}

function start() {
  const fresh = (selector) => [...document.querySelectorAll(`${selector}:not([data-live])`)];
  const once = (selector, does) => fresh(selector).forEach((item) => { item.dataset.live = ""; does(item); });
  if (!live.isConnected) document.body.append(tip, live);
  once(".rz-fig", (figure) => enliven(figure, figure.classList.contains("rz-compact")));
  once(".rz-copy", enliveCopy);
  once(".rz-theme", enliveTheme);
}

const asked = new URLSearchParams(location.search).get("theme");
if (asked === "dark" || asked === "light") document.documentElement.dataset.theme = asked;
preferred.addEventListener("change", redrawAll);
addEventListener("beforeprint", () => prints.forEach((print) => print())); // lines, not pixels
addEventListener("afterprint", () => document.querySelectorAll(".rz-print").forEach((made) => made.remove()));
window.residuumFigures = start;
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
