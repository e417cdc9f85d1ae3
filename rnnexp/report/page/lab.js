// Pictures of what `laboratory.zarr` holds: curves over one dimension, the others chosen.

const SPECTRA = [
  { id: "lyapunov", title: "The spectrum at a training step", names: [["lyapunov", "exponent"]], error: "lyapunov_error", x: "exponent", zero: true,
    xTitle: "exponent, the largest first", yTitle: "nats per step",
    words: "Growth rates of small differences between states, largest first. Above 0 they grow (chaos), below 0 they die out; gradients over long lags need the largest close to 0. Bars are the estimated error." },
  { id: "lyapunov-top", title: "The largest exponent while training", names: [["lyapunov", "exponent"]], x: "step", fixed: { exponent: 0 }, zero: true,
    xTitle: "training step", yTitle: "nats per step", words: "How the largest exponent moves during training." },
  { id: "kaplan-yorke", title: "Kaplan–Yorke dimension", names: [["kaplan_yorke", "dimension"]], x: "step", xTitle: "training step", yTitle: "dimension",
    words: "The dimension of the attractor by the formula of Kaplan and Yorke; 0 where all exponents are negative." },
];
const JACOBIANS = [
  { id: "singular", title: "Singular values over the span", names: [["singular", "ln of singular value"]], x: "span", choose: ["rank"], zero: true,
    xTitle: "span k", yTitle: "ln of singular value of ∂hₜ₊ₖ/∂hₜ", words: "How much the strongest directions are stretched (above 0) or shrunk (below 0) over k steps. Rank 0 is the strongest direction." },
  { id: "matrices", title: "Recurrent matrices", names: [["spectral_radius", "spectral radius"], ["spectral_norm", "spectral norm"]], x: "step", choose: ["matrix"],
    xTitle: "training step", yTitle: "", words: "The largest modulus of an eigenvalue, or the largest singular value, of each recurrent matrix." },
];
const SATURATION = [
  { id: "gates", title: "Gates over time", names: [["gate_low", "share below 0.1"], ["gate_high", "share above 0.9"]], x: "time", choose: ["gate"], unitRange: true,
    xTitle: "time step t", yTitle: "share of units", words: "Which share of a gate's units is closed (below 0.1) or open (above 0.9) at each time step. A saturated gate passes hardly any gradient through itself." },
  { id: "time-constant", title: "Effective time constant", names: [["time_constant", "time constant"]], x: "time", log: true,
    xTitle: "time step t", yTitle: "steps", words: "−1/ln of the mean forget gate: for how many steps the memory lasts." },
  { id: "units", title: "Dead and saturated units", names: [["dead", "share of dead units"], ["saturated", "share of saturated units"]], x: "step", unitRange: true,
    xTitle: "training step", yTitle: "share of units", words: "Units of the hidden state that are always near 0, or always near their bounds." },
];
const PER_LAG = [
  { id: "lag-norms", title: null, names: [["lag_norm", "norm"]], x: "lag", choose: ["parameter"], log: true,
    xTitle: "lag, up to", yTitle: "norm of that part of dL/dW", words: "A healthy total can hide that its long-range part has vanished: look at the right end." },
];

/** Position of entry `place` (by dimension) in the flat array of a variable. */
function flat(variable, place) {
  return variable.dims.reduce((sum, dim) => sum * variable.coords[dim].length + place[dim], 0);
}

/** The dimensions but the step and x that a reader chooses among, the unit first. */
const choices = (spec) => ["unit", ...(spec.choose ?? [])];

/** All values of `x` of a variable where the other dimensions are at `place`. */
function along(variable, x, place) {
  const numbers = unpack(variable.values);
  return variable.coords[x].map((_, index) => numbers[flat(variable, { ...place, [x]: index })]);
}

/** Which combinations of choices any run has numbers for, as JSON texts. */
function combinations(spec) {
  const found = new Set();
  for (const run of RUNS) for (const [name] of spec.names) {
    const variable = run.laboratory?.[name];
    if (!variable || !variable.dims.includes(spec.x)) continue;
    const dims = choices(spec).filter((dim) => variable.dims.includes(dim)), numbers = unpack(variable.values);
    const sizes = variable.dims.map((dim) => variable.coords[dim].length);
    const strides = sizes.map((_, i) => sizes.slice(i + 1).reduce((a, b) => a * b, 1));
    numbers.forEach((number, i) => {
      if (Number.isNaN(number)) return;
      found.add(JSON.stringify(dims.map((dim) => {
        const d = variable.dims.indexOf(dim);
        return variable.coords[dim][Math.floor(i / strides[d]) % sizes[d]];
      })));
    });
  }
  return [...found];
}

/** The curve of a run for the chosen variable and combination at a step; null without one. */
function labCurve(run, spec, name, combination, now) {
  const variable = run.laboratory?.[name];
  if (!variable || !variable.dims.includes(spec.x)) return null;
  const place = { ...(spec.fixed ?? {}) }, dims = choices(spec).filter((dim) => variable.dims.includes(dim));
  for (const [i, dim] of dims.entries()) {
    place[dim] = variable.coords[dim].indexOf(combination[i]);
    if (place[dim] < 0) return null;
  }
  if (spec.x !== "step") place.step = latest(variable.coords.step, now);
  if (place.step < 0) return null;
  const y = along(variable, spec.x, place).map((value) => (Number.isFinite(value) && (!spec.log || value > 0) ? value : null));
  if (y.every((value) => value === null)) return null;
  const step = spec.x === "step" ? "" : `, step ${variable.coords.step[place.step]}`;
  const trace = curve(run, variable.coords[spec.x].map(Number), y, { mark: { size: 7, maxdisplayed: 16 },
    hovertemplate: `%{fullData.name}${step}<br>${plain(spec.x)} %{x}: %{y:.4~g}<extra></extra>` });
  const error = spec.error && run.laboratory[spec.error];
  if (error) trace.error_y = { type: "data", array: along(error, spec.x, place), thickness: 1, width: 2 };
  return trace;
}

/** The range of a picture over all training steps, so that only the curves move with the slider. */
function steadyRange(spec, name, combination) {
  let low = Infinity, high = -Infinity;
  const living = shownRuns().filter(({ run }) => !run.dead);
  for (const { run } of living.length ? living : shownRuns()) for (const step of run.laboratory?.[name]?.coords.step ?? []) {
    for (const value of labCurve(run, spec, name, combination, step)?.y ?? []) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return {};
  const [from, to] = spec.log ? [Math.log10(low), Math.log10(high)] : [low, high], margin = 0.05 * (to - from) || 0.5;
  return { range: [from - margin, to + margin], ...(spec.log ? decadeTicks(to - from) : {}) };
}

/** How the axis of a dimension is divided: exponents at whole numbers, bins of lags (0, 1, 2, 4 ...) side by side. */
const placed = {
  exponent: (traces) => ({ tick0: 0, dtick: Math.max(1, ...traces.map(({ x }) => Math.ceil(x.length / 12))) }),
  lag: (traces) => ({ type: "category", categoryorder: "array", categoryarray: union(traces.map(({ x }) => x)) }),
};

function labFigure(host, spec, updates) {
  const all = combinations(spec);
  if (!all.length) return false;
  if (spec.title) host.append(make("h3", {}, spec.title));
  host.append(make("p", {}, spec.words));
  const row = make("div", { class: "row" }), redraw = () => refresh(figure);
  const name = spec.names.length > 1 ? addSelect(row, "Show", spec.names, redraw) : { value: spec.names[0][0] };
  const has = (dim) => RUNS.some((run) => spec.names.some(([name]) => run.laboratory?.[name]?.dims.includes(dim)));
  const combination = addSelect(row, choices(spec).filter(has).join(", "), all.map((json) => [json, JSON.parse(json).join(", ") || "all"]), redraw);
  const stepsOf = (run) => run.laboratory?.[name.value]?.coords.step ?? [];
  const slider = spec.x === "step" ? null : addSlider(row, "Training step", () => union(shownRuns().map(({ run }) => stepsOf(run))), redraw);
  host.append(row);
  const figure = addFigure(host, { id: `plot-${spec.id}`, label: `${spec.title ?? "Norms by lag"}: a curve a run.`, build: () => {
    const traces = [], missing = [];
    for (const { run } of shownRuns()) {
      const trace = labCurve(run, spec, name.value, JSON.parse(combination.value), slider?.now());
      if (trace) traces.push(trace); else missing.push(run);
    }
    // the words of the axis: nats per hop, hops
    const inWords = (words) => (word === "step" ? words : words.replace("time step t", word).replace(/per step$|^steps$/, (end) => end.replace("step", word)));
    const word = axisWords(shownRuns().map(({ run }) => run.axis)).step, yTitle = inWords(spec.yTitle) || spec.names.find(([key]) => key === name.value)[1];
    const range = spec.unitRange ? { range: [-0.02, 1.02] } : slider ? steadyRange(spec, name.value, JSON.parse(combination.value))
      : fitHeights(traces, spec.log, spec.zero ? [0] : []).axis;
    const yaxis = { title: { text: yTitle }, ...(spec.log ? LOG_AXIS : {}), ...range };
    return { traces, layout: { shapes: spec.zero ? [markLine("y", 0)] : [], xaxis: { title: { text: inWords(spec.xTitle) }, ...(placed[spec.x]?.(traces) ?? {}) }, yaxis }, note: `${lacking("these numbers", missing)} ${range.range ? beyond(traces, range.range, spec.log) : ""}`.trim() };
  } });
  if (slider) updates.push(slider.update);
  return true;
}

/** The figures of a section; where no run has anything for them, a line that says so. */
function labSection(host, specs, what, updates) {
  const drawn = specs.filter((spec) => labFigure(host, spec, updates));
  if (!drawn.length) host.append(make("p", { class: "soft" }, `None of these runs has ${what} in a laboratory.zarr, so there is no picture. \`rnnexp analyze RUN\` measures the checkpoints of a run.`));
}
