// Heat maps: cells from float32 values, labels that never overlap, a colour bar.

const LABEL = 11;

function heatmapChart(data) {
  const values = floats(data.values);
  const rows = data.rows.length, cols = data.cols.length;
  const rowNames = data.rows.map(shownLabel), colNames = data.cols.map(shownLabel);
  const unit = data.unit ? ` ${data.unit}` : "";
  const painted = {};
  const key = data.categories ? categoryKey(data, values) : null;

  const bytesFor = (theme) => (painted[theme.name] ??= key ? key.bytes(theme.name) : paint(values, data, theme.name));

  function layout(width, { compact = false, title = "" } = {}) {
    if (compact) {
      const height = Math.min(width * Math.max(0.4, Math.min(1.4, rows / cols)), width * 1.4);
      return { width, height, compact, x: 0, y: 0, w: width, h: height };
    }
    const rowRoom = Math.min(Math.max(...rowNames.map((n) => measure(n, LABEL))), Math.min(170, width * 0.3));
    const barTicks = key ? [] : ticks(data.low, data.high, rows < 4 ? 2 : 5);
    const barRoom = Math.max(...barTicks.map((t) => measure(number(t), LABEL)));
    const right = key ? 18 + key.width : 18 + 12 + 8 + barRoom + (data.unit ? 20 : 4);
    const colWide = Math.min(Math.max(...colNames.map((n) => measure(n, LABEL))), 120);
    let left = rowRoom + 10 + (data.y ? 20 : 0);
    const least = data.text ? 46 : 2;
    let cell = Math.min(data.text ? 96 : 52, (width - left - right) / cols);
    const turned = colWide > cell - 6;
    if (turned) left = Math.max(left, colWide * 0.71 - cell / 2 + 4);
    cell = Math.max(least, Math.min(cell, (width - left - right) / cols));
    if (cell >= 5) cell = Math.floor(cell);
    const tallest = data.text ? 26 : Math.min(cell, 30), leastTall = Math.min(16, 300 / rows);
    let high = Math.max(tallest, leastTall);
    if (rows * high > 1100 && !data.text) high = Math.max(Math.min(2, 7000 / rows), 1100 / rows);
    if (high >= 5) high = Math.floor(high);
    const top = title ? 36 : 8;
    const below = turned ? colWide * 0.71 + 16 : 22;
    const w = cell * cols, h = high * rows;
    return {
      width: Math.ceil(Math.max(left + w + right, 120)), height: Math.ceil(top + Math.max(h + below + (data.x ? 20 : 2), key ? key.height + 4 : 74 + below + (data.x ? 18 : 0))),
      x: left, y: top, w, h, cell, high, rowRoom, colWide, turned, below, barTicks, right,
    };
  }

  function draw(pen, plan, theme) {
    const bytes = bytesFor(theme);
    pen.cells(plan.x, plan.y, plan.w, plan.h, rows, cols, bytes);
    if (plan.compact) return;
    if (Math.min(plan.cell, plan.high) >= 13) drawGrid(pen, plan, theme);
    if (key) key.hatchCells(pen, (at) => box(plan, at), theme);
    if (data.text) drawText(pen, plan, bytes);
    drawRowNames(pen, plan, theme);
    drawColNames(pen, plan, theme);
    if (key) key.draw(pen, plan.x + plan.w + 18, plan.y, theme);
    else drawBar(pen, plan, theme);
    if (data.x) pen.text(plan.x + plan.w / 2, plan.y + plan.h + plan.below + 8, data.x, theme.faint, { anchor: "middle" });
    if (data.y) pen.text(10, plan.y + plan.h / 2, data.y, theme.faint, { anchor: "middle", turn: -90 });
  }

  function drawGrid(pen, plan, theme) {
    for (let c = 1; c < cols; c++) pen.rect(plan.x + c * plan.cell - 0.5, plan.y, 1, plan.h, theme.paper);
    for (let r = 1; r < rows; r++) pen.rect(plan.x, plan.y + r * plan.high - 0.5, plan.w, 1, theme.paper);
  }

  function drawText(pen, plan, bytes) {
    data.text.forEach((line, r) => line.forEach((text, c) => {
      const shown = ellipsis(shownLabel(text), 10.5, plan.cell - 6);
      const at = 3 * (r * cols + c), ink = inkOn(bytes, at), wide = measure(shown, 10.5) + 6;
      if (key?.hatched(r * cols + c)) pen.rect(plan.x + (c + 0.5) * plan.cell - wide / 2, plan.y + (r + 0.5) * plan.high - 7, wide, 14, hex(bytes, at));
      pen.text(plan.x + (c + 0.5) * plan.cell, plan.y + (r + 0.5) * plan.high, shown, ink, { size: 10.5, anchor: "middle" });
    }));
  }

  function drawRowNames(pen, plan, theme) {
    for (const r of spread(rows, Math.ceil(13 / plan.high))) {
      pen.text(plan.x - 6, plan.y + (r + 0.5) * plan.high, ellipsis(rowNames[r], LABEL, plan.rowRoom), theme.ink, { size: LABEL, anchor: "end" });
    }
  }

  function drawColNames(pen, plan, theme) {
    for (const c of spread(cols, plan.turned ? Math.ceil(18 / plan.cell) : 1)) {
      const x = plan.x + (c + 0.5) * plan.cell, y = plan.y + plan.h;
      const name = ellipsis(colNames[c], LABEL, plan.turned ? 120 : plan.cell);
      if (plan.turned) pen.text(x + 3, y + 8, name, theme.ink, { size: LABEL, anchor: "end", turn: -45 });
      else pen.text(x, y + 12, name, theme.ink, { size: LABEL, anchor: "middle" });
    }
  }

  function drawBar(pen, plan, theme) {
    const x = plan.x + plan.w + 18, tall = Math.max(72, Math.min(plan.h, 460)), steps = 128;
    const ramp = Float32Array.from({ length: steps }, (_, i) => data.high - ((i + 0.5) / steps) * (data.high - data.low));
    pen.cells(x, plan.y, 12, tall, steps, 1, paint(ramp, data, theme.name));
    const spread = data.high - data.low;
    for (const tick of plan.barTicks) {
      const y = plan.y + ((data.high - tick) / spread) * tall;
      pen.line([[x + 12, y], [x + 15, y]], theme.faint);
      pen.text(x + 19, Math.min(Math.max(y, plan.y + 5), plan.y + tall - 5), number(tick), theme.ink, { size: LABEL });
    }
    if (data.unit) pen.text(plan.width - 9, plan.y + tall / 2, ellipsis(data.unit, LABEL, tall), theme.faint, { size: LABEL, anchor: "middle", turn: 90 });
  }

  function probe(plan, x, y) {
    const col = Math.floor(((x - plan.x) / plan.w) * cols), row = Math.floor(((y - plan.y) / plan.h) * rows);
    return row >= 0 && row < rows && col >= 0 && col < cols ? row * cols + col : null;
  }

  function move(at, key) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -cols], End: [0, cols] };
    if (!(key in steps)) return undefined;
    if (at === null) return key === "End" ? cols - 1 : 0;
    const clip = (v, most) => Math.min(Math.max(v, 0), most);
    const row = clip(Math.floor(at / cols) + steps[key][0], rows - 1);
    return row * cols + clip((at % cols) + steps[key][1], cols - 1);
  }

  const box = (plan, at) => {
    const w = plan.w / cols, h = plan.h / rows;
    return [plan.x + (at % cols) * w, plan.y + Math.floor(at / cols) * h, w, h];
  };

  function mark(pen, plan, at, theme) {
    const [x, y, w, h] = box(plan, at);
    pen.area([[plan.x, y], [plan.x + plan.w, y], [plan.x + plan.w, y + h], [plan.x, y + h]], theme.ink, 0.1);
    pen.area([[x, plan.y], [x + w, plan.y], [x + w, plan.y + plan.h], [x, plan.y + plan.h]], theme.ink, 0.1);
    pen.line([[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]], theme.ink, { width: 2 });
  }

  function lines(at) {
    const row = data.rows[Math.floor(at / cols)], col = data.cols[at % cols];
    const value = values[at];
    const sure = () => (key ? key.name(at).replace(/\?$/, ` (${data.unsureName})`) : `${number(value, 5)}${unit}`);
    const shown = Number.isNaN(value) ? "no value possible here" : sure();
    const text = data.text ? [`“${data.text[Math.floor(at / cols)][at % cols]}”`] : [];
    return [shown, ...text, `${data.y || "row"}: ${row}`, `${data.x || "column"}: ${col}`];
  }

  function csv() {
    const head = [`${data.y || "row"} \\ ${data.x || "column"}`, ...data.cols];
    const cell = (r, c) => (key ? key.name(r * cols + c) : exact(values[r * cols + c]));
    return [head, ...data.rows.map((name, r) => [name, ...data.cols.map((_, c) => cell(r, c))])];
  }

  const where = (plan, at) => { const [x, y, w, h] = box(plan, at); return [x + w / 2, y + h / 2]; };
  return { layout, draw, probe, move, mark, where, lines, csv };
}

function paint(values, { scale, low, high }, theme) {
  const stops = PALETTE.stops[scale][theme].map(bytesOf), grey = bytesOf(PALETTE.nan[theme]);
  const bytes = new Uint8Array(3 * values.length), last = stops.length - 1;
  values.forEach((value, i) => {
    if (Number.isNaN(value)) { bytes.set(grey, 3 * i); return; }
    const part = scale === "diverging"
      ? 0.5 + 0.5 * (value < 0 ? value / Math.max(-low, 1e-300) : value / Math.max(high, 1e-300))
      : (value - low) / (high - low);
    const at = Math.min(Math.max(part, 0), 1) * last, lower = Math.min(Math.floor(at), last - 1);
    for (let k = 0; k < 3; k++) {
      bytes[3 * i + k] = Math.round(stops[lower][k] * (1 - at + lower) + stops[lower + 1][k] * (at - lower));
    }
  });
  return bytes;
}

function bytesOf(colour) {
  return [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
}

function inkOn(bytes, at) {
  const [r, g, b] = [0, 1, 2].map((k) => (bytes[at + k] / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.19 ? "#15181c" : "#ffffff";
}
