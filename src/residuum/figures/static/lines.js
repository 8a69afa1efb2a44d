// Line charts: series with bands; the pointer reads all series at one x.

function linesChart(data) {
  const xs = floats(data.xs);
  const series = data.series.map((line) => ({
    name: line.name, y: floats(line.y), lo: floats(line.lo), hi: floats(line.hi), hidden: false,
  }));
  const unit = data.unit ? ` ${data.unit}` : "";
  const logs = { linear: (v) => v, log: (v) => Math.log10(v) };
  const fx = logs[data.xScale], fy = logs[data.yScale];
  const yTitle = data.y && data.unit ? `${data.y} (${data.unit})` : data.y || data.unit;
  const xName = (i) => (data.labels ? data.labels[i] : number(xs[i]));

  function extent() {
    let low = Infinity, high = -Infinity;
    const take = (value) => {
      if (!Number.isFinite(value) || (data.yScale === "log" && value <= 0)) return;
      low = Math.min(low, fy(value));
      high = Math.max(high, fy(value));
    };
    data.guides.forEach((guide) => take(guide.y));
    for (const line of series.filter((s) => !s.hidden)) {
      for (const part of [line.y, line.lo, line.hi]) part?.forEach(take);
    }
    if (low > high) [low, high] = [0, 1];
    const size = Math.max(Math.abs(low), Math.abs(high));
    if (high - low <= 1e-9 * size) { low -= 0.1 * size || 0.5; high += 0.1 * size || 0.5; }
    const pad = (high - low) * 0.06;
    return [low - pad, high + pad];
  }

  function layout(width, { compact = false, title = "" } = {}) {
    const [low, high] = extent();
    const yTicks = data.yScale === "log" ? powers(low, high) : ticks(low, high, compact ? 2 : 5);
    const value = (t) => (data.yScale === "log" ? 10 ** t : t);
    const room = Math.max(...yTicks.map((t) => measure(number(value(t), 3), 11)), 8);
    const least = room + 12 + (yTitle && !compact ? 22 : 0), top = title ? 36 : 10;
    const legend = title && series.length > 1 ? 20 : 0;
    const wide = Math.min(width, 980);
    const spaced = data.labels ? Math.max(...data.labels.map((l) => measure(l, 11))) + 10 : 0;
    const turned = data.labels && (spaced * xs.length > wide - least - 16) && spaced > 34;
    const [before, after] = compact ? [0, 0] : overhang(turned, wide - least - 16);
    const x = Math.max(least, before), w = Math.max(wide - x - Math.max(16, after), 60);
    const below = compact ? 4 : (turned ? Math.min(spaced, 100) * 0.71 + 14 : 24) + (data.x ? 20 : 0);
    const h = compact ? wide * 0.55 : Math.max(190, Math.min(320, wide * 0.42));
    return { width: wide, height: top + legend + h + below, compact, x, y: top + legend, w, h, low, high, yTicks, value, below, legend, turned };
  }

  // Pixels that the first and the last label need beyond their ticks.
  function overhang(turned, w) {
    const names = data.labels ?? xTicks({ x: 0, w, turned }).map(([, name]) => name);
    const [head, tail] = [names[0] ?? "", names[names.length - 1] ?? ""].map((name) => measure(name, 11));
    return turned ? [Math.min(head, 100) * 0.71, 16] : [head / 2, tail / 2 + 2];
  }

  const first = fx(xs[0]), span = Math.max(fx(xs[xs.length - 1]) - first, 1e-12);
  const placeX = (plan, i) => (xs.length === 1 ? plan.x + plan.w / 2 : plan.x + 4 + ((fx(xs[i]) - first) / span) * (plan.w - 8));
  const placeY = (plan, v) => plan.y + ((plan.high - fy(v)) / (plan.high - plan.low)) * plan.h;

  function draw(pen, plan, theme) {
    for (const t of plan.yTicks) {
      const y = plan.y + ((plan.high - t) / (plan.high - plan.low)) * plan.h;
      pen.line([[plan.x, y], [plan.x + plan.w, y]], theme.rule);
      pen.text(plan.x - 7, y, number(plan.value(t), 3), theme.ink, { size: 11, anchor: "end" });
    }
    pen.line([[plan.x, plan.y + plan.h], [plan.x + plan.w, plan.y + plan.h]], theme.faint);
    if (!plan.compact) drawX(pen, plan, theme);
    for (const guide of data.guides) {
      const y = placeY(plan, guide.y);
      pen.line([[plan.x, y], [plan.x + plan.w, y]], theme.faint, { dash: [5, 4] });
      pen.text(plan.x + plan.w - 2, y - 8, guide.label, theme.faint, { size: 11, anchor: "end" });
    }
    series.forEach((line, k) => { if (!line.hidden) drawSeries(pen, plan, line, k, theme); });
    if (yTitle && !plan.compact) pen.text(10, plan.y + plan.h / 2, ellipsis(yTitle, 12, plan.h), theme.faint, { anchor: "middle", turn: -90 });
    if (plan.legend) drawLegend(pen, plan, theme);
  }

  function drawX(pen, plan, theme) {
    const bottom = plan.y + plan.h;
    for (const [x, name] of xTicks(plan)) {
      pen.line([[x, bottom], [x, bottom + 4]], theme.faint);
      if (plan.turned) pen.text(x + 3, bottom + 10, ellipsis(name, 11, 100), theme.ink, { size: 11, anchor: "end", turn: -45 });
      else pen.text(x, bottom + 14, name, theme.ink, { size: 11, anchor: "middle" });
    }
    if (data.x) pen.text(plan.x + plan.w / 2, plan.y + plan.h + plan.below - 9, data.x, theme.faint, { anchor: "middle" });
  }

  function xTicks(plan) {
    if (data.labels) {
      const widest = plan.turned ? 16 : Math.max(...data.labels.map((l) => measure(l, 11))) + 10;
      const step = Math.max(1, Math.ceil((widest * xs.length) / plan.w));
      return spread(xs.length, step).map((i) => [placeX(plan, i), data.labels[i]]);
    }
    const last = first + span;
    const places = data.xScale === "log" ? powers(first, last) : ticks(first, last, Math.max(2, plan.w / 90));
    const value = (t) => (data.xScale === "log" ? 10 ** t : t);
    return places.map((t) => [plan.x + 4 + ((t - first) / span) * (plan.w - 8), number(value(t), 3)]);
  }

  function drawSeries(pen, plan, line, k, theme) {
    const colour = PALETTE.series[theme.name][k % PALETTE.series[theme.name].length];
    const dash = PALETTE.dashes[k % PALETTE.dashes.length];
    for (const run of runs(line.y)) {
      if (line.lo && line.hi) {
        const upper = run.filter((i) => !Number.isNaN(line.hi[i])).map((i) => [placeX(plan, i), placeY(plan, line.hi[i])]);
        const lower = run.filter((i) => !Number.isNaN(line.lo[i])).map((i) => [placeX(plan, i), placeY(plan, line.lo[i])]);
        pen.area([...upper, ...lower.reverse()], colour, 0.17);
      }
      const points = run.map((i) => [placeX(plan, i), placeY(plan, line.y[i])]);
      pen.line(points, colour, { width: 2, dash });
      if (xs.length <= 40) points.forEach(([x, y]) => pen.dot(x, y, plan.compact ? 1.5 : 2.6, colour));
    }
  }

  function drawLegend(pen, plan, theme) {
    let x = plan.x;
    series.forEach((line, k) => {
      if (line.hidden) return;
      const colour = PALETTE.series[theme.name][k % PALETTE.series[theme.name].length];
      const name = ellipsis(line.name, 11, 180);
      pen.line([[x, plan.y - 16], [x + 18, plan.y - 16]], colour, { width: 2, dash: PALETTE.dashes[k % PALETTE.dashes.length] });
      pen.text(x + 23, plan.y - 16, name, theme.ink, { size: 11 });
      x += 40 + measure(name, 11);
    });
  }

  function probe(plan, x, y) {
    if (x < plan.x - 8 || x > plan.x + plan.w + 8 || y < plan.y - 4 || y > plan.y + plan.h + 4) return null;
    let best = 0;
    xs.forEach((_, i) => { if (Math.abs(placeX(plan, i) - x) < Math.abs(placeX(plan, best) - x)) best = i; });
    return best;
  }

  function move(at, key) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -xs.length, End: xs.length };
    if (!(key in steps)) return undefined;
    if (at === null) return key === "End" ? xs.length - 1 : 0;
    return Math.min(Math.max(at + steps[key], 0), xs.length - 1);
  }

  function mark(pen, plan, at, theme) {
    const x = placeX(plan, at);
    pen.line([[x, plan.y], [x, plan.y + plan.h]], theme.faint);
    series.forEach((line, k) => {
      if (line.hidden || Number.isNaN(line.y[at])) return;
      const colours = PALETTE.series[theme.name];
      pen.dot(x, placeY(plan, line.y[at]), 5, theme.paper);
      pen.dot(x, placeY(plan, line.y[at]), 4, colours[k % colours.length]);
    });
  }

  function lines(at) {
    const shown = series.filter((line) => !line.hidden).map((line) => {
      const band = line.lo && line.hi ? ` [${number(line.lo[at])}, ${number(line.hi[at])}]` : "";
      return Number.isNaN(line.y[at]) ? `${line.name}: no value` : `${line.name}: ${number(line.y[at])}${unit}${band}`;
    });
    return [`${data.x || "x"}: ${xName(at)}`, ...shown];
  }

  function csv() {
    const head = [data.x || "x"];
    series.forEach((s) => head.push(s.name, ...(s.lo ? [`${s.name} low`, `${s.name} high`] : [])));
    return [head, ...[...xs.keys()].map((i) => [
      data.labels ? data.labels[i] : exact(xs[i]),
      ...series.flatMap((s) => [exact(s.y[i]), ...(s.lo ? [exact(s.lo[i]), exact(s.hi[i])] : [])]),
    ])];
  }

  const where = (plan, at) => [placeX(plan, at), plan.y + 12];
  return { layout, draw, probe, move, mark, where, lines, csv, series };
}

function powers(low, high) {
  const whole = [];
  for (let k = Math.ceil(low); k <= Math.floor(high); k++) whole.push(k);
  if (whole.length >= 3) return whole.filter((_, i) => i % Math.ceil(whole.length / 8) === 0);
  const finer = [];
  for (let k = Math.floor(low); k <= Math.ceil(high); k++) [1, 2, 5].forEach((m) => finer.push(k + Math.log10(m)));
  const inside = finer.filter((t) => t >= low && t <= high);
  return inside.length >= 2 ? inside : ticks(10 ** low, 10 ** high, 4).map(Math.log10);
}

function runs(values) {
  const found = [[]];
  values.forEach((value, i) => {
    if (Number.isNaN(value)) found.push([]);
    else found[found.length - 1].push(i);
  });
  return found.filter((run) => run.length);
}

function addLegend(figure, chart, redraw) {
  if (chart.series.length < 2) return;
  const holder = node("div", { class: "rz-keys" });
  chart.series.forEach((line, k) => {
    const dash = PALETTE.dashes[k % PALETTE.dashes.length].length ? "dashed" : "solid";
    const button = node("button", { type: "button", class: "rz-key", "aria-pressed": "true", title: "Show or hide this series" });
    const swatch = node("span", { class: "rz-swatch" });
    const colour = (name) => PALETTE.series[name][k % PALETTE.series[name].length];
    swatch.style.cssText = `--l:${colour("light")};--d:${colour("dark")};border-top-style:${dash}`;
    button.append(swatch, node("span", {}, line.name));
    button.addEventListener("click", () => {
      line.hidden = !line.hidden;
      button.setAttribute("aria-pressed", String(!line.hidden));
      redraw();
    });
    holder.append(button);
  });
  figure.querySelector(".rz-body").prepend(holder);
}
