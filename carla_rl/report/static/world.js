// Draws a town's ground and what moves on it. Map frame: x east, y north, metres; the context's transform turns it into pixels.
const towns = {};

async function townOf(name) {
  if (!(name in towns)) towns[name] = R.towns[name] ? makeTown(await unpack(R.towns[name])) : null;
  return towns[name];
}

function makeTown(packed) {
  const lanes = packed.lanes, edges = packed.edges.values;
  const town = { surfaces: [new Path2D(), new Path2D(), new Path2D(), new Path2D()], solid: new Path2D(), broken: new Path2D(), curb: new Path2D(), zebra: new Path2D(), stops: [], box: [Infinity, Infinity, -Infinity, -Infinity] };
  let at = 0;
  const line = (path, from, count, begin = true) => {
    for (let i = 0; i < count; i++) {
      const x = edges[2 * (from + i)], y = edges[2 * (from + i) + 1];
      if (i === 0 && begin) path.moveTo(x, y); else path.lineTo(x, y);
      town.box = [Math.min(town.box[0], x), Math.min(town.box[1], y), Math.max(town.box[2], x), Math.max(town.box[3], y)];
    }
  };
  for (let i = 0; i < lanes.rows; i++) {
    const [kind, left, right, leftMark, rightMark, junction] = lanes.values.subarray(i * 6, i * 6 + 6);
    const surface = town.surfaces[kind];
    line(surface, at, left);
    for (let k = right - 1; k >= 0; k--) surface.lineTo(edges[2 * (at + left + k)], edges[2 * (at + left + k) + 1]);
    surface.closePath();
    if (!junction) for (const [mark, from, count] of [[leftMark, at, left], [rightMark, at + left, right]]) {
      const path = [null, town.broken, town.solid, town.curb][mark];
      if (path) line(path, from, count);
    }
    at += left + right;
  }
  let corner = 0;
  for (const count of packed.crosswalks.values) {
    for (let i = 0; i < count; i++, corner++) town.zebra[i ? "lineTo" : "moveTo"](packed.corners.values[2 * corner], packed.corners.values[2 * corner + 1]);
    town.zebra.closePath();
  }
  for (let i = 0; i < packed.stop_ends.rows; i++)
    town.stops.push({ ends: packed.stop_ends.values.subarray(i * 4, i * 4 + 4), rule: packed.stop_rules.values[2 * i], signal: packed.stop_rules.values[2 * i + 1] });
  return town;
}

function drawGround(ctx, town) {
  const [road, parking, shoulder, walk] = town.surfaces;
  for (const [path, colour] of [[walk, "--walk"], [shoulder, "--shoulder"], [parking, "--parking"], [road, "--road"]]) {
    ctx.fillStyle = ctx.strokeStyle = css(colour);
    ctx.lineWidth = 0.12;
    ctx.fill(path);
    ctx.stroke(path);
  }
  ctx.fillStyle = css("--corridor");
  ctx.fill(town.zebra);
  ctx.strokeStyle = css("--paint");
  ctx.lineWidth = 0.14;
  ctx.stroke(town.solid);
  ctx.setLineDash([3, 4.5]);
  ctx.stroke(town.broken);
  ctx.setLineDash([]);
  ctx.strokeStyle = css("--curb");
  ctx.stroke(town.curb);
}

const LIGHTS = ["#777777", "#28c76f", "#f5b921", "#f0443a"];

function drawStops(ctx, town, lights) {
  for (const stop of town.stops) {
    const lit = stop.signal >= 0 ? lights[stop.signal] || 0 : 0;
    ctx.strokeStyle = stop.signal >= 0 ? LIGHTS[lit] : css("--paint");
    ctx.lineWidth = stop.signal >= 0 ? 0.7 : 0.4;
    if (stop.rule === 3) ctx.setLineDash([0.6, 0.5]);
    ctx.beginPath();
    ctx.moveTo(stop.ends[0], stop.ends[1]);
    ctx.lineTo(stop.ends[2], stop.ends[3]);
    ctx.stroke();
    ctx.setLineDash([]);
  }
}

// A box with a pale wedge at its front.
function drawBox(ctx, x, y, yaw, halfLength, halfWidth, colour) {
  ctx.save();
  ctx.translate(x, y);
  ctx.rotate(yaw);
  ctx.fillStyle = colour;
  ctx.strokeStyle = "rgba(0,0,0,.75)";
  ctx.lineWidth = 0.12;
  ctx.beginPath();
  ctx.rect(-halfLength, -halfWidth, 2 * halfLength, 2 * halfWidth);
  ctx.fill();
  ctx.stroke();
  if (halfLength > 0.9) {
    ctx.fillStyle = "rgba(255,255,255,.85)";
    ctx.beginPath();
    ctx.moveTo(0.85 * halfLength, 0);
    ctx.lineTo(0.35 * halfLength, 0.7 * halfWidth);
    ctx.lineTo(0.35 * halfLength, -0.7 * halfWidth);
    ctx.fill();
  }
  ctx.restore();
}

const ACTORS = ["", "#7f8ea3", "#e5397f", "#8b6b4a", "#c98a1b", "#e02d2d"];

// Pedestrians are discs, never too small to see.
function drawActor(ctx, actor, scale) {
  const colour = ACTORS[actor.kind] || ACTORS[1];
  if (actor.kind !== 2) return drawBox(ctx, actor.x, actor.y, actor.yaw, actor.halfLength, actor.halfWidth, colour);
  ctx.fillStyle = colour;
  ctx.strokeStyle = "rgba(0,0,0,.75)";
  ctx.lineWidth = 1 / scale;
  ctx.beginPath();
  ctx.arc(actor.x, actor.y, Math.max(actor.halfLength, 4.5 / scale), 0, 7);
  ctx.fill();
  ctx.stroke();
}

// One instant of a drive, seen from above: `view` has metres per pixel, `north`, and what to show.
function drawWorld(canvas, town, drive, at, view, run) {
  const { ctx, width, height } = context(canvas);
  const pose = drive.pose(at), scale = 1 / view.metres;
  ctx.fillStyle = css("--grass");
  ctx.fillRect(0, 0, width, height);
  ctx.save();
  ctx.translate(width / 2, height * (view.north ? 0.5 : 0.66));
  ctx.scale(scale, -scale);
  if (!view.north) ctx.rotate(Math.PI / 2 - pose.yaw);
  ctx.translate(-pose.x, -pose.y);
  ctx.lineJoin = ctx.lineCap = "round";
  drive.drawRoute(ctx, scale);
  if (town) {
    ctx.lineCap = "butt";
    drawGround(ctx, town);
    ctx.lineCap = "round";
    drive.drawRoute(ctx, scale);
    drawStops(ctx, town, drive.lightsAt(at));
  }
  drive.drawTrail(ctx, at, css("--run" + Math.min(run, 5)));
  for (const actor of drive.actorsAt(at)) drawActor(ctx, actor, scale);
  for (const item of drive.episode.infractions) drawMark(ctx, item, 7 / scale, view.north ? 0 : pose.yaw - Math.PI / 2, item.t <= drive.time(at) + 0.05);
  drawBox(ctx, pose.x, pose.y, pose.yaw, 2.45, 1.06, css("--run" + Math.min(run, 5)));
  drive.drawPlans(ctx, at, view.show, scale);
  // a ring around what is happening now
  for (const item of drive.episode.infractions) if (Math.abs(item.t - drive.time(at)) < 0.75) {
    ctx.strokeStyle = css(kindOf(item.kind)[1]);
    ctx.lineWidth = 3 / scale;
    ctx.beginPath();
    ctx.arc(item.x, item.y, 30 / scale, 0, 7);
    ctx.stroke();
  }
  ctx.restore();
}

function drawMark(ctx, item, radius, turn, past) {
  const [letter, colour] = kindOf(item.kind);
  ctx.save();
  ctx.translate(item.x, item.y);
  ctx.rotate(turn);
  ctx.scale(1, -1);
  ctx.globalAlpha = past ? 1 : 0.4;
  ctx.beginPath();
  ctx.arc(0, 0, radius, 0, 7);
  ctx.lineWidth = radius / 4;
  ctx.strokeStyle = css(colour);
  ctx.stroke();
  ctx.fillStyle = css("--card");
  ctx.globalAlpha *= 0.7;
  ctx.fill();
  ctx.globalAlpha = past ? 1 : 0.5;
  ctx.fillStyle = css(colour);
  ctx.font = `bold ${radius * 1.3}px sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillText(letter, 0, radius * 0.08);
  ctx.restore();
}
