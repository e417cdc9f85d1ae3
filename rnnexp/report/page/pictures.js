// The pictures of every run: loss, heat maps, profiles, slopes.

const chosen = { state: "" };

/** Shown runs that have the chosen state, and those that have not. */
function withState() {
  const all = shownRuns(), has = ({ run }) => run.profiles[chosen.state] !== undefined;
  return { there: all.filter(has), not: all.filter((entry) => !has(entry)).map(({ run }) => run) };
}
const stateWords = () => plain(`‖dL/d${chosen.state.split(" ")[1]}ₜ‖ of ${chosen.state.split(" ")[0]}`);

/** What a step, a place and a lag are called along the axes of some runs: time, hop, update, ... */
function axisWords(axes) {
  const step = distinct(axes.map((axis) => (axis === "time" ? "step" : ["propagation", "gibbs"].includes(axis) ? `${axis} step` : plain(axis))));
  if (step.length === 1 && step[0] !== "step") return { step: step[0], place: step[0], lag: `lag in ${step[0]}s: ${step[0]}s before the last one` };
  return { step: "step", place: "time step t", lag: "lag: steps before the unit's last one" };
}
const shownAxes = () => withState().there.map(({ run }) => run.axis);

function lossSection(host) {
  const names = distinct(RUNS.flatMap(({ curves }) => [...Object.keys(curves.valid.values), ...Object.keys(curves.train.values)]))
    .filter((name) => !name.startsWith("slope/"));
  const row = make("div", { class: "row" });
  const score = addSelect(row, "Score", names.length ? names : ["loss"], () => refresh(figure));
  const scale = addSelect(row, "Scale", [["log", "logarithmic"], ["linear", "linear"]], () => refresh(figure));
  host.append(row);
  const build = () => {
    const traces = [], missing = [], levels = new Map(), name = score.value;
    for (const { run } of shownRuns()) {
      const { train, valid } = run.curves;
      const hover = (kind) => `%{fullData.name}<br>${kind} ${plain(name)} %{y:.4~g} at step %{x}<extra></extra>`;
      if (train.values[name]) traces.push(curve(run, train.steps, train.values[name], { what: ", training", line: { width: 1 }, mark: { size: 5 }, hovertemplate: hover("training") }));
      if (valid.values[name]) traces.push(curve(run, valid.steps, valid.values[name], { what: ", validation", line: { width: 2.5 }, mark: { size: 9 }, hovertemplate: hover("validation") }));
      if (!train.values[name] && !valid.values[name]) missing.push(run);
      if (Number.isFinite(run.baseline[name])) levels.set(`${run.task} baseline ${text(run.baseline[name])}`, run.baseline[name]);
    }
    const log = scale.value === "log", positive = [...levels].filter(([, level]) => !log || level > 0);
    const shapes = positive.map(([words, level]) => markLine("y", level, words));
    const { axis, note } = fitHeights(traces, log, positive.map(([, level]) => level));
    const yaxis = { ...(log ? LOG_AXIS : {}), ...axis, title: { text: plain(name) } };
    return { traces, layout: { shapes, xaxis: { title: { text: "training step" } }, yaxis }, note: `${lacking(name, missing)} ${note}`.trim() };
  };
  const figure = addFigure(host, { id: "plot-loss", label: "Curves of the score over the training step, a pair a run, with dashed baselines.", build });
}

function lengthSection(host) {
  const tested = RUNS.filter((run) => run.lengths);
  if (!tested.length) {
    host.append(make("p", { class: "soft" }, "None of these runs was tested at other lengths, so there is no picture. `--config.eval.lengths=20,40` names some."));
    return;
  }
  const names = distinct(tested.flatMap(({ lengths }) => Object.keys(lengths.test))), row = make("div", { class: "row" });
  const score = addSelect(row, "Test score", names, () => refresh(figure));
  score.value = tested.map(({ headline }) => headline).find((name) => names.includes(name)) ?? names[0];
  host.append(row);
  const build = () => {
    const traces = [], missing = [], ranges = new Map(), levels = new Map(), units = new Set(), name = score.value;
    for (const { run } of shownRuns()) {
      const found = run.lengths;
      if (!found?.test[name]) { missing.push(run); continue; }
      traces.push(curve(run, found.lengths, found.test[name], { hovertemplate: `%{fullData.name}<br>test ${plain(name)} %{y:.4~g} at %{x} ${plain(found.unit)}<extra></extra>` }));
      ranges.set(found.train.join(), found.train);
      units.add(found.unit);
      if (found.baseline[name]) levels.set(JSON.stringify([found.lengths, found.baseline[name]]), { run, found });
    }
    const { axis, note } = fitHeights(traces, false, [...levels.values()].flatMap(({ found }) => found.baseline[name]));
    const shapes = [...ranges.values()].map(([first, last]) => ({ type: "rect", x0: first, x1: last, xref: "x", y0: 0, y1: 1, yref: "paper",
      layer: "below", fillcolor: colour("line"), line: { color: colour("line"), width: 3 } }));
    const baselines = [...levels.values()].map(({ run, found }) => curve(run, found.lengths, found.baseline[name], { name: plain(`${run.task} baseline`), meta: `${run.task} baseline`,
      mode: "lines", line: { color: colour("soft"), dash: "dash", width: 1.3 }, hovertemplate: "%{fullData.name} %{y:.4~g}<extra></extra>" }));
    return { traces: [...baselines, ...traces], layout: { shapes, xaxis: { title: { text: plain(`length, ${[...units].join(" or ")}`) } }, yaxis: { ...axis, title: { text: `test ${plain(name)}` } } },
      note: `${lacking(`a test of ${name} by length`, missing)} ${note}`.trim() };
  };
  const figure = addFigure(host, { id: "plot-lengths", label: "Test score over the length of the sequences, a curve a run, with the lengths of training marked.", build });
}

/** The common range of the logarithms of the norms of some runs, by default all that are shown. */
function commonRange(decades, runs = withState().there) {
  const packed = runs.map(({ run }) => run.profiles[chosen.state].norms).filter(({ high, low }) => high !== 0 || low !== 0);
  if (!packed.length) return [-1, 0];
  const high = Math.max(...packed.map((norms) => norms.high)), low = Math.min(...packed.map((norms) => norms.low));
  const from = decades === "all" ? low : Math.max(low, high - Number(decades));
  return high > from ? [from, high] : [from - 0.5, from + 0.5];
}

function heatMap(run, [low, high]) {
  const profile = run.profiles[chosen.state], z = [], words = [], lost = [];
  let anyLost = false;
  profile.steps.forEach((_, index) => {
    const norms = Array.from(profileRow(profile, index));
    z.push(norms.map((norm) => (norm > 0 && norm < Infinity ? Math.log10(norm) : null)));
    lost.push(norms.map((norm) => (Number.isFinite(norm) ? null : 1)));
    words.push(norms.map(text));
    anyLost ||= norms.some((norm) => !Number.isFinite(norm));
  });
  const common = { type: "heatmap", x: profile.times, y: profile.steps, text: words, hoverongaps: true, showscale: false,
    hovertemplate: `step %{y}, ${run.axis === "time" ? "t =" : plain(run.axis)} %{x}<br>norm %{text}<extra></extra>` };
  const traces = [{ ...common, z, zmin: low, zmax: high, colorscale: DATA.colours, name: plain(run.label), meta: run.label }];
  if (anyLost) traces.push({ ...common, z: lost, hoverongaps: false, zmin: 0, zmax: 1, colorscale: [[0, colour("lost")], [1, colour("lost")]], name: "not finite" });
  return { traces, layout: { plot_bgcolor: colour("gap"), margin: { l: 52, r: 8, t: 6, b: 42 },
    xaxis: { title: { text: axisWords([run.axis]).place }, showgrid: false, zeroline: false },
    yaxis: { title: { text: "training step" }, showgrid: false, zeroline: false, rangemode: "normal" } } };
}

function mapSection(host) {
  const row = make("div", { class: "row" }), update = () => mapFigures.forEach(refresh);
  const decades = addSelect(row, "Colours from", [["all", "the smallest norm"], ["12", "12 decades below the largest"], ["6", "6 decades below the largest"]], () => { writeBar(); update(); });
  const bar = make("div", { class: "bar" }), maps = make("div", { class: "maps" }), note = make("p", { class: "soft" });
  host.append(row, bar, maps, note);
  const mapFigures = RUNS.map((run, index) => addFigure(maps, {
    id: `plot-map-${index}`, key: `map of ${run.path}`, tools: false, caption: run.label, label: `Heat map of gradient norms over time and training step: ${run.label}`,
    build: () => heatMap(run, commonRange(decades.value)),
  }));
  mapFigures.forEach(({ numbers }) => numbers.remove());
  const writeBar = () => {
    const [low, high] = commonRange(decades.value), ramp = make("span", { class: "ramp" });
    ramp.style.background = `linear-gradient(to right, ${DATA.colours.map(([at, ink]) => `${ink} ${100 * at}%`).join(", ")})`;
    const box = (name) => { const mark = make("span", { class: "box" }); mark.style.background = `var(--${name})`; return mark; };
    const scale = make("span", { class: "scale" }, text(10 ** low), ramp, text(10 ** high));
    bar.replaceChildren(scale, box("gap"), "exactly 0", box("lost"), "not finite");
  };
  return () => {
    const { there, not } = withState(), seen = new Set(there.map(({ index }) => index));
    mapFigures.forEach((figure, index) => { figure.element.hidden = !seen.has(index); });
    writeBar();
    note.textContent = lacking(chosen.state, not);
  };
}

function profileSection(host) {
  const row = make("div", { class: "row" });
  const slider = addSlider(row, "Training step", () => union(withState().there.map(({ run }) => run.profiles[chosen.state].steps)), () => refresh(figure));
  host.append(row);
  const build = () => {
    const { there, not } = withState(), now = slider.now(), traces = [], living = there.filter(({ run }) => !run.dead);
    const [low, high] = commonRange("all", living.length ? living : there); // of all steps, so that only curves move
    for (const { run } of there) {
      const profile = run.profiles[chosen.state], index = latest(profile.steps, now);
      if (index < 0) continue;
      const norms = Array.from(profileRow(profile, index), (norm) => (norm > 0 && norm < Infinity ? norm : null));
      traces.push(curve(run, lags(profile), norms, { hovertemplate: `%{fullData.name}, step ${profile.steps[index]}<br>lag %{x}: norm %{y:.4~g}<extra></extra>` }));
    }
    const margin = 0.04 * (high - low), range = [low - margin, high + margin];
    return { traces, note: `${lacking(chosen.state, not)} ${beyond(traces, range, true)}`.trim(), layout: {
      xaxis: { title: { text: axisWords(there.map(({ run }) => run.axis)).lag }, autorange: "reversed", zeroline: false },
      yaxis: { ...LOG_AXIS, title: { text: stateWords() }, range, ...decadeTicks(high - low) } } };
  };
  const figure = addFigure(host, { id: "plot-profile", label: "Gradient norm over the lag at the chosen training step, a curve a run.", build });
  return slider.update;
}

function slopeSection(host) {
  const names = distinct(RUNS.flatMap(({ test }) => Object.keys(test))), row = make("div", { class: "row" });
  const headlines = RUNS.map(({ headline }) => headline).filter((name) => names.includes(name));
  const score = addSelect(row, "Test score", names.length ? names : ["none"], () => refresh(scatter));
  if (headlines.length) score.value = headlines.sort((a, b) => headlines.filter((n) => n === b).length - headlines.filter((n) => n === a).length)[0];
  host.append(row);
  const scatter = addFigure(host, { id: "plot-slope", label: "Test score over the slope of the log gradient norm, a point a run.", build: () => {
    const traces = [], missing = [], levels = new Map();
    for (const { run } of shownRuns()) {
      const slope = run.decay[chosen.state]?.slope, value = run.test[score.value], level = run.baseline[score.value];
      if (!Number.isFinite(slope) || !Number.isFinite(value)) { missing.push(run); continue; }
      traces.push(curve(run, [slope], [value], { mode: "markers", mark: { size: 15, line: { color: colour("paper"), width: 2 } }, hovertemplate: `%{fullData.name}<br>slope %{x:.4~g} nats per ${axisWords([run.axis]).step}<br>${plain(score.value)} %{y:.4~g}<extra></extra>` }));
      if (Number.isFinite(level)) levels.set(`${run.task} baseline ${text(level)}`, level);
    }
    const slopes = traces.map(({ x }) => x[0]), side = -Math.min(...slopes) > Math.max(...slopes) ? "right" : "left"; // where there is room
    const shapes = [...levels].map(([words, level]) => markLine("y", level, words)).concat(markLine("x", 0, "no decay", side));
    return { traces, layout: { shapes, xaxis: { title: { text: `slope, nats per ${axisWords(shownAxes()).step}` }, zeroline: false }, yaxis: { title: { text: `test ${plain(score.value)}` } } },
      note: lacking("a test score or a slope", missing) };
  } });
  host.append(make("h3", {}, "The slope while training"), make("p", {}, "The same slope at each recorded step. Below 0 the gradient shrinks with the lag, above 0 it grows."));
  addFigure(host, { id: "plot-slopes", label: "Slope of the log gradient norm over the training step, a curve a run.", build: () => {
    const { there, not } = withState(), name = `slope/${chosen.state.replace(" ", "/")}`;
    const traces = there.filter(({ run }) => run.curves.train.values[name]).map(({ run }) => curve(run, run.curves.train.steps, run.curves.train.values[name],
      { hovertemplate: `%{fullData.name}<br>step %{x}: %{y:.4~g} nats per ${axisWords([run.axis]).step}<extra></extra>` }));
    const { axis, note } = fitHeights(traces, false, [0]);
    return { traces, layout: { shapes: [markLine("y", 0)], xaxis: { title: { text: "training step" } }, yaxis: { ...axis, title: { text: `nats per ${axisWords(shownAxes()).step}` }, zeroline: false } }, note: `${lacking(chosen.state, not)} ${note}`.trim() };
  } });
}
