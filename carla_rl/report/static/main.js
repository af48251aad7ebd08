// Puts the page together and keeps it in step with the run that is set against the baseline.
function showAll() {
  showVerdict();
  showRuns();
  if (!R.runs.length) return;
  showReasons();
  showDifferences();
  showAde();
  showRoutes();
  showPlaces();
}

function start() {
  const about = R.runs[0] || R.trainings[0];
  $("about").textContent = `${R.runs.length ? `${R.episodes.flat().length} episodes of ${R.runs.length === 1 ? "one run" : R.runs.length + " runs"} on ${about.suite.name}` : "training"} · made ${R.made.replace("T", " ")}`;
  $("simulator").replaceChildren(el("b", {}, "Made by: "), R.simulators.join("; "));
  $("warnings").replaceChildren(...[...R.warnings, ...R.missing].map((text) => el("p", { class: "note warn" }, text)));
  $("footer").textContent = [`carla-rl ${R.version}`, ...[...R.runs, ...R.trainings].map((run) => `${run.letter} ${run.run_id}: ${run.policy.name}${run.policy.sha256 ? " " + run.policy.sha256.slice(0, 12) : ""}, suite ${run.suite.name} ${(run.suite.sha256 || "").slice(0, 12)}, ${run.protocol.evaluator ?? `controller ${run.protocol.controller}, ${run.protocol.decision_ticks} ticks a decision`}`.trim())].join(" · ");
  if (R.runs.length > 2) {
    $("picker").hidden = false;
    $("candidate").append(...R.runs.slice(1).map((_, i) => el("option", { value: i + 1 }, runName(i + 1))));
    $("candidate").addEventListener("input", () => { state.candidate = Number($("candidate").value); routeState.sort = null; showAll(); });
  }
  $("theme").addEventListener("click", () => {
    const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    mapState.redraw?.();
  });
  for (const id of ["routes", "places", "reasons", "differences", "ade"]) $(id).hidden = !R.runs.length;
  if (R.runs.length) {
    setUpPlayer();
    setUpRoutes();
    setUpPlaces();
  }
  showTables();
  showCurves();
  openFromAddress();
  showAll();
  window.addEventListener("resize", () => mapState.redraw?.());
}

start();
