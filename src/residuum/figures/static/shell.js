// What all figures share: theme, numbers, tooltip, buttons, pointer and keyboard.

const INKS = {
  light: { ink: "#1b1f24", faint: "#626b77", rule: "#e2e5e9", paper: "#ffffff" },
  dark: { ink: "#e8ebef", faint: "#9aa4b1", rule: "#343a43", paper: "#171a1f" },
};
const preferred = matchMedia("(prefers-color-scheme: dark)");
const redraws = new Set();
const prints = new Set();

function themeName() {
  return document.documentElement.dataset.theme || (preferred.matches ? "dark" : "light");
}

function themed(name = themeName()) {
  return { name, ...INKS[name] };
}

function redrawAll() {
  redraws.forEach((redraw) => redraw());
}

function node(tag, attributes = {}, text = "") {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

function floats(encoded) {
  if (encoded === null || encoded === undefined) return null;
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

function number(value, digits = 4) {
  if (Number.isNaN(value)) return "impossible";
  const size = Math.abs(value);
  const text = size !== 0 && (size >= 1e6 || size < 1e-4)
    ? value.toExponential(digits - 2).replace(/\.?0+e/, "e") : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

function ticks(low, high, about) {
  const rough = (high - low) / Math.max(1, about);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((m) => m * power >= rough * 0.999) * power;
  const found = [];
  const first = Math.ceil(low / step - 1e-9);
  for (let k = 0; k < 60 && (first + k) * step <= high + step * 1e-9; k++) {
    found.push(Number(((first + k) * step).toPrecision(12)));
  }
  return found;
}

// Indices to label with a least stride: evenly spaced, the first and the last among them.
function spread(count, stride) {
  if (stride <= 1) return [...Array(count).keys()];
  const shown = [];
  for (let i = 0; i < count - 1; i += stride) shown.push(i);
  while (shown.length > 1 && count - 1 - shown[shown.length - 1] < stride) shown.pop();
  return [...shown, count - 1].filter((i, k, all) => i >= 0 && all.indexOf(i) === k);
}

function shownLabel(label) {
  return label.replace(/\n/g, "⏎").replace(/\t/g, "⇥");
}

const tip = node("div", { class: "rz-tip", role: "presentation", hidden: "" });
const live = node("div", { class: "rz-live", "aria-live": "polite" });

function showTip(host, lines, x, y) {
  const home = host.closest("dialog") || document.body;
  if (tip.parentNode !== home) home.append(tip);
  tip.replaceChildren(...lines.map((line, i) => node("div", i ? {} : { class: "rz-tip-head" }, line)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth - 4 ? x - 14 - box.width : x + 14;
  const top = y + 14 + box.height > innerHeight - 4 ? y - 14 - box.height : y + 14;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

function hideTip() {
  tip.hidden = true;
}

function saveBlob(blob, name) {
  const link = node("a", { download: name });
  link.href = URL.createObjectURL(blob);
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 5000);
}

function fileName(title, suffix) {
  const stem = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return (stem.slice(0, 60) || "figure") + suffix;
}

function csvText(rows) {
  const field = (cell) => /[",\n\r]/.test(cell) ? `"${cell.replace(/"/g, '""')}"` : cell;
  return rows.map((row) => row.map((cell) => field(String(cell))).join(",")).join("\r\n") + "\r\n";
}

const exact = (value) => (Number.isNaN(value) ? "" : Number(value.toPrecision(8)));

function tool(holder, label, does) {
  const button = node("button", { type: "button", class: "rz-button", "aria-label": `Save as ${label}`, title: `Save as ${label}` }, label);
  button.addEventListener("click", does);
  holder.append(button);
}

// A chart: layout(width, options), draw(pen, plan, theme), probe(plan, x, y), move(at, key),
// mark(pen, plan, at, theme), where(plan, at), lines(at), csv().
function mount(figure, chart, { compact = false } = {}) {
  const body = figure.querySelector(".rz-body");
  const title = figure.querySelector(".rz-title")?.textContent || "";
  const stage = node("div", { class: "rz-stage" });
  const base = node("canvas"), over = node("canvas", { class: "rz-over" });
  if (compact) stage.setAttribute("aria-hidden", "true");
  else {
    stage.tabIndex = 0;
    stage.setAttribute("role", "group");
    stage.setAttribute("aria-label", `${figure.getAttribute("aria-label") || title} Arrow keys read the values.`);
  }
  stage.append(base, over);
  body.append(stage);
  let plan = null, at = null;

  function context(canvas) {
    const most = 16000 / Math.max(plan.width, plan.height); // what browsers allow a canvas
    const dense = Math.min(Math.max(2, devicePixelRatio || 1), most);
    canvas.width = Math.round(plan.width * dense);
    canvas.height = Math.round(plan.height * dense);
    canvas.style.width = `${plan.width}px`;
    canvas.style.height = `${plan.height}px`;
    const drawing = canvas.getContext("2d");
    drawing.scale(dense, dense);
    return drawing;
  }
  function redraw() {
    const width = body.clientWidth;
    if (!width) return;
    plan = chart.layout(width, { compact });
    chart.draw(canvasPen(context(base)), plan, themed());
    point(at, null);
  }
  function point(next, event) {
    at = next;
    const drawing = context(over);
    if (at === null) { hideTip(); return; }
    chart.mark(canvasPen(drawing), plan, at, themed());
    if (event === null) return;
    const box = over.getBoundingClientRect();
    const [x, y] = event ? [event.clientX, event.clientY]
      : chart.where(plan, at).map((v, i) => v + (i ? box.top : box.left));
    showTip(figure, chart.lines(at), x, y);
    if (!event) live.textContent = chart.lines(at).join(", ");
  }
  stage.addEventListener("pointermove", (event) => {
    const box = over.getBoundingClientRect();
    point(chart.probe(plan, event.clientX - box.left, event.clientY - box.top), event);
  });
  stage.addEventListener("pointerleave", () => point(null, null));
  stage.addEventListener("blur", () => point(null, null));
  stage.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && at !== null) { point(null, null); event.stopPropagation(); return; }
    const next = chart.move(at, event.key);
    if (next === undefined) return;
    event.preventDefault();
    point(next, undefined);
  });
  if (!compact) addTools(figure, chart, title);
  redraws.add(redraw);
  function print() {
    const sheet = chart.layout(compact ? body.clientWidth || 160 : 680, { compact });
    const pen = svgPen(sheet.width, sheet.height);
    chart.draw(pen, sheet, themed("light"));
    pen.root.setAttribute("class", "rz-print");
    stage.append(pen.root);
  }
  prints.add(print);
  let before = 0;
  new ResizeObserver(() => {
    if (body.clientWidth !== before) { before = body.clientWidth; redraw(); }
  }).observe(body);
  redraw();
  return { redraw, stop: () => { redraws.delete(redraw); prints.delete(print); } };
}

function addTools(figure, chart, title) {
  const holder = figure.querySelector(".rz-tools");
  tool(holder, "PNG", () => {
    const plan = chart.layout(900, { title }), sheet = document.createElement("canvas");
    const dense = Math.min(3, 16000 / Math.max(plan.width, plan.height));
    sheet.width = plan.width * dense;
    sheet.height = plan.height * dense;
    const drawing = sheet.getContext("2d");
    drawing.scale(dense, dense);
    drawSheet(canvasPen(drawing), chart, plan, title);
    sheet.toBlob((blob) => saveBlob(blob, fileName(title, ".png")));
  });
  tool(holder, "SVG", () => {
    saveBlob(new Blob([svgText(chart, title)], { type: "image/svg+xml" }), fileName(title, ".svg"));
  });
  tool(holder, "CSV", () => {
    saveBlob(new Blob([csvText(chart.csv())], { type: "text/csv" }), fileName(title, ".csv"));
  });
}

function svgText(chart, title) {
  const plan = chart.layout(900, { title });
  const pen = svgPen(plan.width, plan.height);
  drawSheet(pen, chart, plan, title);
  return pen.source();
}

function drawSheet(pen, chart, plan, title) {
  const theme = themed("light");
  pen.rect(0, 0, plan.width, plan.height, theme.paper);
  if (title) pen.text(8, 16, ellipsis(title, 14, plan.width - 16), theme.ink, { size: 14, weight: 600 });
  chart.draw(pen, plan, theme);
}
