// One drive as its step log tells it; `at` is a decision with a fraction, so that motion is smooth between decisions.
const drives = new Map(), waiting = new Map();

// Called by the script files beside a large report.
function carlaRlDrive(key, text) {
  waiting.get(key)?.(text);
  waiting.delete(key);
}

function driveText(run, index) {
  if (!R.beside) return Promise.resolve(R.drives[run]?.[index] ?? null);
  const name = R.beside.names[run][index];
  if (!name) return Promise.resolve(null);
  return new Promise((resolve, reject) => {
    waiting.set(`${run}/${name}`, resolve);
    const source = encodeURIComponent(R.beside.folder) + "/" + encodeURIComponent(name);
    document.head.append(el("script", { src: source, onerror: () => reject(new Error(`${R.beside.folder}/${name} is missing: keep that folder beside the page`)) }));
  });
}

function driveOf(run, episode) {
  const key = `${run}/${episode.index}`;
  if (!drives.has(key)) {
    const made = driveText(run, episode.index).then(async (text) => (text ? new Drive(await unpack(text), episode) : null));
    made.catch(() => drives.delete(key));
    drives.set(key, made);
  }
  return drives.get(key);
}

class Drive {
  constructor(tables, episode) {
    this.tables = tables;
    this.episode = episode;
    this.count = tables.control.rows;
    this.t = tables.tick.values.map((tick) => tick * 0.05);
    this.end = this.t[this.count];
    // actors by decision: rows of the tracks
    this.rows = Array.from({ length: this.count }, () => []);
    let row = 0;
    const track = tables.track, size = tables.track_size.values;
    for (let k = 0; k < track.rows; k++) {
      const [id, kind, length] = track.values.subarray(k * 3, k * 3 + 3);
      for (let i = 0; i < length; i++, row++) this.rows[tables.track_decision.values[row]].push({ row, id, kind, last: i === length - 1, halfLength: size[2 * k], halfWidth: size[2 * k + 1] });
    }
  }

  has(name) { return name in this.tables; }
  time(at) { const i = Math.min(Math.floor(at), this.count - 1); return this.t[i] + (this.t[i + 1] - this.t[i]) * (at - i); }
  at(t) {
    let low = 0, high = this.count;
    while (high - low > 1) { const mid = (low + high) >> 1; if (this.t[mid] <= t + 1e-6) low = mid; else high = mid; }
    return clamp(low + (t - this.t[low]) / (this.t[low + 1] - this.t[low]), 0, this.count);
  }
  // The first moment at which a share of the route was completed.
  atCompletion(share) {
    const c = this.tables.completion.values;
    let i = 0;
    while (i < this.count && c[i + 1] < share - 1e-9) i++;
    const step = c[Math.min(i + 1, this.count)] - c[i];
    return Math.min(this.count, i + (step > 1e-9 ? clamp((share - c[i]) / step, 0, 1) : 0));
  }
  // Rows of states are interpolated, rows of decisions hold until the next one.
  state(name, at, column = 0) {
    const table = this.tables[name], i = Math.min(Math.floor(at), this.count - 1), f = at - i, c = table.columns;
    return table.values[i * c + column] * (1 - f) + table.values[(i + 1) * c + column] * f;
  }
  decided(name, at, column = 0) {
    const table = this.tables[name];
    return table ? table.values[Math.min(Math.floor(at), this.count - 1) * table.columns + column] : null;
  }
  pose(at) { return { x: this.state("place", at, 0), y: this.state("place", at, 1), yaw: this.state("yaw", at) }; }
  lightsAt(at) { const l = this.tables.lights, i = Math.min(Math.floor(at), this.count - 1); return l.values.subarray(i * l.columns, (i + 1) * l.columns); }

  actorsAt(at) {
    const i = Math.min(Math.floor(at), this.count - 1), f = at - i, place = this.tables.track_place.values, yaw = this.tables.track_yaw.values;
    return this.rows[i].map((item) => {
      const r = item.row, decision = this.tables.track_decision.values;
      // on to the same actor's next row, unless it is gone then or was put elsewhere
      const goes = !item.last && decision[r + 1] === i + 1 && Math.hypot(place[2 * r + 2] - place[2 * r], place[2 * r + 3] - place[2 * r + 1]) < 15;
      const mix = (a, b) => (goes ? a + (b - a) * f : a);
      const turn = goes ? Math.atan2(Math.sin(yaw[r + 1] - yaw[r]), Math.cos(yaw[r + 1] - yaw[r])) : 0;
      return { ...item, x: mix(place[2 * r], place[2 * r + 2]), y: mix(place[2 * r + 1], place[2 * r + 3]), yaw: yaw[r] + turn * f };
    });
  }

  drawRoute(ctx, scale) {
    const route = this.tables.route;
    ctx.beginPath();
    for (let i = 0; i < route.rows; i++) ctx[i ? "lineTo" : "moveTo"](route.values[3 * i], route.values[3 * i + 1]);
    ctx.strokeStyle = css("--corridor");
    ctx.lineWidth = 2 * route.values[2];
    ctx.stroke();
    ctx.strokeStyle = css("--muted");
    ctx.globalAlpha = 0.6;
    ctx.lineWidth = 1.2 / scale;
    ctx.setLineDash([4 / scale, 4 / scale]);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
  }

  drawTrail(ctx, at, colour) {
    const place = this.tables.place.values, pose = this.pose(at);
    ctx.beginPath();
    ctx.moveTo(place[0], place[1]);
    for (let i = 1; i <= at; i++) ctx.lineTo(place[2 * i], place[2 * i + 1]);
    ctx.lineTo(pose.x, pose.y);
    ctx.strokeStyle = colour;
    ctx.globalAlpha = 0.5;
    ctx.lineWidth = 0.35;
    ctx.stroke();
    ctx.globalAlpha = 1;
  }

  // Waypoints of a plan in the map frame, made at the last decision.
  plan(name, at) {
    const x = this.tables[name + "_x"], y = this.tables[name + "_y"];
    if (!x) return null;
    const i = Math.min(Math.floor(at), this.count - 1), pose = this.pose(i), c = Math.cos(pose.yaw), s = Math.sin(pose.yaw);
    return Array.from({ length: x.columns }, (_, k) => {
      const u = x.values[i * x.columns + k], v = y.values[i * x.columns + k];
      return [pose.x + u * c - v * s, pose.y + u * s + v * c];
    });
  }

  drawPlans(ctx, at, show, scale) {
    const plan = this.plan("plan", at), sft = this.plan("sft", at);
    for (const [name, points, colour, dash] of [["expert", this.plan("expert", at), "--expert", [2, 4]], ["sft", sft, "--sft", [6, 4]], ["plan", plan, "--plan", []]]) {
      if (!points || !show[name]) continue;
      ctx.strokeStyle = ctx.fillStyle = css(colour);
      ctx.lineWidth = 2.6 / scale;
      ctx.setLineDash(dash.map((d) => d / scale));
      ctx.beginPath();
      points.forEach(([x, y], k) => ctx[k ? "lineTo" : "moveTo"](x, y));
      ctx.stroke();
      ctx.setLineDash([]);
      for (const [x, y] of points) { ctx.beginPath(); ctx.arc(x, y, 2.4 / scale, 0, 7); ctx.fill(); }
    }
    if (plan && sft && show.delta) {
      ctx.strokeStyle = css("--delta");
      ctx.lineWidth = 1.8 / scale;
      ctx.beginPath();
      plan.forEach(([x, y], k) => { ctx.moveTo(sft[k][0], sft[k][1]); ctx.lineTo(x, y); });
      ctx.stroke();
    }
  }
}
