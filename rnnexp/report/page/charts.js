// Figures that are drawn when they come into view, and the controls beside them.

const figures = [];
/** The figures by their keys, which stay in the page when its sections are built again. */
const built = new Map();
/** Whether figures are drawn again because data came: then a reader's zoom stays. */
let keeping = false;

/** Draw a figure again, now if it is in view, otherwise when it comes into view. */
function refresh(figure) {
  figure.stale = true;
  if (!keeping) figure.zoom = {};
  if (figure.visible && !figure.element.hidden) draw(figure);
}

function redrawAll() {
  figures.forEach(refresh);
}

function draw(figure) {
  figure.stale = false;
  const { traces, layout: changes, note } = figure.build();
  figure.note.textContent = note ?? "";
  const now = layout(changes);
  figure.given = { xaxis: String(now.xaxis.range), yaxis: String(now.yaxis.range) }; // Plotly writes into its layout
  for (const [axis, range] of Object.entries(figure.zoom)) now[axis] = { ...now[axis], range, autorange: false };
  const first = !figure.plot.data;
  Plotly.react(figure.plot, traces, now, { ...CONFIG, displayModeBar: figure.tools ? "hover" : false });
  if (first) figure.plot.on("plotly_relayout", () => noticeZoom(figure));
  if (figure.numbers.open) writeNumbers(figure);
}

/** Keep in mind which axes of a figure show another range than the page gave them. */
function noticeZoom(figure) {
  figure.zoom = {};
  for (const axis of ["xaxis", "yaxis"]) {
    const { range, autorange } = figure.plot.layout[axis];
    if (!autorange && String(range) !== figure.given[axis]) figure.zoom[axis] = [...range];
  }
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const figure = figures.find(({ element }) => element === entry.target);
    figure.visible = entry.isIntersecting;
    if (figure.visible && figure.stale && !figure.element.hidden) draw(figure);
  }
}, { rootMargin: "300px" });
window.addEventListener("beforeprint", () => figures.filter((f) => f.stale && !f.element.hidden).forEach(draw));

/**
 * A figure in `host`. `build()` returns Plotly's traces, changes to the layout, and a note
 * on what is missing; `label` says to a screen reader what the picture shows. A figure whose `key`
 * is there already is moved to `host`.
 */
function addFigure(host, { id, key = id, label, build, caption = null, tools = true }) {
  if (built.has(key)) {
    const figure = Object.assign(built.get(key), { build, stale: true });
    Object.assign(figure.plot, { id }).setAttribute("aria-label", label);
    if (caption) figure.element.querySelector("figcaption").textContent = caption;
    figures.push(figure);
    host.append(figure.element);
    return figure;
  }
  const plot = make("div", { class: "plot", id, role: "img", "aria-label": label });
  const note = make("p", { class: "soft", "aria-live": "polite" });
  const numbers = make("details", { class: "figures" }, make("summary", {}, "The numbers of this picture"), make("div", { class: "scroll" }));
  const element = make("figure", {}, caption ? make("figcaption", {}, caption) : null, plot, note, numbers);
  const figure = { element, plot, note, numbers, build, tools, stale: true, visible: false, given: null, zoom: {} };
  built.set(key, figure);
  numbers.addEventListener("toggle", () => numbers.open && writeNumbers(figure));
  figures.push(figure);
  host.append(element);
  watcher.observe(element);
  return figure;
}

/** A table of at most seven points of every curve of a figure. */
function writeNumbers(figure) {
  const rows = [];
  for (const trace of figure.build().traces.filter((trace) => trace.type !== "heatmap" && trace.meta !== "mark")) {
    const count = trace.x.length, picks = Math.min(7, count);
    const places = distinct([...Array(picks).keys()].map((i) => Math.round((i * (count - 1)) / Math.max(picks - 1, 1))));
    const points = places.map((i) => `${text(trace.x[i])}: ${text(trace.y[i])}`);
    rows.push([trace.meta ?? trace.name, points.join("; ")]);
  }
  const table = makeTable("At most seven points of each curve, the number across and then the number up.", ["curve", "points"], rows);
  figure.numbers.lastChild.replaceChildren(table);
}

function makeTable(caption, heads, rows) {
  const body = rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell))));
  return make("table", {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...body));
}

/** A labelled list to choose from; `options` are texts or pairs of value and text. */
function addSelect(host, label, options, onchange) {
  const list = make("select", { onchange });
  for (const option of options) {
    const [value, words] = Array.isArray(option) ? option : [option, option];
    list.append(make("option", { value }, words));
  }
  host.append(make("label", {}, label, list));
  return list;
}

/** The slider of each input element. */
const sliders = new WeakMap();

/** A labelled slider over training steps; `steps()` tells which there are just now. */
function addSlider(host, label, steps, onchange) {
  const input = make("input", { type: "range", min: 0, step: 1, value: 0 }), output = make("output");
  host.append(make("label", { class: "slider" }, label, input, output));
  const slider = { input, steps: [], step: Infinity };
  sliders.set(input, slider);
  const tell = () => {
    const words = slider.steps.length ? `step ${slider.steps[input.value]}` : "no steps";
    output.textContent = words;
    input.setAttribute("aria-valuetext", words);
  };
  slider.update = () => {
    slider.steps = steps();
    input.max = Math.max(slider.steps.length - 1, 0);
    input.disabled = slider.steps.length < 2;
    input.value = Math.max(latest(slider.steps, slider.step), 0);
    tell();
  };
  input.addEventListener("input", () => {
    slider.step = slider.steps[input.value];
    tell();
    onchange();
  });
  slider.now = () => slider.steps[input.value];
  return slider;
}

/** The run of each curve. */
const owners = new WeakMap();

/** A curve of a run in its own colour, dash and marker, of which a few are drawn. */
function curve(run, x, y, changes = {}) {
  const { colour: ink, dash, marker } = look(run), { line = {}, mark = {}, what = "", ...others } = changes;
  const trace = {
    x, y, name: plain(run.label), meta: run.label + what, mode: "lines+markers", type: "scatter",
    line: { color: ink, dash, width: 2, ...line },
    marker: { color: ink, symbol: marker, size: 8, maxdisplayed: 8, line: { color: colour("paper"), width: 1 }, ...mark },
    connectgaps: false, ...others,
  };
  owners.set(trace, run);
  return trace;
}

/** The least and the greatest of usable numbers in some lists; their logarithms if `log`. */
function ends(lists, log) {
  const usable = (value) => Number.isFinite(value) && (!log || value > 0);
  return lists.flat().filter(usable).map((value) => (log ? Math.log10(value) : value))
    .reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

/**
 * The range of the upright axis that shows the curves of all living runs, and `levels`; the logarithms
 * of its ends if `log`. A run that diverged may leave the picture; with no other run it sets the range.
 */
function fitHeights(traces, log = false, levels = []) {
  const errors = ({ y, error_y: bar }) => (bar ? [y.map((v, i) => v + bar.array[i]), y.map((v, i) => v - bar.array[i])] : []);
  const of = (some) => some.flatMap((trace) => [trace.y, ...errors(trace)]), living = of(traces.filter((trace) => !owners.get(trace).dead));
  const [low, high] = ends([...(ends(living, log)[0] < Infinity ? living : of(traces)), levels], log);
  if (low > high) return { axis: {}, note: "" };
  const margin = 0.05 * (high - low) || 0.5, range = [low - margin, high + margin];
  return { axis: { range, ...(log ? decadeTicks(high - low) : {}) }, note: beyond(traces, range, log) };
}

/** Who leaves a range. */
function beyond(traces, range, log) {
  const leaves = ({ y }) => { const [low, high] = ends([y], log); return low < range[0] || (high > range[1] && low < Infinity); };
  return named("Partly beyond the picture, diverged or without a finite loss at the end", distinct(traces.filter(leaves).map((trace) => owners.get(trace).label)));
}

/** A straight dashed line through a picture, with a word on it. */
function markLine(axis, value, words = "", xanchor = "left") {
  const other = axis === "x" ? "y" : "x";
  return {
    type: "line", [`${axis}0`]: value, [`${axis}1`]: value, [`${axis}ref`]: axis,
    [`${other}0`]: 0, [`${other}1`]: 1, [`${other}ref`]: "paper",
    line: { color: colour("soft"), dash: "dash", width: 1.3 },
    label: { text: plain(words), textposition: axis === "x" ? "end" : "start", textangle: 0,
      xanchor, yanchor: axis === "x" ? "top" : "bottom", font: { size: 11, color: colour("soft") } },
  };
}

/** `Without ...: run, run.`, or nothing. */
const lacking = (what, runs) => named(`Without ${what}`, runs.map((run) => run.label));

/** `Words: name, name.`, or nothing. */
function named(words, names) {
  if (!names.length) return "";
  return `${words}: ${names.slice(0, 6).join("; ")}${names.length > 6 ? ` and ${names.length - 6} more` : ""}.`;
}
