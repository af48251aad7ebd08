// The map of a town with the infractions of the runs compared; drag, wheel and pinch.
const mapState = { town: null };

function infractionsIn(town) {
  const sides = hasPair() ? [0, state.candidate] : [state.candidate];
  return sides.flatMap((run) => R.episodes[run].filter((episode) => episode.town === town).flatMap((episode) => episode.infractions.filter((item) => item.x !== null).map((item) => ({ run, episode, item }))));
}

function setUpPlaces() {
  const names = [...new Set(R.episodes.flat().map((episode) => episode.town))].filter((town) => town !== null).sort();
  if (!names.length) return;
  mapState.town = names.sort((x, y) => infractionsIn(y).length - infractionsIn(x).length)[0];
  names.sort();
  $("town-tabs").setAttribute("role", "tablist");
  $("town-tabs").append(...names.map((town) => el("button", { type: "button", role: "tab", "data-town": town, onclick: () => { mapState.town = town; showPlaces(); } }, town)));
}

async function showPlaces() {
  if (!mapState.town) return;
  for (const tab of $("town-tabs").children) tab.setAttribute("aria-selected", String(tab.dataset.town === mapState.town));
  const sides = hasPair() ? [0, state.candidate] : [state.candidate];
  $("map-legend").replaceChildren(...sides.map((run) => el("span", {}, dot(run), `${runName(run)}: ${infractionsIn(mapState.town).filter((one) => one.run === run).length}`)), ...Object.entries(KINDS).map(([kind, [letter]]) => el("span", {}, `${letter} ${words(kind)}`)));
  const wanted = mapState.town, town = await townOf(wanted);
  if (wanted !== mapState.town) return;
  const canvas = el("canvas", { role: "img", "aria-label": `Infractions on the map of ${wanted}` });
  $("map").replaceChildren(canvas);
  const marks = infractionsIn(wanted), points = marks.map(({ item }) => [item.x, item.y]);
  const box = town ? town.box : points.length ? [Math.min(...points.map((p) => p[0])) - 50, Math.min(...points.map((p) => p[1])) - 50, Math.max(...points.map((p) => p[0])) + 50, Math.max(...points.map((p) => p[1])) + 50] : [0, 0, 1, 1];
  const size = canvas.getBoundingClientRect();
  const camera = { x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2, scale: 0.94 * Math.min(size.width / (box[2] - box[0]), size.height / (box[3] - box[1])) };
  $("map-zoom").replaceChildren(...[["+", 1.4], ["−", 1 / 1.4]].map(([label, factor]) => el("button", { type: "button", "aria-label": factor > 1 ? "closer" : "farther", onclick: () => { camera.scale = clamp(camera.scale * factor, 0.05, 40); mapState.redraw(); } }, label)));
  mapState.redraw = () => drawPlaces(canvas, town, marks, camera);
  handleMap(canvas, camera, marks);
  mapState.redraw();
}

function drawPlaces(canvas, town, marks, camera) {
  const { ctx, width, height } = context(canvas);
  ctx.save();
  ctx.translate(width / 2, height / 2);
  ctx.scale(camera.scale, -camera.scale);
  ctx.translate(-camera.x, -camera.y);
  if (town) drawGround(ctx, town);
  ctx.restore();
  for (const { run, item } of marks) {
    const x = width / 2 + (item.x - camera.x) * camera.scale, y = height / 2 - (item.y - camera.y) * camera.scale, letter = kindOf(item.kind)[0];
    ctx.fillStyle = runColour(run);
    ctx.strokeStyle = css("--card");
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    // the baseline's marks are squares, so that colour is not all that tells them apart
    if (run === 0 && hasPair()) ctx.rect(x - 7, y - 7, 14, 14); else ctx.arc(x, y, 8, 0, 7);
    ctx.fill();
    ctx.stroke();
    ctx.fillStyle = css("--card");
    ctx.font = "bold 10px sans-serif";
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(letter, x, y + 0.5);
  }
}

function handleMap(canvas, camera, marks) {
  const fingers = new Map();
  let moved = 0;
  const nearest = (event) => {
    const box = canvas.getBoundingClientRect();
    let best = null, least = 14;
    for (const mark of marks) {
      const x = box.left + box.width / 2 + (mark.item.x - camera.x) * camera.scale, y = box.top + box.height / 2 - (mark.item.y - camera.y) * camera.scale;
      const d = Math.hypot(event.clientX - x, event.clientY - y);
      if (d < least) { least = d; best = mark; }
    }
    return best;
  };
  const zoomAt = (clientX, clientY, factor) => {
    const box = canvas.getBoundingClientRect(), dx = clientX - box.left - box.width / 2, dy = clientY - box.top - box.height / 2;
    const scale = clamp(camera.scale * factor, 0.05, 40);
    camera.x += dx / camera.scale - dx / scale;
    camera.y -= dy / camera.scale - dy / scale;
    camera.scale = scale;
    mapState.redraw();
  };
  // without Ctrl the wheel scrolls the page
  canvas.addEventListener("wheel", (event) => { if (!event.ctrlKey && !event.metaKey) return; event.preventDefault(); zoomAt(event.clientX, event.clientY, event.deltaY > 0 ? 1 / 1.15 : 1.15); }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, event); moved = 0; });
  canvas.addEventListener("pointermove", (event) => {
    const old = fingers.get(event.pointerId);
    if (!old) {
      const mark = nearest(event);
      canvas.style.cursor = mark ? "pointer" : "grab";
      canvas.title = mark ? `${R.runs[mark.run].letter} ${words(mark.item.kind)}, ${mark.episode.id} at ${clock(mark.item.t)}` : "";
      return;
    }
    moved += Math.abs(event.clientX - old.clientX) + Math.abs(event.clientY - old.clientY);
    if (fingers.size === 1) {
      camera.x -= (event.clientX - old.clientX) / camera.scale;
      camera.y += (event.clientY - old.clientY) / camera.scale;
    } else {
      const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
      const before = Math.hypot(old.clientX - other.clientX, old.clientY - other.clientY), after = Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY);
      if (before > 0) zoomAt((event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2, after / before);
    }
    fingers.set(event.pointerId, event);
    mapState.redraw();
  });
  const up = (event) => {
    const alone = fingers.size === 1;
    fingers.delete(event.pointerId);
    const mark = alone && moved < 5 ? nearest(event) : null;
    if (mark) openPlayer(mark.episode.id, mark.item.t, mark.run);
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
}
