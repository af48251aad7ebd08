// The sections of numbers: verdict, runs, reasons, differences, ADE, learning.
function showVerdict() {
  const ordered = R.verdict.map((verdict, i) => ({ verdict, own: i + 1 === state.candidate || !hasPair() })).sort((x, y) => y.own - x.own);
  $("verdict").replaceChildren(...ordered.map(({ verdict, own }) => el("div", { class: `verdict ${verdict.tone}${own ? "" : " small"}` },
    el("h2", {}, verdict.title), own ? el("ul", {}, verdict.sentences.map((sentence) => el("li", {}, sentence))) : el("p", {}, verdict.sentences[0]))));
}

function showRuns() {
  const per = (km) => fixed(km, 2);
  const rows = R.runs.map((run, i) => {
    const s = run.summary, interval = run.interval ? ` [${fixed(run.interval[0])}, ${fixed(run.interval[1])}]` : "";
    return [el("span", {}, dot(i), el("b", {}, runName(i)), el("br"), el("small", { class: "muted" }, run.policy.name)), String(s.num_episodes), fixed(s.driving_score_mean) + interval, percent(s.route_completion_mean), percent(s.success_rate),
      per(s.collisions_per_km), per(s.infractions_per_km.red_light), per(s.infractions_per_km.stop_sign), s.ade_mean === null ? "–" : fixed(s.ade_mean, 2) + " m", s.delta_m === null ? "–" : fixed(s.delta_m, 2) + " m"];
  });
  $("run-table").replaceChildren(dataTable(["run", "episodes", "driving score [95 %]", "completion", "success", "coll./km", "red/km", "stop/km", "ADE", "mean delta"], rows, "Runs"));
  $("runs").hidden = !R.runs.length;
}

function showReasons() {
  const pair = pairOf(), shown = pair ? pair.reasons.filter((item) => Math.abs(item.moved) >= 0.05).slice(0, 9) : [];
  $("reasons").hidden = !shown.length;
  if (!shown.length) return;
  const b = R.runs[state.candidate].letter, most = Math.max(...shown.map((item) => Math.abs(item.moved)));
  $("reasons-note").textContent = `Points of driving score from A to ${b} if only this one fact changed, averaged over both directions; together they need not add up. Counts over ${pair.pairs} episodes: A to ${b}.`;
  $("reason-bars").replaceChildren(el("div", { class: "bars" }, shown.flatMap((item) => {
    const share = (50 * Math.abs(item.moved)) / most, left = item.moved > 0 ? 50 : 50 - share;
    const counts = item.name === "route_completion" ? `${percent(item.a / item.pairs)} to ${percent(item.b / item.pairs)}` : `${item.a} to ${item.b}`;
    return [el("span", {}, words(item.name), " ", el("small", { class: "muted" }, counts)),
      el("span", { class: "track", "aria-hidden": true }, el("span", { class: "fill", style: `left:${left}%;width:${share}%;background:var(${item.moved > 0 ? "--good" : "--bad"})` }), el("span", { class: "zero" })),
      el("span", { class: "num " + (item.moved > 0 ? "good" : "bad") }, signed(item.moved))];
  })));
}

function showDifferences() {
  const pair = pairOf();
  $("differences").hidden = !pair;
  if (!pair) return;
  const b = R.runs[state.candidate].letter;
  $("differences-note").textContent = `${runName(state.candidate)} less ${runName(0)}, ${pair.pairs} paired episodes; ${(100 * pair.confidence).toFixed(0)} % paired bootstrap intervals, ${pair.resamples} resamples.`;
  const rows = pair.measures.map((row) => {
    const digits = row.name === "driving_score" ? 1 : 3, decided = row.low !== null && (row.low > 0 || row.high < 0), good = decided && row.low > 0 === (row.better === "higher");
    return [words(row.name) + (row.pairs === pair.pairs ? "" : ` (n ${row.pairs})`), fixed(row.a, digits), fixed(row.b, digits), signed(row.difference, digits),
      row.low === null ? "–" : `[${signed(row.low, digits)}, ${signed(row.high, digits)}]`, row.unit, decided ? el("b", { class: good ? "good" : "bad" }, good ? `${b} better` : `${b} worse`) : el("span", { class: "muted" }, row.low === row.high && row.low === 0 ? "equal" : "undecided")];
  });
  $("difference-table").replaceChildren(dataTable(["measure", "A", b, `${b} − A`, "interval", "unit", "verdict"], rows, "Differences"));
}

function showTables() {
  $("tables").hidden = !R.tables.length;
  $("tables").replaceChildren(...R.tables.flatMap((table) => [el("h2", {}, table.title), table.note ? el("p", { class: "muted" }, table.note) : null,
    el("div", { class: "scroll" }, dataTable(table.columns.map((column) => column.name), table.rows.map((row) => row.map((cell, i) => (typeof cell === "number" ? fixed(cell, table.columns[i].digits ?? 1) + (table.columns[i].unit ? " " + table.columns[i].unit : "") : cell ?? "–")), table.title)))].filter(Boolean)));
}

function showAde() {
  const sides = hasPair() ? [0, state.candidate] : state.candidate in R.runs ? [state.candidate] : [];
  const known = sides.flatMap((run) => R.episodes[run].filter((episode) => episode.ade !== null).map((episode) => ({ run, episode })));
  // the expert alone has no error to show
  const nothing = known.length < 2 || known.every(({ episode }) => episode.ade === 0);
  $("ade").hidden = nothing;
  if (nothing) return;
  const shown = hasPair() ? R.runs.map((_, i) => i) : sides;
  const rank = shown.filter((run) => R.ade[run].spearman !== null).map((run) => `${runName(run)} ${fixed(R.ade[run].spearman, 2)}`);
  $("ade-note").textContent = "ADE: distance of the plan from the expert's at the states visited. If it told how a policy drives, the points would fall from left to right." + (rank.length ? ` Rank correlation of ADE and driving score over episodes (−1 would be perfect): ${rank.join(", ")}.` : "");
  const points = known.map(({ run, episode }) => ({ x: episode.ade, y: episode.score, run: Math.min(run, 5), title: `${runName(run)}, ${episode.id}: ADE ${fixed(episode.ade, 2)} m, score ${fixed(episode.score)}`, open: () => openPlayer(episode.id) }));
  const crosses = R.runs.map((run, i) => ({ x: run.summary.ade_mean, y: run.summary.driving_score_mean, run: Math.min(i, 5), title: `${runName(i)}: mean` })).filter((cross) => cross.x !== null);
  const charts = [el("div", {}, el("h3", {}, "Every episode, and each run's mean (cross)"), scatter({ x: span([0, ...points.map((p) => p.x), ...crosses.map((c) => c.x)]), y: [-4, 104], xName: "ADE, m", yName: "driving score", title: "ADE against driving score" }, points, crosses), el("p", { class: "legend" }, R.runs.map((_, i) => el("span", {}, dot(i), runName(i)))))];
  if (hasPair()) {
    const changes = pairedEpisodes().filter((row) => row.a && row.a.ade !== null && row.b.ade !== null).map((row) => ({ x: row.b.ade - row.a.ade, y: row.change, run: Math.min(state.candidate, 5), title: `${row.id}: ADE ${signed(row.b.ade - row.a.ade, 2)} m, score ${signed(row.change)}`, open: () => openPlayer(row.id) }));
    if (changes.length) {
      const x = span([0, ...changes.map((p) => p.x)]), y = span([0, ...changes.map((p) => p.y)], 0.12), b = R.runs[state.candidate].letter;
      charts.push(el("div", {}, el("h3", {}, `The same episode, ${b} less A`), scatter({ x, y, xName: "change of ADE, m", yName: "change of score", title: "Change of ADE against change of driving score", zero: true,
        corners: [[x[1], y[1] - (y[1] - y[0]) * 0.05, "end", "ADE says worse, drove better"], [x[0] + (x[1] - x[0]) * 0.03, y[0] + (y[1] - y[0]) * 0.03, "start", "ADE says better, drove worse"]] }, changes)));
    }
  }
  $("scatters").replaceChildren(...charts);
}

function showCurves() {
  $("curves").hidden = !R.curves.length;
  const titles = [...new Set(R.curves.flatMap((run) => run.curves.map((curve) => curve.title)))];
  const charts = titles.map((title) => {
    const lines = R.curves.flatMap((run, i) => run.curves.filter((curve) => curve.title === title && curve.x.length).map((curve) => ({ ...curve, run: i + 1 })));
    return lines.length ? el("div", {}, el("h3", {}, title), lineChart({ xName: "decisions", yName: lines[0].unit, title }, lines)) : null;
  });
  $("curve-charts").replaceChildren(el("p", { class: "legend" }, R.curves.map((run, i) => el("span", {}, el("span", { class: "dot", style: `background: var(--run${(i + 1) % 6})` }), `${run.run_id} on ${run.suite}`))), el("div", { class: "grid3" }, charts.filter(Boolean)));
}
