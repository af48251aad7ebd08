// The table of episodes: sorts, filters, opens the player.
const routeState = { sort: null, down: false, most: 300 };

function routeColumns() {
  const b = R.runs[state.candidate].letter;
  const columns = [
    { name: "episode", value: (row) => row.id, text: (row) => el("button", { type: "button", class: "plain" }, row.id) },
    { name: "town", value: (row) => row.b.town, left: true, minor: true },
    { name: "scripted", value: (row) => row.b.scripted.map(spaced).join(", "), left: true, wide: true, minor: true },
  ];
  if (hasPair()) columns.push(
    { name: "score A", minor: true, value: (row) => row.a?.score ?? null, text: (row) => fixed(row.a?.score) },
    { name: `score ${b}`, value: (row) => row.b.score, text: (row) => fixed(row.b.score) },
    { name: "change", value: (row) => row.change, text: (row) => el("span", { class: row.change > 0 ? "good" : row.change < 0 ? "bad" : "muted" }, row.change === 0 ? "0.0" : signed(row.change)) },
    { name: `infractions, A to ${b}`, value: (row) => row.b.infractions.length - (row.a ? row.a.infractions.length : 0), text: (row) => chips(row.a, row.b), left: true, wide: true },
    { name: "ADE change (m)", value: (row) => (row.a && row.a.ade !== null && row.b.ade !== null ? row.b.ade - row.a.ade : null), text: (row) => (row.a && row.a.ade !== null && row.b.ade !== null ? signed(row.b.ade - row.a.ade, 2) : "–") });
  else columns.push(
    { name: "score", value: (row) => row.b.score, text: (row) => fixed(row.b.score) },
    { name: "infractions", value: (row) => row.b.infractions.length, text: (row) => chips(null, row.b), left: true, wide: true },
    { name: "ADE (m)", value: (row) => row.b.ade, text: (row) => fixed(row.b.ade, 2) });
  columns.push({ name: `completion ${hasPair() ? b : ""}`, value: (row) => row.b.completion, text: (row) => percent(row.b.completion) }, { name: "status", value: (row) => row.b.status, left: true });
  return columns;
}

const SHOWS = {
  all: ["all episodes", () => true],
  worse: ["worse than A", (row) => row.change < 0],
  better: ["better than A", (row) => row.change > 0],
  same: ["the same", (row) => row.change === 0],
  infractions: ["with an infraction", (row) => row.b.infractions.length > 0],
  clean: ["without infraction", (row) => row.b.infractions.length === 0],
};

function shownRoutes() {
  const needle = $("search").value.trim().toLowerCase(), town = $("town-filter").value, kind = $("kind-filter").value;
  const rows = pairedEpisodes().filter((row) => {
    if (town && row.b.town !== town) return false;
    if (kind.startsWith("kind:") ? !row.b.infractions.some((item) => item.kind === kind.slice(5)) : kind && !SHOWS[kind][1](row)) return false;
    const text = [row.id, row.b.town, ...row.b.scripted, ...row.b.scripted.map(spaced), row.b.status, ...row.b.infractions.map((item) => words(item.kind))].join(" ").toLowerCase();
    return needle.split(/\s+/).every((word) => text.includes(word));
  });
  const columns = routeColumns(), index = routeState.sort ?? columns.findIndex((column) => column.name === (hasPair() ? "change" : "score")), value = columns[index].value;
  const sign = routeState.down ? -1 : 1;
  return rows.sort((x, y) => {
    const u = value(x), v = value(y);
    // what is missing stands last either way
    if (u === null || v === null) return (u === null) - (v === null);
    return sign * (typeof u === "string" ? u.localeCompare(v) : u - v) || x.id.localeCompare(y.id);
  });
}

function showRoutes() {
  const columns = routeColumns(), rows = shownRoutes(), index = routeState.sort ?? columns.findIndex((column) => column.name === (hasPair() ? "change" : "score"));
  const head = el("tr", {}, columns.map((column, i) => el("th", { scope: "col", class: [column.left || !i ? "left" : "", column.minor ? "minor" : ""].join(" ").trim() || null, "aria-sort": i === index ? (routeState.down ? "descending" : "ascending") : null },
    el("button", { type: "button", onclick: () => { routeState.down = i === index ? !routeState.down : false; routeState.sort = i; showRoutes(); } }, column.name + (i === index ? (routeState.down ? " ▾" : " ▴") : "")))));
  const body = rows.slice(0, routeState.most).map((row) => el("tr", { class: "link", "data-id": row.id, onclick: () => openPlayer(row.id) },
    columns.map((column, i) => el("td", { class: [column.left || !i ? "left" : "", column.wide ? "wide" : "", column.minor ? "minor" : ""].join(" ").trim() || null }, column.text ? column.text(row) : column.value(row)))));
  $("route-table").replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, body)));
  if (rows.length > routeState.most) $("route-table").append(el("button", { type: "button", onclick: () => { routeState.most = Infinity; showRoutes(); } }, `show all ${rows.length}`));
  $("route-count").textContent = `${rows.length} of ${R.episodes[state.candidate].length}`;
}

function setUpRoutes() {
  const towns = [...new Set(R.episodes.flat().map((episode) => episode.town))].sort();
  const kinds = [...new Set(R.episodes.flat().flatMap((episode) => episode.infractions.map((item) => item.kind)))].sort();
  $("town-filter").append(el("option", { value: "" }, "all towns"), ...towns.map((town) => el("option", { value: town }, town)));
  const shows = Object.entries(SHOWS).filter(([name]) => hasPair() || !["worse", "better", "same"].includes(name));
  $("kind-filter").append(...shows.map(([name, [label]]) => el("option", { value: name }, label)), ...kinds.map((kind) => el("option", { value: "kind:" + kind }, "with " + words(kind))));
  for (const id of ["search", "town-filter", "kind-filter"]) $(id).addEventListener("input", showRoutes);
}
