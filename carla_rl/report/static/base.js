// Elements, numbers as text, colours, and the state that all parts of the page share.
const R = JSON.parse(document.getElementById("facts").textContent);
const $ = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const [name, space] = tag.startsWith("svg:") ? [tag.slice(4), "http://www.w3.org/2000/svg"] : [tag, null];
  const node = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}

const fixed = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const signed = (value, digits = 1) => (value === null || value === undefined ? "–" : (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(value).toFixed(digits));
const percent = (value) => (value === null || value === undefined ? "–" : (100 * value).toFixed(1) + " %");
const words = (name) => name.replaceAll("_", " ");
const clock = (t) => t.toFixed(1) + " s";
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const runColour = (run) => css("--run" + Math.min(run, 5));
const dot = (run) => el("span", { class: "dot", style: `background: var(--run${Math.min(run, 5)})` });
const runName = (run) => `${R.runs[run].letter} ${R.runs[run].run_id}`;

// What an infraction looks like on maps and time lines: a letter and a colour.
const KINDS = {
  collision_pedestrian: ["P", "--bad"], collision_vehicle: ["V", "--bad"], collision_static: ["S", "--bad"],
  red_light: ["R", "--warn"], stop_sign: ["!", "--warn"], outside_route_lanes: ["O", "--warn"],
};
const kindOf = (kind) => KINDS[kind] || ["·", "--muted"];

// Run 0 is the baseline; `candidate` is the run that is set against it, or the only one.
const state = { candidate: R.runs.length > 1 ? 1 : 0 };
const hasPair = () => R.runs.length > 1;
const pairOf = () => R.pairs.find((pair) => pair.b_index === state.candidate);
const episodeOf = R.episodes.map((list) => new Map(list.map((episode, index) => [episode.id, { ...episode, index }])));

// The episodes shown: those of the candidate, with the baseline's drive of the same one beside it.
function pairedEpisodes() {
  return R.episodes[state.candidate].map((episode) => {
    const b = episodeOf[state.candidate].get(episode.id), a = hasPair() ? episodeOf[0].get(episode.id) || null : null;
    return { id: episode.id, a, b, change: a ? b.score - a.score : null };
  });
}

function chips(a, b) {
  const count = (episode) => {
    const found = {};
    for (const item of episode ? episode.infractions : []) found[item.kind] = (found[item.kind] || 0) + 1;
    return found;
  };
  const before = count(a), after = count(b), made = [];
  for (const kind of new Set([...Object.keys(after), ...Object.keys(before)])) {
    const x = before[kind] || 0, y = after[kind] || 0;
    if (!a) made.push(el("span", { class: "chip gain" }, `${words(kind)} ${y}`));
    else if (y > x) made.push(el("span", { class: "chip gain", title: "more than in A" }, `+${y - x} ${words(kind)}`));
    else if (y < x) made.push(el("span", { class: "chip lost", title: "fewer than in A" }, `−${x - y} ${words(kind)}`));
    else made.push(el("span", { class: "chip", title: "as in A" }, `${y} ${words(kind)}`));
  }
  return made;
}

function dataTable(columns, rows, caption) {
  return el("table", {}, caption ? el("caption", { class: "hide" }, caption) : null,
    el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) => el(i ? "td" : "th", i ? {} : { scope: "row", class: "left" }, cell))))));
}

// Canvas that is sharp on every screen: sizes it and gives a context in CSS pixels.
function context(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, box.width, box.height);
  return { ctx, width: box.width, height: box.height, ratio };
}
