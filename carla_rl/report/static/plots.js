// Plots under the player: values over the time of the drive that leads, with a cursor.
const SAMPLES = 400;

// Each plot: title, unit, and its lines for a drive: name, colour, value(drive, at), or null where the log lacks it.
const PLOTS = [
  { title: "speed", unit: "m/s", low: 0, lines: (d, run) => [{ name: runShort(run), colour: `--run${Math.min(run, 5)}`, value: (at) => d.state("speed", at) }, ...(run === state.candidate ? [{ name: "limit", colour: "--muted", dash: true, value: (at) => d.state("limit", at) }] : [])] },
  { title: "correction 1 s ahead", unit: "m", both: false, lines: (d) => d.has("correction") && [{ name: "forward", colour: "--delta", value: (at) => d.decided("correction", at, 0) }, { name: "left", colour: "--expert", value: (at) => d.decided("correction", at, 1) }], lacks: "no SFT plan beside the plan: this policy has no delta" },
  { title: "pedals: throttle up, brake down", unit: "", both: false, range: [-1, 1], lines: (d) => [{ name: "throttle", colour: "--good", value: (at) => d.decided("control", at, 0) }, { name: "brake", colour: "--bad", value: (at) => -d.decided("control", at, 2) }] },
  { title: "steer, left up", unit: "", both: false, lines: (d) => [{ name: "steer", colour: "--accent", value: (at) => d.decided("control", at, 1) }] },
  { title: "plan to the expert's plan (ADE of each decision)", unit: "m", low: 0, lines: (d, run) => d.has("plan_error") && [{ name: runShort(run), colour: `--run${Math.min(run, 5)}`, value: (at) => d.decided("plan_error", at) }], lacks: "the step log holds no plans of the expert (it is of an older version)" },
  { title: "driving score so far", unit: "", range: [0, 100], lines: (d, run) => [{ name: runShort(run), colour: `--run${Math.min(run, 5)}`, value: (at) => d.state("score", at) }] },
  { title: "off the route's line, left up", unit: "m", lines: (d, run) => [{ name: runShort(run), colour: `--run${Math.min(run, 5)}`, value: (at) => d.state("lateral", at) }] },
];
const runShort = (run) => R.runs[run].letter;

class Plots {
  constructor(place, seek) {
    this.place = place;
    this.seek = seek;
    this.made = [];
  }

  // sides: [{run, drive}], the leading one last; map(side, t) gives that side's moment.
  show(sides, end, map) {
    this.place.replaceChildren();
    this.end = end;
    this.made = [];
    for (const plot of PLOTS) {
      const used = plot.both === false ? sides.slice(-1) : sides, lines = [];
      for (const side of used) {
        const found = plot.lines(side.drive, side.run);
        if (found) lines.push(...found.map((line) => ({ ...line, y: Float64Array.from({ length: SAMPLES + 1 }, (_, i) => line.value(map(side, (i / SAMPLES) * end))) })));
      }
      const head = el("h3", {}, plot.title + (plot.unit ? ` (${plot.unit})` : ""));
      if (!lines.length) {
        if (plot.lacks) this.place.append(el("div", { class: "plot" }, head, el("p", { class: "muted" }, plot.lacks)));
        continue;
      }
      head.append(el("span", { class: "legend" }, lines.map((line) => el("span", { style: `color: var(${line.colour})` }, (line.dash ? "┄ " : "━ ") + line.name))));
      const canvas = el("canvas", { role: "img", "aria-label": plot.title });
      const go = (event) => { const box = canvas.getBoundingClientRect(); this.seek(clamp((event.clientX - box.left) / box.width, 0, 1) * end); };
      canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); go(event); });
      canvas.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
      this.place.append(el("div", { class: "plot" }, head, canvas));
      let range = plot.range;
      if (!range) {
        const all = lines.flatMap((line) => Array.from(line.y));
        range = span(all, 0.08);
        if (plot.low !== undefined) range[0] = plot.low;
      }
      this.made.push({ canvas, lines, range });
    }
  }

  draw(t) {
    for (const { canvas, lines, range } of this.made) {
      const { ctx, width, height } = context(canvas);
      const y = (v) => height - 3 - ((v - range[0]) / (range[1] - range[0])) * (height - 6);
      ctx.font = "10px system-ui, sans-serif";
      ctx.fillStyle = css("--muted");
      ctx.strokeStyle = css("--line");
      ctx.lineWidth = 1;
      for (const v of ticks(range[0], range[1], 2)) {
        ctx.beginPath();
        ctx.moveTo(0, y(v));
        ctx.lineTo(width, y(v));
        ctx.stroke();
        ctx.fillText(short(v), 2, y(v) - 2);
      }
      for (const line of lines) {
        ctx.strokeStyle = css(line.colour);
        ctx.lineWidth = 1.6;
        ctx.setLineDash(line.dash ? [4, 3] : []);
        ctx.beginPath();
        line.y.forEach((v, i) => ctx[i ? "lineTo" : "moveTo"]((i / SAMPLES) * width, y(v)));
        ctx.stroke();
      }
      ctx.setLineDash([]);
      ctx.strokeStyle = css("--ink");
      ctx.lineWidth = 1;
      ctx.beginPath();
      ctx.moveTo((t / this.end) * width, 0);
      ctx.lineTo((t / this.end) * width, height);
      ctx.stroke();
    }
  }
}
