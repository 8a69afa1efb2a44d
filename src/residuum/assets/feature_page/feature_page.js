/* The page of a feature reading: a list of units of which only what is seen is drawn, and one unit
   in full. All text comes out of compressed blocks and is written as text, never as markup. */
(() => {
  "use strict";
  const ROW = 52, $ = (id) => document.getElementById(id);
  const make = (tag, attributes = {}, ...inside) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) node.setAttribute(name, "");
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...inside);
    return node;
  };
  const svg = (tag, attributes, ...inside) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...inside);
    return node;
  };
  const unpack = async (id) => {
    const bytes = Uint8Array.from(atob($(id).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const short = (x) => x == null || Number.isNaN(x) ? "–" : x === 0 ? "0"
    : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(1) : String(Number(x.toPrecision(3)));
  const percent = (x) => x === 0 ? "never" : x < 1e-8 ? `${(100 * x).toExponential(1)} %` : `${Number((100 * x).toPrecision(2)).toFixed(12).replace(/\.?0+$/, "")} %`;
  /* Controls, and what would turn, hide or break the text beside it, are spelled out. */
  const spelled = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const seen = (token) => spelled(JSON.stringify(token));
  const drawn = (token) => token === "" ? "∅" : spelled(token.replace(/\r?\n/g, "↵").replace(/\t/g, "→"));
  const label = (i) => spelled(I.labels[i] || "");

  let I, order = [], chosen = -1, active = 0, asked = 0;
  const cache = new Map(), noun = () => I.noun;
  const Noun = () => I.noun[0].toUpperCase() + I.noun.slice(1);
  const block = (k) => {
    if (!cache.has(k)) {
      if (cache.size >= 12) cache.delete(cache.keys().next().value);
      cache.set(k, unpack(`rf-block-${k}`));
    }
    return cache.get(k);
  };
  const unit = async (i) => (await block(Math.floor(i / I.per_block)))[i % I.per_block];
  const word = (i) => I.tokens[i];

  /* ---- the list ---- */
  const columns = { number: (i) => i, density: (i) => I.density[i], kurtosis: (i) => I.kurtosis[i], largest: (i) => I.largest[i],
    label: (i) => I.labels[i] || "" };
  const matches = (query, where) => {
    const q = query.trim().toLowerCase();
    if (!q) return () => true;
    const number = /^#?\d+$/.test(q) ? Number(q.replace("#", "")) : -1;
    const hit = new Set();
    I.tokens.forEach((token, i) => { if (token.toLowerCase().includes(q)) hit.add(i); });
    const has = (ids) => ids.some((i) => hit.has(i));
    const tests = { label: (i) => (I.labels[i] || "").toLowerCase().includes(q), fires: (i) => has(I.fires[i]), promotes: (i) => has(I.promotes[i]) };
    return where === "all" ? (i) => i === number || tests.label(i) || tests.fires(i) || tests.promotes(i) : tests[where];
  };
  const arrange = () => {
    const test = matches($("rf-search").value, $("rf-where").value), key = columns[$("rf-sort").value];
    const sign = $("rf-way").getAttribute("aria-pressed") === "true" ? -1 : 1;
    const bad = (x) => x === "" || Number.isNaN(x);
    order = [];
    for (let i = 0; i < I.n; i++) if (test(i)) order.push(i);
    order.sort((a, b) => {
      const x = key(a), y = key(b);
      if (bad(x) || bad(y)) return bad(x) - bad(y) || a - b;
      return (x < y ? -sign : x > y ? sign : 0) || a - b;
    });
    $("rf-count").textContent = order.length === I.n ? `${I.n} ${noun()}s` : `${order.length} of ${I.n} ${noun()}s`;
    active = Math.max(0, order.indexOf(chosen));
    $("rf-list").scrollTop = Math.max(0, active * ROW - 2 * ROW);
    draw();
  };
  const item = (place) => {
    const i = order[place], words = I.fires[i].map((t) => drawn(word(t)).trim() || seen(word(t))).join(" · ");
    const by = $("rf-sort").value, shown = by === "kurtosis" ? `kurtosis ${short(I.kurtosis[i])}` : by === "largest" ? `max ${short(I.largest[i])}` : percent(I.density[i]);
    const node = make("div", { class: "rf-item", role: "option", id: `rf-o${i}`, "aria-selected": String(i === chosen), "aria-setsize": order.length, "aria-posinset": place + 1 },
      make("div", {}, make("span", { class: "rf-name" }, make("b", {}, `#${i}`), make("bdi", {}, label(i))), make("span", { class: "rf-num" }, shown)),
      make("div", { class: "rf-words" }, make("span", { class: "rf-words" }, words || (I.largest[i] > 0 ? "" : "never active on this text"))));
    node.style.top = `${place * ROW}px`;
    node.addEventListener("click", () => choose(i, false));
    return node;
  };
  const draw = () => {
    const list = $("rf-list"), fill = $("rf-fill");
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(order.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
    const places = new Set();
    for (let place = first; place < last; place++) places.add(place);
    if (active < order.length) places.add(active);
    fill.style.height = `${order.length * ROW}px`;
    fill.replaceChildren(...[...places].sort((a, b) => a - b).map(item));
    if (active < order.length) list.setAttribute("aria-activedescendant", `rf-o${order[active]}`);
    else list.removeAttribute("aria-activedescendant");
  };
  const choose = (i, ahead) => {
    chosen = i;
    const place = order.indexOf(i), list = $("rf-list");
    if (place >= 0) {
      active = place;
      if (place * ROW < list.scrollTop) list.scrollTop = place * ROW;
      if ((place + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (place + 1) * ROW - list.clientHeight;
    }
    draw();
    history.replaceState(null, "", `#${i}`);
    show(i, ahead);
  };
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

  /* ---- one unit ---- */
  const go = (i) => {
    const button = make("button", { type: "button", class: "rf-go" }, `#${i}`, ...(I.labels[i] ? [" ", make("bdi", {}, label(i))] : []));
    button.addEventListener("click", () => choose(i, true));
    return button;
  };
  const card = (title, ...inside) => make("section", { class: "rf-card" }, make("h3", {}, title), ...inside);
  const table = (caption, heads, rows) => make("table", { "aria-label": caption },
    make("thead", {}, make("tr", {}, ...heads.map((h, c) => make("th", { scope: "col", class: c ? "n" : null }, h === "share of the largest" ? make("span", { class: "rz-unseen" }, h) : h)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell, c) => make("td", { class: c && !(cell instanceof Element && cell.matches(".rf-meter")) ? "n" : null }, cell))))));
  const facts = (i, u) => make("dl", { class: "rf-facts" }, ...[["Active at", `${percent(I.density[i])} of tokens`], ["In", `${percent(u.m[0])} of rows of text`], ["Largest", short(I.largest[i])],
    ["Mean, deviation", `${short(u.m[1])}, ${short(u.m[2])}`], ["Kurtosis", short(I.kurtosis[i])]].map(([k, v]) => make("div", {}, make("dt", {}, k), make("dd", {}, v))));
  const MOMENTS = "Mean and (standard) deviation are over all tokens, those where it is silent included. Kurtosis is the mean fourth power of the distance from the mean, in deviations: 3 for a Gaussian; the rarer and stronger a unit is active, the larger.";
  const histogram = (i, u) => {
    const [counts, edges] = u.h;
    if (!counts.length) return make("p", { class: "rf-note" }, "Never above zero on this text.");
    const W = 480, H = 120, most = Math.max(...counts), w = W / Math.max(counts.length, 12), end = (x) => x == null ? "∞" : short(x);
    const box = svg("svg", { class: "rf-hist", viewBox: `0 0 ${W} ${H + 18}`, role: "img", "aria-label": `Histogram of ${counts.reduce((a, b) => a + b, 0)} activations above zero, from ${end(edges[0])} to ${end(edges.at(-1))}, log scale; numbers below` });
    counts.forEach((count, b) => {
      const h = count ? Math.max(1, H * count / most) : 0;
      box.append(svg("rect", { class: "rf-bar", x: b * w + .5, y: H - h, width: Math.max(1, w - 1), height: h }, svg("title", {}, `${end(edges[b])} to ${end(edges[b + 1])}: ${count} tokens`)));
    });
    box.append(svg("text", { class: "rf-axis", x: 0, y: H + 13 }, end(edges[0])), svg("text", { class: "rf-axis", x: Math.min(W, w * counts.length), y: H + 13, "text-anchor": "end" }, counts.length > 2 ? end(edges.at(-1)) : ""));
    return make("div", {}, box, make("details", {}, make("summary", {}, "Numbers"),
      table("Histogram", ["activation", "tokens"], counts.map((count, b) => [`${end(edges[b])} to ${end(edges[b + 1])}`, String(count)]))));
  };
  const effects = (title, pairs) => {
    const most = Math.max(1e-9, ...pairs.map(([, v]) => Math.abs(v)));
    return card(title, table(title, ["token", "logit a unit", "share of the largest"], pairs.map(([t, v]) => {
      const bar = make("span", { class: `rf-meter${v < 0 ? " neg" : ""}`, "aria-hidden": "true" });
      bar.style.width = `${4 * Math.abs(v) / most}rem`;
      return [make("code", {}, drawn(word(t))), short(v), bar];
    })));
  };
  const tip = make("div", { class: "rz-tip", hidden: true, "aria-hidden": "true" });
  const point = (span) => {
    if (!span) { tip.hidden = true; return; }
    tip.textContent = `${span.dataset.token}  ${span.dataset.value}`;
    tip.hidden = false;
    const at = span.getBoundingClientRect(), own = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(innerWidth - own.width - 4, at.left))}px`;
    tip.style.top = `${at.bottom + 6 + own.height > innerHeight ? at.top - own.height - 6 : at.bottom + 6}px`;
  };
  const example = ([band, at, ids, acts, document_, position], place, top) => {
    const values = new Map(acts), value = (k) => values.has(k) ? values.get(k) : 0;
    const spans = ids.map((id, k) => {
      const v = value(k), text = drawn(word(id));
      const span = make("span", { class: `rf-tok${k === at ? " at" : ""}${v < 0 ? " neg" : ""}${v === null ? " out" : ""}` }, text);
      span.dataset.token = seen(word(id));
      span.dataset.value = v === null ? "left out" : String(v);
      if (v) span.style.setProperty("--p", Math.min(1, Math.abs(v) / top));
      if (v && $("rf-numbers")?.checked) span.append(make("sub", {}, short(v)));
      return span;
    });
    const apart = spans.flatMap((span, k) => {
      const first = span.firstChild, space = /^ +(?=[^ ])/.exec(first.data || "");
      if (!space) return [span];
      first.data = first.data.slice(space[0].length);
      return k ? [space[0], span] : [span];
    });
    const text = make("p", { class: "rf-text", tabindex: "0", role: "group", "aria-label": `Example ${place + 1}: ${value(at)} at ${seen(word(ids[at]))}. Left and right: token by token` }, ...apart);
    let here = -1;
    const move = (k) => {
      spans[here]?.classList.remove("here");
      here = k;
      spans[here]?.classList.add("here");
      point(spans[here]);
      if (spans[here]) $("rf-say").textContent = `${spans[here].dataset.token} ${spans[here].dataset.value}`;
    };
    text.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      move(Math.max(0, Math.min(spans.length - 1, here < 0 ? at : here + step)));
    });
    text.addEventListener("focus", () => { if (text.matches(":focus-visible")) move(at); });
    text.addEventListener("blur", () => move(-1));
    text.addEventListener("pointerover", (event) => point(event.target.closest(".rf-tok")));
    text.addEventListener("pointerleave", () => point(null));
    return make("li", { class: "rf-example" }, make("span", { class: "rf-value" }, short(value(at))), make("div", {}, text,
      make("p", { class: "rf-note rf-place" }, `text ${document_}, token ${position}`)));
  };
  const BANDS = { top: "Strongest", q4: "Strongest quarter of its activations, drawn at random", q3: "Second quarter", q2: "Third quarter", q1: "Weakest quarter" };
  const examples = (i, u) => {
    const top = Math.max(1e-9, ...u.e.flatMap(([, , , acts]) => acts.map(([, v]) => Math.abs(v ?? 0))));
    const out = [];
    for (const [band, title] of Object.entries(BANDS)) {
      const some = u.e.filter((e) => e[0] === band);
      if (some.length) out.push(make("h4", { class: "rf-band" }, title), make("ol", { class: "rf-examples" }, ...some.map((e, k) => example(e, k, top))));
    }
    return out.length ? out : [make("p", { class: "rf-note" }, "No example: it is never above zero on this text.")];
  };
  const show = async (i, ahead) => {
    const turn = ++asked, u = await unit(i);
    if (turn !== asked) return;
    point(null);
    const save = make("button", { type: "button", class: "rz-button" }, "This one as JSON");
    save.addEventListener("click", async () => give(`${noun()}-${i}.json`, [JSON.stringify(full(i, u), null, 1)], "application/json"));
    const values = make("input", { type: "checkbox", id: "rf-numbers", checked: $("rf-numbers")?.checked || false });
    const held = make("div", {}, ...[]);
    const title = make("h2", { tabindex: "-1", id: "rf-title" }, `${Noun()} ${i} `, make("span", {}, make("bdi", {}, label(i))));
    const links = (name, note, heads, rows) => card(name, rows.length ? table(name, heads, rows) : make("p", { class: "rf-note" }, "None found."), make("p", { class: "rf-note" }, note));
    $("rf-detail").replaceChildren(
      make("section", { class: "rf-card" }, make("div", { class: "rf-head" }, title, save), make("div", { class: "rf-two" }, make("div", {}, facts(i, u), make("p", { class: "rf-note" }, MOMENTS)), make("div", {}, make("h3", {}, "Activations above zero (log scale)"), histogram(i, u)))),
      card("Examples", make("div", { class: "rf-legend" }, make("label", { class: "rf-check" }, values, "Values in the text"),
        ...(I.signed ? [make("span", {}, "below zero"), make("span", { class: "rf-ramp neg" })] : []), make("span", { class: "rf-ramp" }), make("span", {}, "0 to the largest shown; the underlined token is the example's own. Texts and tokens of a row are counted from 0")), held),
      make("div", { class: "rf-two" }, ...(u.u.length ? [effects("Promotes, directly", u.u), effects("Suppresses, directly", u.d)] : []),
        links("Often active together", `phi and Jaccard over ${I.company} contexts.`, [noun(), "phi", "Jaccard", "together"], u.p.map(([j, p, s, n]) => [go(j), short(p), short(s), String(n)])),
        links("Writes alike", "Cosine of what they write.", [noun(), "cosine"], u.n.map(([j, c]) => [go(j), short(c)]))));
    held.append(...examples(i, u));
    values.addEventListener("change", () => held.replaceChildren(...examples(i, u)));
    document.title = `${Noun()} ${i} · ${I.title}`;
    if (ahead) title.focus({ preventScroll: false });
  };

  /* ---- files ---- */
  const give = (name, parts, type) => {
    const link = make("a", { href: URL.createObjectURL(new Blob(parts, { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const named = (pairs) => pairs.map(([t, v]) => ({ token: word(t), logit: v }));
  const number = (x) => Number.isFinite(x) ? x : null;
  const full = (i, u) => ({ [noun()]: i, label: I.labels[i] || "", density: number(I.density[i]), density_rows: u.m[0], largest: number(I.largest[i]), mean: u.m[1], deviation: u.m[2], kurtosis: number(I.kurtosis[i]),
    examples: u.e.map(([band, at, ids, acts, document_, position]) => { const v = new Map(acts); return { band, at, document: document_, position, tokens: ids.map(word), activations: ids.map((_, k) => v.has(k) ? v.get(k) : 0) }; }),
    histogram: { counts: u.h[0], edges: u.h[1] }, promotes: named(u.u), suppresses: named(u.d),
    partners: u.p.map(([j, phi, jaccard, together]) => ({ [noun()]: j, phi, jaccard, together })), neighbours: u.n.map(([j, cosine]) => ({ [noun()]: j, cosine })) });
  const allJson = async () => {
    const parts = [`{"title":${JSON.stringify(I.title)},"record":${JSON.stringify(I.record)},"${noun()}s":[`];
    for (let k = 0; k * I.per_block < I.n; k++) {
      const some = await unpack(`rf-block-${k}`);
      parts.push((k ? "," : "") + some.map((u, j) => JSON.stringify(full(k * I.per_block + j, u))).join(","));
    }
    give("features.json", [...parts, "]}"], "application/json");
  };
  const cell = (x) => {
    const text = String(x), safe = /^[=+\-@\t\r]/.test(text) && typeof x !== "number" ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  const csv = () => {
    const rows = [[noun(), "label", "density", "kurtosis", "largest", "fires_on", "promotes"].join(",")];
    for (const i of order) rows.push([i, I.labels[i] || "", I.density[i], I.kurtosis[i], I.largest[i], I.fires[i].map((t) => seen(word(t))).join(" "), I.promotes[i].map((t) => seen(word(t))).join(" ")].map(cell).join(","));
    give("features.csv", [rows.join("\n"), "\n"], "text/csv");
  };

  const start = async () => {
    I = await unpack("rf-index");
    for (const name of ["density", "kurtosis", "largest"]) I[name] = floats(I[name]);
    document.body.append(tip);
    const list = $("rf-list");
    let waiting = 0;
    list.addEventListener("scroll", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(draw); });
    new ResizeObserver(draw).observe(list);
    list.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (event.key === "Enter") { event.preventDefault(); if (order.length) choose(order[active], true); return; }
      if (step === undefined || !order.length) return;
      event.preventDefault();
      choose(order[Math.max(0, Math.min(order.length - 1, active + step))], false);
    });
    for (const id of ["rf-search", "rf-where", "rf-sort"]) $(id).addEventListener("input", () => { if (id === "rf-sort") way($("rf-sort").value !== "number" && $("rf-sort").value !== "label"); arrange(); });
    const way = (down) => { $("rf-way").setAttribute("aria-pressed", String(down)); $("rf-way").textContent = down ? "↓" : "↑"; };
    $("rf-way").addEventListener("click", () => { way($("rf-way").getAttribute("aria-pressed") !== "true"); arrange(); });
    $("rf-json").addEventListener("click", allJson);
    $("rf-csv").addEventListener("click", csv);
    const asked = () => { const i = Number(location.hash.slice(1)); return location.hash.length > 1 && Number.isInteger(i) && i >= 0 && i < I.n ? i : -1; };
    addEventListener("hashchange", () => { if (asked() >= 0 && asked() !== chosen) choose(asked(), true); });
    arrange();
    const first = asked();
    if (first >= 0) { chosen = first; arrange(); }
    if (order.length) choose(first >= 0 ? first : order[0], false);
    document.querySelector(".rf").setAttribute("data-ready", "");
    performance.mark("rf-ready");
  };
  start().catch((error) => {
    $("rf-detail").replaceChildren(make("p", { role: "alert" }, typeof DecompressionStream === "undefined"
      ? "This browser cannot unpack the page (it lacks DecompressionStream); open it in a newer one." : `The page is damaged: ${error.message}`));
  });
})();
