// Line charts and scatters in SVG.
const MOST_MARKS = 3000;

function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw);
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + 1e-9 * step; v += step) found.push(Math.abs(v) < 1e-12 ? 0 : v);
  return found;
}

const short = (v) => (Math.abs(v) >= 1e6 ? v / 1e6 + " M" : Math.abs(v) >= 1e3 ? v / 1e3 + " k" : String(+v.toPrecision(3)));

function frame(options) {
  const { width = 440, height = 260, x, y, xName, yName, title } = options;
  const left = 46, right = 12, top = 10, bottom = 36;
  const px = (v) => left + ((v - x[0]) / (x[1] - x[0] || 1)) * (width - left - right);
  const py = (v) => height - bottom - ((v - y[0]) / (y[1] - y[0] || 1)) * (height - top - bottom);
  const svg = el("svg:svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title });
  for (const v of ticks(x[0], x[1], 5)) {
    svg.append(el("svg:line", { class: "axis", x1: px(v), x2: px(v), y1: top, y2: height - bottom }), el("svg:text", { x: px(v), y: height - bottom + 14, "text-anchor": "middle" }, short(v)));
  }
  for (const v of ticks(y[0], y[1], 4)) {
    svg.append(el("svg:line", { class: "axis", x1: left, x2: width - right, y1: py(v), y2: py(v) }), el("svg:text", { x: left - 5, y: py(v) + 4, "text-anchor": "end" }, short(v)));
  }
  svg.append(el("svg:text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xName));
  if (yName) svg.append(el("svg:text", { transform: `translate(11 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yName));
  return { svg, px, py };
}

function span(values, pad = 0.05) {
  const low = Math.min(...values), high = Math.max(...values), extra = (high - low || Math.abs(high) || 1) * pad;
  return [low - extra, high + extra];
}

// points: {x, y, run, title, open}
function scatter(options, points, crosses = []) {
  const { svg, px, py } = frame(options);
  if (options.zero) {
    svg.append(el("svg:line", { class: "zero", x1: px(0), x2: px(0), y1: py(options.y[0]), y2: py(options.y[1]) }), el("svg:line", { class: "zero", x1: px(options.x[0]), x2: px(options.x[1]), y1: py(0), y2: py(0) }));
    for (const [x, y, anchor, text] of options.corners)
      svg.append(el("svg:text", { x: px(x), y: py(y), "text-anchor": anchor }, text));
  }
  // more marks than that only slow the page down: every nth is shown
  const every = Math.ceil(points.length / MOST_MARKS);
  if (every > 1) svg.append(el("svg:text", { x: px(options.x[1]), y: 10, "text-anchor": "end" }, `every ${every}th of ${points.length} shown`));
  for (const p of points.filter((_, i) => i % every === 0)) {
    const mark = el("svg:circle", { class: "mark", cx: px(p.x), cy: py(p.y), r: 4.5, fill: `var(--run${p.run})`, "fill-opacity": 0.55, stroke: `var(--run${p.run})`, onclick: p.open });
    mark.append(el("svg:title", {}, p.title));
    svg.append(mark);
  }
  for (const c of crosses) {
    const mark = el("svg:path", { d: `M${px(c.x) - 8} ${py(c.y)}h16M${px(c.x)} ${py(c.y) - 8}v16`, stroke: `var(--run${c.run})`, "stroke-width": 4 });
    mark.append(el("svg:title", {}, c.title));
    svg.append(mark);
  }
  return svg;
}

// lines: {x, y, run}
function lineChart(options, lines) {
  const all = lines.flatMap((line) => line.x), values = lines.flatMap((line) => line.y);
  const { svg, px, py } = frame({ width: 360, height: 190, ...options, x: [Math.min(...all), Math.max(...all)], y: span(values) });
  for (const line of lines) {
    const d = line.x.map((x, i) => `${i ? "L" : "M"}${px(x).toFixed(1)} ${py(line.y[i]).toFixed(1)}`).join("");
    svg.append(el("svg:path", { d, fill: "none", stroke: `var(--run${line.run % 6})`, "stroke-width": 1.8 }));
    if (line.x.length < 25) line.x.forEach((x, i) => {
      const mark = el("svg:circle", { cx: px(x), cy: py(line.y[i]), r: 3, fill: `var(--run${line.run % 6})` });
      mark.append(el("svg:title", {}, `${short(x)} decisions: ${fixed(line.y[i], 3)}`));
      svg.append(mark);
    });
  }
  return svg;
}
