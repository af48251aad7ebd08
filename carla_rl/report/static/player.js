// The player: one or two drives of an episode from above, their infractions on a time line, plots.
const player = {
  sides: [], moments: [], t: 0, end: 1, playing: false, last: 0, id: null, plots: null, towns: null,
  view: { metres: 0.11, north: false, show: { plan: true, sft: true, expert: false, delta: true } },
};

const lead = () => player.sides[player.sides.length - 1];

// A side's moment at the leading drive's time t.
function moment(side, t) {
  const leading = lead();
  if (side === leading) return side.drive.at(Math.min(t, side.drive.end));
  if ($("p-sync").value === "time") return side.drive.at(Math.min(t, side.drive.end));
  return side.drive.atCompletion(leading.drive.state("completion", leading.drive.at(Math.min(t, leading.drive.end))));
}

async function openPlayer(id, at = null, run = null) {
  const b = episodeOf[state.candidate].get(id), a = hasPair() ? episodeOf[0].get(id) : null;
  stop();
  player.id = id;
  if (!$("player").open) $("player").showModal();
  $("p-name").textContent = id;
  const about = b || a;
  $("p-sub").textContent = [about.town, `${about.length_m.toFixed(0)} m`, about.scripted.map(spaced).join(", "), `${[...new Set(R.runs.map((run) => run.simulator.name))].join(", ")} simulator`].filter(Boolean).join(" · ");
  try {
    const sides = [];
    for (const [index, episode] of [[0, hasPair() ? a : null], [state.candidate, b]]) {
      const drive = episode ? await driveOf(index, episode) : null;
      if (drive) sides.push({ run: index, drive });
    }
    if (player.id !== id) return;
    if (!sides.length) throw new Error("No step log of this episode was kept, so there is nothing to play (carla-rl evaluate --steps keeps them).");
    player.town = await townOf(about.town);
    player.sides = sides;
    show();
    if (at !== null) seekMoment(run, at);
    else seek(0);
    remember();
  } catch (error) {
    player.sides = [];
    $("p-views").replaceChildren(el("p", { class: "note warn" }, error.message));
    $("p-plots").replaceChildren();
    $("p-moments").replaceChildren();
  }
}

const spaced = (name) => name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();

function show() {
  $("p-views").classList.toggle("two", player.sides.length > 1);
  $("p-views").replaceChildren(...player.sides.map((side) => {
    side.canvas = el("canvas", { role: "img", "aria-label": `Bird's-eye view of ${runName(side.run)}` });
    side.hud = el("div", { class: "hud" });
    side.canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY > 0 ? 1.12 : 1 / 1.12); }, { passive: false });
    return el("div", { class: "view" }, side.canvas, side.hud);
  }));
  $("p-sync-label").hidden = player.sides.length < 2;
  measure();
  showMoments();
}

// How long the time line is; plots follow it.
function measure() {
  player.end = $("p-sync").value === "time" ? Math.max(...player.sides.map((side) => side.drive.end)) : lead().drive.end;
  player.plots.show(player.sides, player.end, moment);
}

// Moments worth a jump: every infraction with what went before it.
function moments() {
  return player.sides.flatMap((side) => side.drive.episode.infractions.map((item) => ({ side, item, t: leadTime(side, item.t) }))).sort((x, y) => x.t - y.t);
}

function leadTime(side, t) {
  const leading = lead();
  if (side === leading || $("p-sync").value === "time") return t;
  return leading.drive.time(leading.drive.atCompletion(side.drive.state("completion", side.drive.at(t))));
}

function what(item) {
  const told = [];
  if (item.speed !== undefined) told.push(`at ${fixed(item.speed)} m/s`);
  if (item.kind.startsWith("collision") && item.value) told.push(`impact ${fixed(item.value)} m/s`);
  if (item.kind === "outside_route_lanes" && item.value) told.push(`${percent(item.value)} of the drive`);
  if (item.forward_m !== undefined && item.forward_m !== null)
    told.push(`delta in the 3 s before: ${fixed(Math.abs(item.forward_m), 2)} m ${item.forward_m >= 0 ? "farther" : "shorter"}, ${fixed(Math.abs(item.left_m), 2)} m to the ${item.left_m >= 0 ? "left" : "right"}`);
  return told.join(" · ");
}

function showMoments() {
  const list = moments();
  player.moments = list;
  $("p-moments").replaceChildren(el("h3", {}, list.length ? "Infractions" : "No infraction"),
    ...list.map((found) => {
      found.button = el("button", { type: "button", class: "moment", style: `border-left-color: var(--run${Math.min(found.side.run, 5)})`, onclick: () => { stop(); seek(found.t); } },
        el("b", {}, `${R.runs[found.side.run].letter} ${words(found.item.kind)}`), ` at ${clock(found.item.t)}`, el("small", {}, what(found.item)));
      return found.button;
    }),
    ...player.sides.map((side) => el("p", { class: "muted" }, dot(side.run), `${R.runs[side.run].letter} ${side.drive.episode.status}: ${fixed(side.drive.episode.score)} after ${clock(side.drive.episode.duration_s)}`)));
}

function seekMoment(run, t) {
  const side = player.sides.find((one) => one.run === run) || lead();
  seek(leadTime(side, t));
}

function seek(t) {
  player.t = clamp(t, 0, player.end);
  redraw();
  if (!player.playing) remember();
}

function redraw() {
  if (!player.sides.length || !$("player").open) return;
  for (const side of player.sides) {
    const at = moment(side, player.t);
    drawWorld(side.canvas, player.town, side.drive, at, player.view, side.run);
    side.hud.replaceChildren(...hud(side, at));
  }
  player.plots.draw(player.t);
  for (const found of player.moments) found.button.classList.toggle("now", Math.abs(found.t - player.t) < 0.75);
  drawLine();
  $("p-time").textContent = `${player.t.toFixed(2)} / ${clock(player.end)}`;
  $("p-play").textContent = player.playing ? "❚❚" : "▶";
}

function hud(side, at) {
  const d = side.drive, t = d.time(at), made = [el("span", { class: "name", style: `border-left-color: var(--run${Math.min(side.run, 5)})` }, runName(side.run))];
  made.push(el("span", {}, `${fixed(d.state("speed", at))} m/s`), el("span", {}, `route ${percent(d.state("completion", at))}`), el("span", {}, `score so far ${fixed(d.state("score", at))}`));
  if (!player.town) made.push(el("span", {}, "no map of this town"));
  for (const item of d.episode.infractions) if (Math.abs(t - item.t) < 0.75) made.push(el("span", { class: "alarm" }, words(item.kind)));
  if (at >= d.count) made.push(el("span", {}, d.episode.status));
  return made;
}

// Time line: a row of infractions for each drive, completion underneath.
function drawLine() {
  const { ctx, width, height } = context($("p-line"));
  const x = (t) => 8 + (t / player.end) * (width - 16);
  const rows = player.sides.length, middle = (row) => height * ((row + 0.5) / rows);
  player.sides.forEach((side, row) => {
    const end = leadTime(side, side.drive.end);
    ctx.strokeStyle = css("--line");
    ctx.lineWidth = 6;
    ctx.lineCap = "round";
    ctx.beginPath(); ctx.moveTo(x(0), middle(row)); ctx.lineTo(x(player.end), middle(row)); ctx.stroke();
    ctx.strokeStyle = runColour(side.run);
    ctx.beginPath(); ctx.moveTo(x(0), middle(row)); ctx.lineTo(x(Math.min(player.t, end)), middle(row)); ctx.stroke();
    for (const item of side.drive.episode.infractions) {
      const [letter, colour] = kindOf(item.kind), px = x(leadTime(side, item.t));
      ctx.fillStyle = css("--card"); ctx.strokeStyle = css(colour); ctx.lineWidth = 2;
      ctx.beginPath(); ctx.arc(px, middle(row), 8, 0, 7); ctx.fill(); ctx.stroke();
      ctx.fillStyle = css(colour); ctx.font = "bold 10px sans-serif"; ctx.textAlign = "center"; ctx.textBaseline = "middle";
      ctx.fillText(letter, px, middle(row) + 0.5);
    }
  });
  ctx.fillStyle = css("--ink");
  ctx.fillRect(x(player.t) - 1, 0, 2, height);
}

// The moment stands in the address, so that it can be kept or passed on.
function remember() {
  clearTimeout(player.remembering);
  // not at every move of a finger: browsers refuse addresses that change that fast
  player.remembering = setTimeout(writeAddress, 150);
}

function writeAddress() {
  const open = $("player").open && player.id !== null;
  history.replaceState(null, "", open ? `#play=${encodeURIComponent(player.id)}&vs=${state.candidate}&t=${player.t.toFixed(2)}` : location.pathname + location.search);
}

function openFromAddress() {
  const told = new URLSearchParams(location.hash.slice(1)), id = told.get("play"), candidate = Number(told.get("vs"));
  if (!id || !R.runs.length) return;
  if (candidate > 0 && candidate < R.runs.length) { state.candidate = candidate; $("candidate").value = candidate; }
  if (episodeOf[state.candidate].has(id) || episodeOf[0].has(id)) openPlayer(id, Number(told.get("t")) || 0, state.candidate);
}

function frameStep(now) {
  if (!player.playing) return;
  player.t += ((now - player.last) / 1000) * Number($("p-speed").value);
  player.last = now;
  if (player.t >= player.end) { player.t = player.end; player.playing = false; }
  redraw();
  requestAnimationFrame(frameStep);
}

function play() {
  if (!player.sides.length) return;
  if (player.t >= player.end) player.t = 0;
  player.playing = true;
  player.last = performance.now();
  requestAnimationFrame(frameStep);
}
function stop() { player.playing = false; redraw(); remember(); }
function step(seconds) { stop(); seek(player.t + seconds); }
function decision() { const d = lead().drive; return d.t[1] - d.t[0]; }
function zoom(factor) { player.view.metres = clamp(player.view.metres * factor, 0.03, 1.2); redraw(); }

function jump(direction) {
  const list = moments(), now = player.t;
  const found = direction > 0 ? list.find((one) => one.t > now + 0.02) : list.filter((one) => one.t < now - 0.02).pop();
  if (found) { stop(); seek(found.t); }
}

function neighbour(direction) {
  const order = shownRoutes().map((row) => row.id), at = order.indexOf(player.id);
  const next = order[at < 0 ? 0 : clamp(at + direction, 0, order.length - 1)];
  if (next && next !== player.id) openPlayer(next);
}

const TOGGLES = [["plan", "plan", "--plan"], ["sft", "SFT plan", "--sft"], ["expert", "expert's plan", "--expert"], ["delta", "delta", "--delta"]];

function setUpPlayer() {
  player.plots = new Plots($("p-plots"), (t) => { stop(); seek(t); });
  for (const [name, label, colour] of TOGGLES) {
    const button = el("button", { type: "button", "aria-pressed": String(player.view.show[name]), onclick: () => {
      player.view.show[name] = !player.view.show[name];
      button.setAttribute("aria-pressed", String(player.view.show[name]));
      redraw();
    } }, el("span", { class: "dot", style: `background: var(${colour})` }), label);
    button.id = "toggle-" + name;
    $("p-toggles").append(button);
  }
  const north = el("button", { type: "button", id: "p-north", "aria-pressed": "false", title: "Heading or north up (h)", onclick: () => { player.view.north = !player.view.north; north.setAttribute("aria-pressed", String(player.view.north)); redraw(); } }, "north up");
  $("p-toggles").append(north, el("button", { type: "button", title: "Closer (+)", onclick: () => zoom(1 / 1.25) }, "+"), el("button", { type: "button", title: "Farther (−)", onclick: () => zoom(1.25) }, "−"));
  $("p-play").onclick = () => (player.playing ? stop() : play());
  $("p-back").onclick = () => step(-decision());
  $("p-step").onclick = () => step(decision());
  $("p-prev").onclick = () => jump(-1);
  $("p-next").onclick = () => jump(1);
  $("p-before").onclick = () => neighbour(-1);
  $("p-after").onclick = () => neighbour(1);
  $("p-close").onclick = () => $("player").close();
  $("p-help-button").onclick = () => { $("p-help").hidden = !$("p-help").hidden; };
  $("p-sync").onchange = () => { if (player.sides.length) { measure(); showMoments(); seek(player.t); } };
  $("player").addEventListener("close", () => { player.id = null; stop(); });
  const scrub = (event) => { const box = $("p-line").getBoundingClientRect(); stop(); seek(((event.clientX - box.left - 8) / (box.width - 16)) * player.end); };
  $("p-line").addEventListener("pointerdown", (event) => { $("p-line").setPointerCapture(event.pointerId); scrub(event); });
  $("p-line").addEventListener("pointermove", (event) => { if (event.buttons) scrub(event); });
  window.addEventListener("resize", redraw);
  $("player").addEventListener("keydown", keys);
}

function keys(event) {
  if (["SELECT", "INPUT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
  const toggle = (name) => $("toggle-" + name).click();
  const actions = {
    " ": () => (player.playing ? stop() : play()), ArrowLeft: () => step(event.shiftKey ? -1 : -decision()), ArrowRight: () => step(event.shiftKey ? 1 : decision()),
    Home: () => step(-1e9), End: () => step(1e9), n: () => jump(1), p: () => jump(-1), j: () => neighbour(1), k: () => neighbour(-1), "+": () => zoom(1 / 1.25), "=": () => zoom(1 / 1.25), "-": () => zoom(1.25),
    h: () => $("p-north").click(), t: () => { $("p-sync").value = $("p-sync").value === "time" ? "place" : "time"; $("p-sync").onchange(); },
    1: () => toggle("plan"), 2: () => toggle("sft"), 3: () => toggle("expert"), 4: () => toggle("delta"), "?": () => $("p-help-button").click(),
  };
  if (actions[event.key] && player.sides.length) { event.preventDefault(); actions[event.key](); }
}
