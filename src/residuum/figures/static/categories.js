// Maps of names: cells by category, hatched where it is not sure, a key instead of a colour bar.

function categoryKey(data, values) {
  const unsure = (data.unsure ?? []).flat();
  const name = (i) => (Number.isNaN(values[i]) ? "" : data.categories[values[i]] + (unsure[i] ? "?" : ""));
  const entries = data.categories.map((text, index) => ({ text, index })).filter(({ index }) => values.includes(index));
  if (unsure.some(Boolean)) entries.push({ text: data.unsureName, index: null });
  const room = Math.min(Math.max(...entries.map(({ text }) => measure(text, LABEL)), 20), 170);

  function bytes(theme) {
    const stops = PALETTE.categories[theme].map(bytesOf), grey = bytesOf(PALETTE.nan[theme]);
    const out = new Uint8Array(3 * values.length);
    values.forEach((value, i) => {
      const full = Number.isNaN(value) ? grey : stops[value], keep = unsure[i] ? PALETTE.tint : 1;
      out.set(full.map((part, k) => Math.round(keep * part + (1 - keep) * stops[0][k])), 3 * i);
    });
    return out;
  }

  function hatchCells(pen, box, theme) {
    values.forEach((value, i) => {
      if (unsure[i]) hatch(pen, box(i), PALETTE.categories[theme.name][value]);
    });
  }

  function draw(pen, x, y, theme) {
    entries.forEach(({ text, index }, k) => {
      const top = y + 18 * k, box = [x, top + 2, 20, 13];
      if (index === null) hatch(pen, box, theme.faint, 4);
      else pen.rect(...box, PALETTE.categories[theme.name][index]);
      pen.line([[x, top + 2], [x + 20, top + 2], [x + 20, top + 15], [x, top + 15], [x, top + 2]], theme.rule);
      pen.text(x + 27, top + 9, ellipsis(text, LABEL, room), theme.ink, { size: LABEL });
    });
  }

  const hatched = (i) => Boolean(unsure[i]);
  return { bytes, hatched, hatchCells, draw, name, width: 27 + room + 6, height: 18 * entries.length };
}

// Lines from bottom left to top right, cut at the box's edges.
function hatch(pen, [x, y, w, h], colour, step = 7) {
  for (let d = step / 2; d < w + h; d += step) {
    const from = [Math.max(d - h, 0), Math.min(d, h)], to = [Math.min(d, w), Math.max(d - w, 0)];
    pen.line([[x + from[0], y + from[1]], [x + to[0], y + to[1]]], colour);
  }
}
