"use strict";
(() => {
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const NS = "http://www.w3.org/2000/svg";
const LETTERS = "ABCDEFGHIJ";
const byNumber = new Map(DATA.designs.map(d => [d.n, d]));
const onFront = new Set(DATA.front);
const columns = DATA.columns, objectives = columns.filter(c => c.objective);
const column = id => columns.findIndex(c => c.id === id);
const state = { off: new Set(), limits: new Map(), frontOnly: false, pins: [], sort: null, view: {} };

// ---- small tools
const fmt = v => v === null || v === undefined ? "–" : typeof v !== "number" ? String(v) : v === 0 ? "0"
  : Number.isInteger(v) && Math.abs(v) < 1e7 ? String(v)
  : Math.abs(v) >= 1e7 || Math.abs(v) < 1e-3 ? v.toExponential(3) : String(+v.toPrecision(4));
const el = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children); return node;
};
const svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS(NS, tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null) node.setAttribute(key, value);
  }
  node.append(...children); return node;
};
const colour = unit => `var(--u${unit % 12})`;
const SHAPES = [
  r => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`, r => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  r => `M0,${-1.3 * r}L${1.2 * r},${r}H${-1.2 * r}z`, r => `M0,${-1.4 * r}L${1.4 * r},0L0,${1.4 * r}L${-1.4 * r},0z`,
  r => `M0,${1.3 * r}L${1.2 * r},${-r}H${-1.2 * r}z`, r => `M${-r},${-r / 3}h${2 * r / 3}v${-r}h${2 * r / 3}v${r}h${2 * r / 3}v${2 * r / 3}h${-2 * r / 3}v${r}h${-2 * r / 3}v${-r}h${-2 * r / 3}z`,
];
const shape = (unit, r) => SHAPES[unit % SHAPES.length](r);
const save = (name, type, text) => {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const tip = $("tip");
const hint = (event, text) => {
  tip.textContent = text; tip.hidden = false;
  const box = event.target.getBoundingClientRect(), x = event.clientX || box.right, y = event.clientY || box.bottom;
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = Math.max(4, Math.min(y + 14, innerHeight - tip.offsetHeight - 8)) + "px";
};
const unhint = () => { tip.hidden = true; };
const described = d => `${d.name} — ` + objectives.map(c => `${c.label} ${fmt(d.v[column(c.id)])}`).join(", ");
const factor = (d, c) => columns[c].error ? d.e[columns[c].error] : null;
const chance = (a, b, c) => { // that a is really better than b, per cent; null where unknown
  const basis = columns[c].error, { order } = DATA.chances, i = order.indexOf(a.n), j = order.indexOf(b.n);
  return basis && DATA.chances[basis] && i >= 0 && j >= 0 && ["energy_uj", "area_mm2"].includes(columns[c].id)
    ? DATA.chances[basis][i][j] : null;
};
const better = (c, a, b) => columns[c].goal === "max" ? a > b : a < b;

// ---- axes: measures by value, knobs by the place of their value
const knobValues = DATA.knobs.map((_, k) => {
  const seen = [...new Set(DATA.designs.map(d => d.k[k]).filter(v => v !== null))];
  return seen.every(v => typeof v === "number") ? seen.sort((a, b) => a - b) : seen.sort();
});
const at = (d, key) => key[0] === "c" ? d.v[+key.slice(1)] : (p => p < 0 ? null : p)(knobValues[+key.slice(1)].indexOf(d.k[+key.slice(1)]));
const keeps = d => !state.off.has(d.unit) && (!state.frontOnly || onFront.has(d.n))
  && [...state.limits].every(([key, [low, high]]) => { const v = at(d, key); return v !== null && v >= low && v <= high; });
const shown = () => DATA.designs.filter(keeps);
const limit = (key, low, high) => { low === -Infinity && high === Infinity ? state.limits.delete(key) : state.limits.set(key, [low, high]); };

function ticks(low, high, log, most) {
  if (log) {
    const found = [];
    for (const subs of [[1, 2, 5], [1, 3], [1]]) {
      found.length = 0;
      for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
        for (const s of subs) { const v = +(s * 10 ** e).toPrecision(3); if (v >= low && v <= high) found.push(v); }
      if (found.length <= most) break;
    }
    if (found.length > 1) return found;
  }
  const rough = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(s => s * power).find(s => s >= rough), found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) found.push(+v.toPrecision(10));
  return found;
}

// ---- Pareto view
function frame(c, points, log) { // the range of an axis; a metric's is cut where designs are useless
  let values = points.map(d => d.v[c]).filter(v => v !== null && (!log || v > 0));
  if (columns[c].id === DATA.metric) {
    if (DATA.baseline !== null) values.push(DATA.baseline);
    if (!$("whole").checked && values.length > 8) {
      const sorted = [...values].sort((a, b) => columns[c].goal === "max" ? b - a : a - b);
      const worst = sorted[Math.floor(0.85 * (sorted.length - 1))];
      const cut = values.filter(v => !better(c, worst, v));
      const front = points.filter(d => onFront.has(d.n)).map(d => d.v[c]);
      values = [...cut, ...front.filter(v => !better(c, worst + (worst - sorted[0]), v))];
    }
  }
  values.push(...DATA.machines.map(m => m.v[c]).filter(v => v !== null && (!log || v > 0)));
  let low = Math.min(...values), high = Math.max(...values);
  if (!values.length) [low, high] = [log ? 1 : 0, log ? 10 : 1];
  if (log) { const room = (high / low) ** 0.05 || 1.1; return [low / Math.max(room, 1.02), high * Math.max(room, 1.02)]; }
  const room = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1; return [low - room, high + room];
}
function drawPlot() {
  const host = $("plot"), x = +$("x").value, y = +$("y").value, xlog = $("xlog").checked, ylog = $("ylog").checked;
  const width = Math.max(280, host.clientWidth), height = Math.max(300, Math.min(600, width * 0.8));
  const pad = { left: 62, right: 14, top: 14, bottom: 46 }, points = shown();
  const [x0, x1] = frame(x, points, xlog), [y0, y1] = frame(y, points, ylog);
  const scale = (low, high, log, from, to) => log
    ? v => from + (to - from) * Math.log(v / low) / Math.log(high / low) : v => from + (to - from) * (v - low) / (high - low);
  const back = (low, high, log, from, to) => p => { const t = (p - from) / (to - from); return log ? low * (high / low) ** t : low + t * (high - low); };
  const X = scale(x0, x1, xlog, pad.left, width - pad.right), Y = scale(y0, y1, ylog, height - pad.bottom, pad.top);
  const clamp = (v, a, b) => Math.max(a, Math.min(b, v));
  const inside = d => d.v[x] !== null && d.v[y] !== null && d.v[x] >= x0 && d.v[x] <= x1 && d.v[y] >= y0 && d.v[y] <= y1;
  const root = svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": `${points.length} designs: ${columns[y].label} over ${columns[x].label}` });
  const axes = svg("g", { class: "axis", "aria-hidden": "true" });
  for (const v of ticks(x0, x1, xlog, Math.floor(width / 75))) axes.append(svg("line", { x1: X(v), x2: X(v), y1: pad.top, y2: height - pad.bottom }), svg("text", { x: X(v), y: height - pad.bottom + 17, "text-anchor": "middle" }, fmt(v)));
  for (const v of ticks(y0, y1, ylog, 8)) axes.append(svg("line", { x1: pad.left, x2: width - pad.right, y1: Y(v), y2: Y(v) }), svg("text", { x: pad.left - 6, y: Y(v) + 4, "text-anchor": "end" }, fmt(v)));
  axes.append(svg("text", { class: "name", x: (pad.left + width - pad.right) / 2, y: height - 8, "text-anchor": "middle" }, columns[x].label),
    svg("text", { class: "name", transform: `translate(14,${(pad.top + height - pad.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, columns[y].label));
  root.append(axes);
  const ground = svg("rect", { x: pad.left, y: pad.top, width: width - pad.left - pad.right, height: height - pad.top - pad.bottom, fill: "transparent", id: "ground" });
  root.append(ground);
  if (DATA.baseline !== null) for (const [c, low, high] of [[y, y0, y1], [x, x0, x1]]) {
    if (columns[c].id !== DATA.metric || DATA.baseline < low || DATA.baseline > high) continue;
    const up = c === y, place = up ? Y(DATA.baseline) : X(DATA.baseline);
    root.append(svg("line", { class: "reference", x1: up ? pad.left : place, x2: up ? width - pad.right : place, y1: up ? place : pad.top, y2: up ? place : height - pad.bottom }),
      svg("text", { x: up ? width - pad.right - 4 : place + 4, y: up ? place - 5 : pad.top + 10, "text-anchor": up ? "end" : "start", class: "halo" }, `float32 ${fmt(DATA.baseline)}`));
  }
  for (const m of DATA.machines.filter(inside)) {
    const px = X(m.v[x]), py = Y(m.v[y]);
    root.append(svg("path", { class: "machine", d: `M${px},${py - 6}l6,6l-6,6l-6,-6z` }),
      svg("text", { class: "halo", x: px + 9, y: py + 4 }, m.name));
  }
  let best = null, path = ""; // the front of the two axes
  const order = points.filter(inside).sort((a, b) => (better(x, a.v[x], b.v[x]) ? -1 : a.v[x] === b.v[x] ? (better(y, a.v[y], b.v[y]) ? -1 : 1) : 1));
  for (const d of order) if (best === null || better(y, d.v[y], best)) { path += best === null ? `M${X(d.v[x])},${Y(d.v[y])}` : `H${X(d.v[x])}V${Y(d.v[y])}`; best = d.v[y]; }
  if (path) root.append(svg("path", { class: "stairs", d: path }));
  const walk = points.filter(d => onFront.has(d.n) && inside(d)).sort((a, b) => a.v[x] - b.v[x]);
  const marks = svg("g"), errors = svg("g", { "aria-hidden": "true" });
  const drawn = [...points.filter(d => !onFront.has(d.n) && inside(d)), ...walk];
  for (const d of drawn) {
    const front = onFront.has(d.n), pinned = state.pins.includes(d.n), px = X(d.v[x]), py = Y(d.v[y]);
    if (pinned || front && $("errors").checked) {
      const fx = factor(d, x), fy = factor(d, y);
      if (fx) errors.append(svg("line", { class: "error", stroke: colour(d.unit), x1: clamp(X(d.v[x] / fx), pad.left, width - pad.right), x2: clamp(X(d.v[x] * fx), pad.left, width - pad.right), y1: py, y2: py }));
      if (fy) errors.append(svg("line", { class: "error", stroke: colour(d.unit), x1: px, x2: px, y1: clamp(Y(d.v[y] / fy), pad.top, height - pad.bottom), y2: clamp(Y(d.v[y] * fy), pad.top, height - pad.bottom) }));
    }
    const first = walk[0] === d;
    marks.append(svg("path", {
      class: `mark ${front ? "on" : "off"}${pinned ? " pin" : ""}`, d: shape(d.unit, front ? 5.5 : 3), transform: `translate(${px.toFixed(1)},${py.toFixed(1)})`, fill: colour(d.unit), "data-n": d.n,
      ...(front ? { role: "button", tabindex: first ? 0 : -1, "aria-label": described(d), "aria-pressed": String(pinned) } : { "aria-hidden": "true" }),
      onpointermove: event => hint(event, described(d)), onpointerleave: unhint, onfocus: event => hint(event, described(d)), onblur: unhint,
      onclick: () => pin(d.n),
      onkeydown: event => {
        const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
        if (step) { event.preventDefault(); const next = walk[clamp(walk.indexOf(d) + step, 0, walk.length - 1)]; marks.querySelector(`[data-n="${next.n}"]`).focus(); }
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pin(d.n); $("plot").querySelector(`[data-n="${d.n}"]`)?.focus(); }
        if (event.key === "Escape") { state.pins = []; draw(); }
      },
    }));
  }
  root.append(errors, marks);
  const taken = new Map();
  DATA.picks.forEach(([title, number], index) => {
    const d = byNumber.get(number);
    if (!d || !keeps(d) || !inside(d)) return;
    const nth = taken.get(number) || 0; taken.set(number, nth + 1);
    root.append(svg("g", { class: "letter", transform: `translate(${clamp(X(d.v[x]) + 8 + 17 * nth, 0, width - 16)},${clamp(Y(d.v[y]) - 20, 0, height)})`, "pointer-events": "none", "aria-hidden": "true" }, svg("rect", { width: 15, height: 15, rx: 3 }), svg("text", { x: 7.5, y: 11.5, "text-anchor": "middle" }, LETTERS[index])));
  });
  const beyond = points.length - drawn.length;
  if (beyond) root.append(svg("text", { class: "halo", x: pad.left + 6, y: pad.top + 12 }, `${beyond} beyond the frame`));
  let from = null, box = null;
  const where = event => { const r = root.getBoundingClientRect(); return [(event.clientX - r.left) * width / r.width, (event.clientY - r.top) * height / r.height]; };
  ground.addEventListener("pointerdown", event => { from = where(event); ground.setPointerCapture(event.pointerId); box = svg("rect", { class: "brush" }); root.append(box); });
  ground.addEventListener("pointermove", event => {
    if (!from) return; const [px, py] = where(event);
    for (const [key, value] of Object.entries({ x: Math.min(px, from[0]), y: Math.min(py, from[1]), width: Math.abs(px - from[0]), height: Math.abs(py - from[1]) })) box.setAttribute(key, value);
  });
  ground.addEventListener("pointerup", event => {
    if (!from) return; const [px, py] = where(event), [qx, qy] = from; from = null; box.remove();
    if (Math.abs(px - qx) < 5 || Math.abs(py - qy) < 5) return;
    const bx = back(x0, x1, xlog, pad.left, width - pad.right), by = back(y0, y1, ylog, height - pad.bottom, pad.top), round = v => +v.toPrecision(4);
    limit("c" + x, round(Math.min(bx(px), bx(qx))), round(Math.max(bx(px), bx(qx))));
    limit("c" + y, round(Math.min(by(py), by(qy))), round(Math.max(by(py), by(qy)))); draw();
  });
  host.replaceChildren(root);
}
function pin(number) {
  state.pins = state.pins.includes(number) ? state.pins.filter(n => n !== number) : [...state.pins, number].slice(-2);
  draw();
}

// ---- comparison of two designs
function drawCompare() {
  const [a, b] = state.pins.map(n => byNumber.get(n)), only = $("differing").checked, host = $("compare");
  for (const [id, d] of [["pina", a], ["pinb", b]]) {
    const select = $(id); const wanted = d ? String(d.n) : "";
    if (d && ![...select.options].some(o => o.value === wanted)) select.append(el("option", { value: wanted }, d.name));
    select.value = wanted;
  }
  if (!a) { host.replaceChildren(el("p", { class: "note", style: "padding:12px" }, "Pin a design to see its knobs, two to compare them.")); return; }
  const rows = [], row = (name, ...cells) => rows.push(el("tr", {}, el("th", { scope: "row", class: "text" }, name), ...cells));
  const head = text => rows.push(el("tr", {}, el("th", { scope: "colgroup", class: "text", colspan: b ? 5 : 2 }, el("b", {}, text))));
  const cell = (text, cls) => el("td", cls ? { class: cls } : {}, text);
  const ratio = (p, q) => p && q !== undefined && q !== null ? "×" + fmt(+(q / p).toPrecision(3)) : "–";
  head("measures");
  columns.forEach((c, i) => {
    const p = a.v[i], q = b?.v[i];
    if (!b) { row(c.label, cell(fmt(p) + (factor(a, i) ? ` ×/÷${factor(a, i).toFixed(2)}` : ""))); return; }
    if (only && p === q) return;
    const sure = chance(a, b, i);
    row(c.label, cell(fmt(p), better(i, p, q) ? "better" : ""), cell(fmt(q), better(i, q, p) ? "better" : ""), cell(ratio(p, q)), cell(sure === null ? "" : `${sure} %`));
  });
  head("knobs");
  DATA.knobs.forEach((name, k) => { if (b ? (!only || a.k[k] !== b.k[k]) && (a.k[k] !== null || b.k[k] !== null) : a.k[k] !== null) row(name, cell(fmt(a.k[k])), ...(b ? [cell(fmt(b.k[k])), cell(""), cell("")] : [])); });
  for (const [what, title] of [["energy", "energy, µJ"], ["area", "area, mm²"]]) {
    const p = DATA.parts[a.n]?.[what], q = b ? DATA.parts[b.n]?.[what] : null;
    if (!p || b && !q) continue;
    head(title + " by component");
    const names = [...new Set([...Object.keys(p), ...Object.keys(q || {})])].sort((m, n) => Math.abs((q?.[n] ?? 0) - (q ? p[n] ?? 0 : -(p[n] ?? 0))) - Math.abs((q?.[m] ?? 0) - (q ? p[m] ?? 0 : -(p[m] ?? 0))));
    for (const name of names) row(name, cell(fmt(p[name] ?? 0)), ...(b ? [cell(fmt(q[name] ?? 0)), cell(ratio(p[name], q[name] ?? 0)), cell("")] : []));
  }
  host.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, el("td", {}), el("th", { scope: "col" }, `#${a.n}`), ...(b ? [el("th", { scope: "col" }, `#${b.n}`), el("th", { scope: "col" }, "ratio"), el("th", { scope: "col" }, `#${a.n} is better`)] : []))), el("tbody", {}, ...rows)));
}

// ---- parallel coordinates
function drawLines() {
  const host = $("lines"), varied = DATA.knobs.map((_, k) => k).filter(k => knobValues[k].length > 1);
  const knobs = $("allknobs").checked ? varied : varied.slice(0, 0).concat(["unit", "rows", "cols", "dataflow", "clock_ghz", "voltage", "stages"].map(n => DATA.knobs.indexOf(n)).filter(k => varied.includes(k)));
  const keys = [...(knobs.length ? knobs : varied.slice(0, 8)).map(k => "k" + k), ...objectives.map(c => "c" + column(c.id))];
  const gap = Math.max(96, (host.parentElement.clientWidth - 150) / Math.max(1, keys.length - 1)), width = 70 + gap * (keys.length - 1) + 80, height = 330, top = 34, bottom = 306;
  const points = shown(), root = svg("svg", { class: "plot parallel", viewBox: `0 0 ${width} ${height}`, width, height, style: `max-width:none;width:${width}px`, role: "group", "aria-label": "Parallel coordinates of the designs kept" });
  const scales = keys.map(key => {
    const index = +key.slice(1);
    if (key[0] === "k") { const n = knobValues[index].length; return { name: DATA.knobs[index], pos: v => n < 2 ? (top + bottom) / 2 : bottom - (bottom - top) * v / (n - 1), back: p => (bottom - p) / (bottom - top) * (n - 1), marks: knobValues[index].map((v, i) => [i, fmt(v)]) }; }
    const values = DATA.designs.map(d => d.v[index]).filter(v => v !== null), metric = columns[index].id === DATA.metric;
    let [low, high] = metric ? frame(index, DATA.designs, false) : [Math.min(...values), Math.max(...values)];
    const log = !metric && low > 0 && high / low > 5, flip = columns[index].goal !== "max", t = v => log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low || 1);
    const pos = v => { const u = Math.max(0, Math.min(1, t(v))); return flip ? top + (bottom - top) * u : bottom - (bottom - top) * u; };
    return { name: columns[index].label.split(",")[0], pos, back: p => { const u = flip ? (p - top) / (bottom - top) : (bottom - p) / (bottom - top); return log ? low * (high / low) ** u : low + u * (high - low); }, marks: ticks(low, high, log, 6).map(v => [v, fmt(v)]) };
  });
  const lines = svg("g", { "aria-hidden": "true" });
  for (const d of [...points].sort((a, b) => state.pins.includes(a.n) - state.pins.includes(b.n))) {
    let path = "", pen = "M";
    keys.forEach((key, i) => { const v = at(d, key); if (v === null) { pen = "M"; return; } path += `${pen}${(70 + gap * i).toFixed(1)},${scales[i].pos(v).toFixed(1)}`; pen = "L"; });
    lines.append(svg("path", { d: path, stroke: colour(d.unit), class: state.pins.includes(d.n) ? "pin" : "", style: onFront.has(d.n) || state.pins.includes(d.n) ? "" : "stroke-opacity:.14", onpointermove: event => hint(event, described(d)), onpointerleave: unhint, onclick: () => pin(d.n) }));
  }
  root.append(lines);
  keys.forEach((key, i) => {
    const x = 70 + gap * i, s = scales[i], group = svg("g", { class: "axis" });
    group.append(svg("text", { class: "axisname", x, y: 16, "text-anchor": "middle" }, s.name), svg("line", { x1: x, x2: x, y1: top, y2: bottom, style: "stroke:var(--muted)" }));
    for (const [v, text] of s.marks) group.append(svg("text", { x: x - 6, y: s.pos(v) + 4, "text-anchor": "end", "pointer-events": "none", style: "paint-order:stroke;stroke:var(--paper);stroke-width:3px" }, text));
    const kept = state.limits.get(key);
    if (kept) { const ends = kept.map(v => Math.max(top - 4, Math.min(bottom + 4, s.pos(Math.max(-1e12, Math.min(1e12, v)))))); group.append(svg("rect", { class: "brush", x: x - 7, width: 14, y: Math.min(...ends), height: Math.max(3, Math.abs(ends[0] - ends[1])) })); }
    const hit = svg("rect", { class: "hit", x: x - 14, y: top - 6, width: 28, height: bottom - top + 12, "data-axis": key });
    let from = null; const place = event => { const r = root.getBoundingClientRect(); return (event.clientY - r.top) * height / r.height; };
    hit.addEventListener("pointerdown", event => { from = place(event); hit.setPointerCapture(event.pointerId); });
    hit.addEventListener("pointerup", event => {
      if (from === null) return; const to = place(event), start = from; from = null;
      if (Math.abs(to - start) < 4) return;
      const ends = [s.back(start), s.back(to)].sort((a, b) => a - b), round = v => key[0] === "c" ? +v.toPrecision(4) : v;
      limit(key, round(ends[0]), round(ends[1])); draw();
    });
    hit.addEventListener("dblclick", () => { state.limits.delete(key); draw(); });
    group.append(hit); root.append(group);
  });
  host.replaceChildren(root);
}

// ---- table
const fields = () => [
  { name: "design", text: true, get: d => d.n, show: d => d.name },
  ...columns.map((c, i) => ({ name: c.label, id: c.id, get: d => d.v[i], show: d => fmt(d.v[i]) })),
  { name: "less energy than the next", get: d => d.next ?? null, show: d => d.next === undefined ? "–" : `${Math.round(100 * d.next)} %` },
  { name: "as good", text: true, get: d => DATA.alike[d.n]?.[0] ?? null, show: d => { const s = DATA.alike[d.n]; return !s ? "" : s[0] !== d.n ? `≈ #${s[0]}` : s.slice(1).map(n => "#" + n).join(" "); }, fold: true },
  ...($("tableknobs").checked ? DATA.knobs.map((name, k) => ({ name, knob: true, get: d => d.k[k], show: d => fmt(d.k[k]) })) : []),
];
function tableRows() {
  const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = shown().filter(d => (!$("tablefront").checked || onFront.has(d.n)) && words.every(w => (d.name + " " + d.k.join(" ")).toLowerCase().includes(w)));
  if (state.sort) {
    const field = fields().find(f => f.name === state.sort[0]), sign = state.sort[1];
    if (field) rows.sort((a, b) => { const p = field.get(a), q = field.get(b); return p === q ? a.n - b.n : p === null ? 1 : q === null ? -1 : (p > q ? 1 : -1) * sign; });
  }
  return rows;
}
function drawTable() {
  const rows = tableRows(), all = fields(), most = 400;
  $("count").textContent = `${rows.length} designs` + (rows.length > most ? `, the first ${most} shown` : "");
  $("table").replaceChildren(
    el("thead", {}, el("tr", {}, ...all.map(f => el("th", { scope: "col", class: (f.text ? "text" : "") + (f.knob ? " knob" : ""), "aria-sort": state.sort?.[0] === f.name ? (state.sort[1] > 0 ? "ascending" : "descending") : "none" },
      el("button", { type: "button", onclick: event => { state.sort = [f.name, state.sort?.[0] === f.name ? -state.sort[1] : 1]; drawTable(); [...$("table").querySelectorAll("th button")].find(b => b.textContent === f.name)?.focus(); } }, f.name))))),
    el("tbody", {}, ...rows.slice(0, most).map(d => el("tr", state.pins.includes(d.n) ? { class: "pinned" } : {}, ...all.map((f, i) => i === 0
      ? el("th", { scope: "row", class: "text", title: d.name }, el("button", { type: "button", "aria-pressed": String(state.pins.includes(d.n)), onclick: () => { pin(d.n); } }, f.show(d)))
      : el("td", { class: (f.text ? "text" : "") + (f.knob ? " knob" : "") + (f.fold ? " fold" : "") }, f.show(d)))))));
}
function csv() {
  const all = fields(), quote = v => { const s = v === null || v === undefined ? "" : String(v); return /[",\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s; };
  const lines = [["number", "design", ...all.slice(1).map(f => f.id || f.name)], ...tableRows().map(d => [d.n, d.name, ...all.slice(1).map(f => f.name === "as good" ? f.show(d) : f.get(d))])];
  return lines.map(line => line.map(quote).join(",")).join("\n") + "\n";
}

// ---- breakdowns
const part = name => name.replaceAll("_", " ");
function drawParts() {
  if (!$("parts")) return;
  const what = $("partsof").value, share = $("shares").checked;
  let rows = shown().filter(d => onFront.has(d.n) && DATA.parts[d.n]?.[what]);
  rows.sort((a, b) => DATA.front.indexOf(a.n) - DATA.front.indexOf(b.n));
  if (rows.length > 24) rows = Array.from({ length: 24 }, (_, i) => rows[Math.round(i * (rows.length - 1) / 23)]);
  const sums = {}, total = d => Object.values(DATA.parts[d.n][what]).reduce((s, v) => s + v, 0);
  for (const d of rows) for (const [name, v] of Object.entries(DATA.parts[d.n][what])) sums[name] = (sums[name] || 0) + v / total(d);
  const ranked = Object.keys(sums).sort((a, b) => sums[b] - sums[a]), names = ranked.slice(0, 11), rest = ranked.slice(11);
  const value = (d, name) => name === "other" ? rest.reduce((s, n) => s + (DATA.parts[d.n][what][n] || 0), 0) : DATA.parts[d.n][what][name] || 0;
  if (rest.length) names.push("other");
  $("partskey").replaceChildren(...names.map((name, i) => el("li", {}, el("i", { style: `background:${colour(i)}` }), part(name))));
  const width = Math.max(280, $("parts").clientWidth), narrow = width < 620, left = narrow ? 4 : Math.min(430, width * 0.36), step = narrow ? 40 : 25, height = rows.length * step + 30;
  const most = share ? 1 : Math.max(...rows.map(total), 1e-12), X = v => left + (width - left - 60) * v / most;
  const root = svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${$("partsof").selectedOptions[0].text} of ${rows.length} designs by component; the table of a pinned design has the numbers` });
  rows.forEach((d, i) => {
    let sum = 0; const y = i * step + (narrow ? 16 : 3), all = total(d);
    const label = d.name.length > left / 6.3 && !narrow ? d.name.slice(0, Math.floor(left / 6.3) - 1) + "…" : d.name;
    root.append(svg("text", { x: narrow ? 4 : left - 8, y: narrow ? y - 4 : y + 13, "text-anchor": narrow ? "start" : "end" }, label));
    names.forEach((name, j) => { const v = value(d, name) / (share ? all : 1); if (!v) return;
      root.append(svg("rect", { x: X(sum), y, width: Math.max(0.4, X(sum + v) - X(sum) - 0.5), height: 18, fill: colour(j), onpointermove: event => hint(event, `${d.name}: ${part(name)} ${share ? fmt(100 * v) + " %" : fmt(v)}`), onpointerleave: unhint })); sum += v; });
    root.append(svg("text", { x: X(sum) + 5, y: y + 13 }, share ? fmt(all) : fmt(sum)));
  });
  for (const v of ticks(0, most, false, narrow ? 3 : 6)) root.append(svg("text", { x: X(v), y: height - 6, "text-anchor": "middle" }, share ? `${Math.round(100 * v)} %` : fmt(v)));
  $("parts").replaceChildren(root);
}
function bars(host, parts, unit) {
  const rows = Object.entries(parts).sort((a, b) => b[1] - a[1]), total = rows.reduce((s, r) => s + r[1], 0) || 1, most = rows[0]?.[1] || 1;
  host.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "text" }, "part"), el("th", { scope: "col" }, unit), el("th", { scope: "col" }, "share"), el("td", {}))),
    el("tbody", {}, ...rows.map(([name, v]) => el("tr", {}, el("th", { scope: "row", class: "text" }, name), el("td", {}, fmt(v)), el("td", {}, `${(100 * v / total).toFixed(1)} %`), el("td", { class: "text", style: "width:30%;min-width:70px" }, el("span", { class: "gauge", style: `width:${(100 * v / most).toFixed(1)}%;background:var(--u0)` })))))));
}
function drawInside() {
  if (!$("inside")) return;
  const number = $("inside").value, held = DATA.parts[number]; if (!held) return;
  if (held.layer) bars($("layers"), held.layer, "µJ"); if (held.level) bars($("levels"), held.level, "µJ");
  drawFlow(held.traffic || []); drawSteps(held.steps || []);
}
function drawFlow(rows) {
  const width = Math.max(300, $("flow").clientWidth), tensors = [...new Set(rows.map(r => r[0]))], levels = [...new Set(rows.map(r => r[1]))];
  const sum = filter => rows.filter(filter).reduce((s, r) => s + r[2] + r[3], 0), total = sum(() => true) || 1, room = 26, height = 330 + room * Math.max(tensors.length, levels.length);
  const high = v => 300 * v / total, left = Math.min(150, width * 0.3), right = width - Math.min(190, width * 0.36);
  const mbit = v => `${fmt(+(v / 1e6).toPrecision(3))} Mbit`;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "Bits moved: " + rows.map(r => `${r[0]} at ${r[1]}: ${mbit(r[2])} read, ${mbit(r[3])} written`).join("; ") });
  const stack = (names, side) => { let y = 12; const at = new Map(); for (const name of names.sort((a, b) => sum(r => r[side] === b) - sum(r => r[side] === a))) { at.set(name, { y, next: y }); y += high(sum(r => r[side] === name)) + room; } return at; };
  const L = stack(tensors, 0), R = stack(levels, 1);
  for (const name of tensors) for (const level of levels) for (const row of rows.filter(r => r[0] === name && r[1] === level)) for (const [place, verb, opacity] of [[2, "read from", 0.75], [3, "written to", 0.4]]) {
    const h = high(row[place]); if (!h) continue;
    const a = L.get(name), b = R.get(level), y0 = a.next, y1 = b.next, m = (left + right) / 2; a.next += h; b.next += h;
    root.append(svg("path", { d: `M${left + 8},${y0}C${m},${y0} ${m},${y1} ${right},${y1}v${h}C${m},${y1 + h} ${m},${y0 + h} ${left + 8},${y0 + h}z`, fill: colour(tensors.indexOf(name)), "fill-opacity": opacity, onpointermove: event => hint(event, `${name}: ${mbit(row[place])} ${verb} ${level}`), onpointerleave: unhint }));
  }
  for (const name of tensors) { const h = Math.max(2, high(sum(r => r[0] === name))), y = L.get(name).y; root.append(svg("rect", { x: left, y, width: 8, height: h, fill: colour(tensors.indexOf(name)) }), svg("text", { x: left - 6, y: y + h / 2 + 4, "text-anchor": "end" }, name)); }
  for (const level of levels) {
    const h = Math.max(2, high(sum(r => r[1] === level))), y = R.get(level).y, own = rows.filter(r => r[1] === level);
    root.append(svg("rect", { x: right, y, width: 8, height: h, fill: "var(--muted)" }), svg("text", { x: right + 13, y: y + h / 2 - 2, style: "fill:var(--ink);font-weight:600" }, level), svg("text", { x: right + 13, y: y + h / 2 + 12 }, `${mbit(own.reduce((s, r) => s + r[2], 0))} read`), svg("text", { x: right + 13, y: y + h / 2 + 25 }, `${mbit(own.reduce((s, r) => s + r[3], 0))} written`));
  }
  $("flow").replaceChildren(el("p", { class: "note" }, "Wide as bits are many; strong: read from the memory, faint: written to it."), root);
}
function drawSteps(steps) {
  const width = Math.max(300, $("steps").clientWidth), left = 86, total = steps.reduce((s, r) => s + r[1], 0) || 1, X = v => left + (width - left - 8) * v / total;
  const waits = [...new Set(steps.map(r => r[2]))], lanes = [["waits for", null], ["array", 3], ["vector unit", 4], ["DRAM", 5]];
  const root = svg("svg", { class: "plot", viewBox: `0 0 ${width} 176`, width, height: 176, role: "img", "aria-label": "Steps: " + steps.map(r => `${r[0]}: ${r[1]} cycles, waits for ${r[2]}`).join("; ") });
  lanes.forEach(([name, place], lane) => {
    const y = 8 + lane * 36; let sum = 0; root.append(svg("text", { x: left - 8, y: y + 18, "text-anchor": "end" }, name), svg("line", { x1: left, x2: width - 8, y1: y + 28, y2: y + 28, stroke: "var(--line)" }));
    for (const row of steps) {
      const busy = place === null ? 1 : Math.min(1, row[place] / row[1]), h = 26 * busy;
      if (h) root.append(svg("rect", { x: X(sum), width: Math.max(0.5, X(sum + row[1]) - X(sum) - 0.6), y: y + 28 - h, height: h, fill: colour(place === null ? waits.indexOf(row[2]) : 8), onpointermove: event => hint(event, `${row[0]}: ${row[1]} cycles, waits for ${row[2]}; busy: array ${Math.round(100 * row[3] / row[1])} %, vector unit ${Math.round(100 * row[4] / row[1])} %, DRAM ${Math.round(100 * row[5] / row[1])} %`), onpointerleave: unhint }));
      sum += row[1];
    }
  });
  for (const v of ticks(0, total, false, Math.floor(width / 130))) root.append(svg("text", { x: X(v), y: 170, "text-anchor": "middle" }, v ? fmt(v) : "0"));
  $("steps").replaceChildren(el("ul", { class: "key" }, ...waits.map((name, i) => el("li", {}, el("i", { style: `background:${colour(i)}` }), `waits for ${name}`))), root, el("p", { class: "note" }, `${total.toLocaleString("en")} cycles from left to right; the height of a bar is the part of the step in which that unit is busy.`));
}

// ---- filters
function drawFilters() {
  for (const [i, c] of columns.entries()) if (c.objective) for (const [side, id] of [[0, `from${i}`], [1, `to${i}`]]) {
    const value = state.limits.get("c" + i)?.[side], text = value === undefined || !Number.isFinite(value) ? "" : String(value);
    if (document.activeElement !== $(id)) $(id).value = text;
  }
  state.off.forEach(u => { if ($(`unit${u}`)) $(`unit${u}`).checked = false; });
  if (!state.off.size) DATA.units.forEach((_, u) => { $(`unit${u}`).checked = true; });
  $("frontonly").checked = state.frontOnly;
  const c = +$("bestby").value, kept = shown().filter(d => d.v[c] !== null).sort((a, b) => better(c, a.v[c], b.v[c]) ? -1 : a.v[c] === b.v[c] ? a.n - b.n : 1), [one, two] = kept;
  const sure = one && two ? chance(one, two, c) : null;
  $("best").textContent = `of ${kept.length} designs: ` + (one ? `${one.name}, ${fmt(one.v[c])}` : "none") + (two ? `; next ${two.name}, ${fmt(two.v[c])}` + (sure === null ? "" : ` (the first is really better: ${sure} %)`) : "");
}
function draw() { unhint(); drawFilters(); drawPlot(); drawCompare(); drawLines(); drawTable(); drawParts(); }

// ---- begin
DATA.units.forEach((name, u) => $("units").append(el("label", {}, el("input", { type: "checkbox", id: `unit${u}`, checked: true, onchange: event => { event.target.checked ? state.off.delete(u) : state.off.add(u); draw(); } }), svg("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, svg("path", { d: shape(u, 5.5), fill: colour(u) })), name)));
columns.forEach((c, i) => {
  for (const id of ["x", "y", "bestby"]) $(id).append(el("option", { value: i }, c.label));
  if (!c.objective) return;
  const input = (id, side, name) => el("input", { type: "number", step: "any", id, "aria-label": `${c.label}, ${name}`, onchange: event => {
    const ends = [...(state.limits.get("c" + i) || [-Infinity, Infinity])]; ends[side] = event.target.value === "" ? (side ? Infinity : -Infinity) : +event.target.value; limit("c" + i, ...ends); draw(); } });
  $("limits").append(el("div", {}, el("span", {}, c.label), input(`from${i}`, 0, "from"), input(`to${i}`, 1, "to")));
});
const metric = objectives.find(c => c.id === DATA.metric), others = objectives.filter(c => c !== metric);
$("x").value = column((others[0] || objectives[0]).id); $("y").value = column((metric || others[1] || objectives[0]).id); $("bestby").value = $("x").value;
const setLog = axis => { const c = +$(axis).value, values = DATA.designs.map(d => d.v[c]).filter(v => v !== null), low = Math.min(...values), high = Math.max(...values); $(axis + "log").checked = columns[c].id !== DATA.metric && low > 0 && high / low > 5; $(axis + "log").disabled = !(low > 0); };
setLog("x"); setLog("y");
for (const axis of ["x", "y"]) { $(axis).addEventListener("change", () => { setLog(axis); drawPlot(); }); $(axis + "log").addEventListener("change", drawPlot); }
for (const id of ["errors", "whole"]) $(id).addEventListener("change", drawPlot);
for (const id of ["pina", "pinb"]) { $(id).append(el("option", { value: "" }, "–"), ...DATA.front.map(n => el("option", { value: n }, byNumber.get(n).name))); $(id).addEventListener("change", () => { state.pins = [...new Set([$("pina").value, $("pinb").value].filter(Boolean).map(Number))]; draw(); }); }
$("differing").addEventListener("change", drawCompare);
$("allknobs").addEventListener("change", drawLines);
$("freeaxes").addEventListener("click", () => { state.limits.clear(); draw(); });
$("reset").addEventListener("click", () => { state.off.clear(); state.limits.clear(); state.frontOnly = false; draw(); });
$("frontonly").addEventListener("change", event => { state.frontOnly = event.target.checked; draw(); });
$("bestby").addEventListener("change", drawFilters);
$("find").addEventListener("input", drawTable);
for (const id of ["tablefront", "tableknobs"]) $(id).addEventListener("change", drawTable);
$("csv").addEventListener("click", () => save("designs.csv", "text/csv", csv()));
$("svgout").addEventListener("click", () => {
  const copy = $("plot").firstChild.cloneNode(true), style = getComputedStyle(document.documentElement), text = new XMLSerializer().serializeToString(copy);
  const rules = ".axis line{stroke:#dce3ea}.stairs{fill:none;stroke:#1f2933}.reference{stroke:#55626f;stroke-dasharray:2 3}.machine{fill:#1f2933}.off{opacity:.38}.letter rect{fill:#005f96}.letter text{fill:#fff}text{font:12px sans-serif;fill:#1f2933}";
  save("pareto.svg", "image/svg+xml", text.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim()).replace(/<svg([^>]*)>/, `<svg$1><style>${rules}</style>`));
});
if ($("partsof")) for (const id of ["partsof", "shares"]) $(id).addEventListener("change", drawParts);
if ($("inside")) { for (const n of [...DATA.picks.map(p => p[1]), ...DATA.front].filter((n, i, all) => all.indexOf(n) === i && DATA.parts[n]?.traffic)) $("inside").append(el("option", { value: n }, byNumber.get(n).name)); $("inside").addEventListener("change", drawInside); }
$("unfold").addEventListener("click", () => { const open = $("unfold").getAttribute("aria-expanded") !== "true"; document.querySelectorAll("#assumed details").forEach(d => { d.open = open; }); $("unfold").setAttribute("aria-expanded", String(open)); $("unfold").textContent = open ? "Fold all" : "Unfold all"; });
const themes = ["system", "light", "dark"];
$("theme").addEventListener("click", () => { const next = themes[(themes.indexOf(document.documentElement.dataset.theme || "system") + 1) % 3]; if (next === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = next; $("theme").textContent = `Theme: ${next}`; });
if ($("follow")) {  // the study runs: the file is read again, but not under the hands of who works on the page
  let on = true;
  const follow = now => { on = now; $("follow").textContent = on ? "Following the study: pause" : "Paused: follow the study"; };
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, event => { if (event.target !== $("follow")) follow(false); });
  $("follow").addEventListener("click", () => follow(!on));
  setInterval(() => { if (on && !document.hidden) location.reload(); }, 1000 * $("follow").dataset.everyS);
}
document.querySelectorAll("table.sortable tr:last-child > th").forEach(head => {
  const button = el("button", { type: "button" }, head.textContent); head.replaceChildren(button);
  button.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0], place = head.cellIndex, up = head.getAttribute("aria-sort") !== "ascending";
    head.parentElement.querySelectorAll("th").forEach(h => h.removeAttribute("aria-sort")); head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => { const cell = row.cells[place], n = parseFloat(cell.dataset.value ?? NaN); return Number.isNaN(n) ? cell.textContent : n; };
    [...body.rows].sort((a, b) => (value(a) > value(b) ? 1 : -1) * (up ? 1 : -1)).forEach(row => body.append(row));
  });
});
let folded = [];
addEventListener("beforeprint", () => { folded = [...document.querySelectorAll("details:not([open])")]; folded.forEach(d => { d.open = true; }); });
addEventListener("afterprint", () => folded.forEach(d => { d.open = false; }));
let last = innerWidth; addEventListener("resize", () => { if (innerWidth !== last) { last = innerWidth; draw(); drawInside(); } });
draw(); drawInside();
})();
