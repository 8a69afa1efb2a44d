// Bars: horizontal, coloured by sign, whiskers for intervals.

function barsChart(data) {
  const values = floats(data.values), lo = floats(data.lo), hi = floats(data.hi);
  const names = data.names.map(shownLabel), count = names.length;
  const unit = data.unit ? ` ${data.unit}` : "";
  const xTitle = data.x && data.unit ? `${data.x} (${data.unit})` : data.x || data.unit;

  function layout(width, { compact = false, title = "" } = {}) {
    const wide = Math.min(width, 820), top = title ? 36 : 4;
    const nameRoom = compact ? 0 : Math.min(Math.max(...names.map((n) => measure(n, 11.5))), wide * 0.36);
    const valueRoom = compact ? 0 : Math.max(...Array.from(values, (v) => measure(shown(v), 11.5))) + 12;
    const ends = [0, ...values, ...(lo || []), ...(hi || [])].filter(Number.isFinite);
    let low = Math.min(...ends), high = Math.max(...ends);
    if (high === low) high = low + 1;
    const x = nameRoom + (compact ? 0 : 12), w = wide - x - valueRoom - (compact ? 0 : 8);
    const row = compact ? Math.max(2, Math.min(12, (wide * 0.6) / count)) : count <= 72 ? 22 : Math.max(3, 1600 / count);
    const below = compact ? 2 : 24 + (xTitle ? 20 : 0);
    return { width: wide, height: top + row * count + below, compact, x, y: top, w, h: row * count, row, low, high, nameRoom, below };
  }

  const shown = (v) => (Number.isNaN(v) ? "no value" : number(v, 3));
  const placeX = (plan, v) => plan.x + ((v - plan.low) / (plan.high - plan.low)) * plan.w;

  function draw(pen, plan, theme) {
    if (!plan.compact) drawAxis(pen, plan, theme);
    const zero = placeX(plan, 0);
    values.forEach((value, i) => {
      const y = plan.y + i * plan.row, middle = y + plan.row / 2;
      if (!Number.isNaN(value)) {
        const end = placeX(plan, value), colour = (value >= 0 ? PALETTE.positive : PALETTE.negative)[theme.name];
        pen.rect(Math.min(zero, end), y + plan.row * 0.15, Math.max(Math.abs(end - zero), 0.5), plan.row * 0.7, colour);
      }
      if (lo && hi && !Number.isNaN(lo[i]) && !plan.compact) drawWhisker(pen, placeX(plan, lo[i]), placeX(plan, hi[i]), middle, theme);
      if (plan.compact || i % Math.ceil(13 / plan.row)) return;
      pen.text(plan.x - 8, middle, ellipsis(names[i], 11.5, plan.nameRoom), theme.ink, { size: 11.5, anchor: "end" });
      pen.text(plan.width - 2, middle, shown(value), theme.faint, { size: 11.5, anchor: "end" });
    });
    pen.line([[zero, plan.y], [zero, plan.y + plan.h]], theme.faint);
  }

  function drawWhisker(pen, left, right, y, theme) {
    for (const [colour, width] of [[theme.paper, 3.4], [theme.ink, 1.4]]) {
      pen.line([[left, y], [right, y]], colour, { width });
      for (const x of [left, right]) pen.line([[x, y - 3.5], [x, y + 3.5]], colour, { width });
    }
  }

  function drawAxis(pen, plan, theme) {
    for (const tick of ticks(plan.low, plan.high, Math.max(2, plan.w / 90))) {
      const x = placeX(plan, tick);
      pen.line([[x, plan.y], [x, plan.y + plan.h]], theme.rule);
      pen.text(x, plan.y + plan.h + 12, number(tick), theme.ink, { size: 11, anchor: "middle" });
    }
    if (xTitle) pen.text(plan.x + plan.w / 2, plan.y + plan.h + plan.below - 10, xTitle, theme.faint, { anchor: "middle" });
  }

  function probe(plan, x, y) {
    const at = Math.floor((y - plan.y) / plan.row);
    return at >= 0 && at < count ? at : null;
  }

  function move(at, key) {
    const steps = { ArrowUp: -1, ArrowDown: 1, Home: -count, End: count };
    if (!(key in steps)) return undefined;
    if (at === null) return key === "End" ? count - 1 : 0;
    return Math.min(Math.max(at + steps[key], 0), count - 1);
  }

  function mark(pen, plan, at, theme) {
    const y = plan.y + at * plan.row;
    pen.area([[0, y], [plan.width, y], [plan.width, y + plan.row], [0, y + plan.row]], theme.ink, 0.07);
  }

  function lines(at) {
    const band = lo && hi && !Number.isNaN(lo[at]) ? [`interval [${number(lo[at])}, ${number(hi[at])}]`] : [];
    const value = Number.isNaN(values[at]) ? "no value" : `${number(values[at], 5)}${unit}`;
    return [data.names[at], value, ...band];
  }

  function csv() {
    const head = ["name", data.unit || "value", ...(lo ? ["low", "high"] : [])];
    return [head, ...data.names.map((name, i) => [name, exact(values[i]), ...(lo ? [exact(lo[i]), exact(hi[i])] : [])])];
  }

  const where = (plan, at) => [placeX(plan, Math.max(0, values[at] || 0)), plan.y + (at + 0.5) * plan.row];
  return { layout, draw, probe, move, mark, where, lines, csv };
}
