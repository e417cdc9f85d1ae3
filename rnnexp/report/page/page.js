// The page: the list of runs, the overview, the divergences; and what happens on a choice.

const updates = [];

/** After a choice of runs or of the state: mark hidden rows, refit the sliders, draw again. */
function changed() {
  updates.forEach((update) => update());
  redrawAll();
}

/** `completed`, or `diverged after 12 steps`. */
const ended = (run) => (run.status === "completed" ? "" : run.status);

function runChoices(host) {
  const swatches = [];
  const all = make("div", { class: "row" });
  for (const [words, on] of [["Show all", true], ["Hide all", false]]) {
    all.append(make("button", { type: "button", onclick: () => { RUNS.forEach((_, i) => (on ? shown.add(i) : shown.delete(i))); changed(); } }, words));
  }
  host.append(all);
  const boxes = [];
  for (const name of distinct(RUNS.map(({ task, cell }) => JSON.stringify([task, cell])))) {
    const members = [...RUNS.keys()].filter((i) => JSON.stringify([RUNS[i].task, RUNS[i].cell]) === name);
    const toggle = () => { members.forEach((i) => (whole.checked ? shown.add(i) : shown.delete(i))); changed(); };
    const whole = make("input", { type: "checkbox", checked: true, onchange: toggle });
    const field = make("fieldset", {}, make("legend", {}, make("label", {}, whole, JSON.parse(name).join("/"))));
    for (const index of members) {
      const box = make("input", { type: "checkbox", checked: true, "data-run": index, onchange: () => { box.checked ? shown.add(index) : shown.delete(index); changed(); } });
      const picture = make("span"), note = ended(RUNS[index]);
      swatches.push(() => picture.replaceChildren(swatch(RUNS[index])));
      field.append(make("label", { class: "run" }, box, picture, make("span", {}, RUNS[index].label, note ? make("span", { class: "ended" }, ` (${note})`) : null)));
      boxes.push(() => { box.checked = shown.has(index); });
    }
    boxes.push(() => {
      const on = members.filter((i) => shown.has(i)).length;
      whole.checked = on > 0;
      whole.indeterminate = on > 0 && on < members.length;
    });
    host.append(field);
  }
  updates.push(() => boxes.forEach((sync) => sync()));
  return () => swatches.forEach((paint) => paint());
}

const COLUMNS = [
  ["run", (run) => run.label], ["status", (run) => run.status], ["steps", (run) => run.step, true],
  ["differs in", (run) => Object.entries(run.options).map(([key, value]) => `${key.replace(/\.name$/, "").replace(/^.*\./, "")}=${value}`).join(", ") || "-"],
  ["test score", (run) => (run.headline ? run.test[run.headline] : undefined) ?? Object.values(run.test)[0], true],
  ["of", (run) => (run.headline in run.test ? run.headline : Object.keys(run.test)[0]) ?? "-"],
  ["baseline", (run) => run.baseline[run.headline in run.test ? run.headline : Object.keys(run.test)[0]], true],
  ["slope", (run) => run.decay[chosen.state]?.slope, true],
  ["half-life", (run) => { const life = run.decay[chosen.state]?.half_life; return life === "inf" ? Infinity : life; }, true],
  ["R²", (run) => run.decay[chosen.state]?.fit, true],
  ["clipped", (run) => run.clipped, true],
];

function overview(host) {
  let sorted = null, down = false;
  const body = make("tbody"), heads = COLUMNS.map(([name, , numeric], column) => {
    const sort = () => { down = sorted === column ? !down : false; sorted = column; write(); };
    return make("th", { scope: "col", class: numeric ? "number" : null }, make("button", { type: "button", onclick: sort }, name));
  });
  const words = "Click a column's name to sort by it. Slope and half-life are those of the chosen state, at its last recorded step with a finite slope; R² says how well a line fits, from 0 to 1. Clipped: the share of recorded steps that clipping changed.";
  const caption = "All runs; those that are hidden are pale.";
  const table = make("table", { id: "overview-table" }, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...heads)), body);
  host.append(make("p", { class: "soft" }, words), make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Overview table" }, table));
  const cell = (run, [name, value]) => {
    const found = value(run);
    if (name === "clipped" && found !== null) return `${Math.round(100 * found)} %`;
    return name === "half-life" && found === Infinity ? "no decay" : text(found);
  };
  const before = (a, b) => {
    const [x, y] = [a, b].map((i) => COLUMNS[sorted][1](RUNS[i]));
    const empty = [x, y].map((value) => value === null || value === undefined);
    if (empty[0] || empty[1]) return empty[0] - empty[1];
    return (down ? -1 : 1) * (typeof x === "number" ? x - y || 0 : String(x).localeCompare(String(y)));
  };
  const write = () => {
    const order = [...RUNS.keys()];
    if (sorted !== null) order.sort(before);
    heads.forEach((head, i) => head.setAttribute("aria-sort", i !== sorted ? "none" : down ? "descending" : "ascending"));
    body.replaceChildren(...order.map((i) => make("tr", { class: shown.has(i) ? null : "hidden-run", title: RUNS[i].path },
      ...COLUMNS.map((column, c) => make(c ? "td" : "th", { class: column[2] ? "number" : column[0] === "differs in" ? "long" : null, scope: c ? null : "row" }, cell(RUNS[i], column))))));
  };
  updates.push(write);
}

function divergences(host) {
  const body = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Divergences" });
  host.append(body);
  updates.push(() => {
    const runs = shownRuns().map(({ run }) => run).filter((run) => run.status === "diverged" || run.status === "failed");
    if (!runs.length) { body.replaceChildren(make("p", { class: "soft" }, "None of the shown runs diverged or failed.")); return; }
    const rows = runs.map((run) => {
      const { origin, groups = [], loss = "-", grad_norm: norm = "-", step = run.step } = run.divergence ?? {};
      const where = origin ? `d L/d${origin.leaf}, ${origin.unit}, t = ${origin.time}, lag ${origin.lag}`.replace("d L", "dL") : "-";
      return [run.label, run.status, String(step), run.reason || "-", where, loss, norm, groups.join(", ") || "-"];
    });
    body.replaceChildren(makeTable("Runs that did not come to their end, and where the first value left the finite range.",
      ["run", "status", "step", "reason", "where first", "loss", "gradient norm", "parameters with a non-finite gradient"], rows));
  });
}

/** Whatever depends on which runs there are and on what they have; returns what paints their list. */
function build() {
  const states = distinct(RUNS.flatMap((run) => Object.keys(run.profiles)));
  if (states.length) {
    const count = (name) => RUNS.filter((run) => name in run.profiles).length;
    if (!states.includes(chosen.state)) chosen.state = states.reduce((best, name) => (count(name) > count(best) ? name : best));
    const list = addSelect(at("state"), "State", states.map((name) => [name, name.replace(" ", ": ")]), () => { chosen.state = list.value; changed(); });
    list.value = chosen.state;
  }
  const paint = runChoices(at("runs"));
  lossSection(at("loss"));
  lengthSection(at("lengths"));
  if (states.length) {
    updates.push(mapSection(at("maps")), profileSection(at("profiles")));
    slopeSection(at("slopes"));
  } else for (const name of ["maps", "profiles", "slopes"]) at(name).append(make("p", { class: "soft" }, "None of these runs has recorded gradients, so there is no picture."));
  labSection(at("lyapunov"), SPECTRA, "Lyapunov exponents", updates);
  labSection(at("jacobians"), JACOBIANS, "singular values or spectral radii", updates);
  labSection(at("saturation"), SATURATION, "gates or activations", updates);
  labSection(at("per-lag"), PER_LAG, "parameter gradients by lag", updates);
  return paint;
}

/** The hosts of what `build` builds. */
const SECTIONS = ["state", "runs", "loss", "lengths", "maps", "profiles", "slopes", "lyapunov", "jacobians", "saturation", "per-lag"];
const at = (name) => document.getElementById(name);
let paint = () => {};
/** So many of the updates are of what is built once. */
let lasting = 0;

function start() {
  overview(at("overview"));
  divergences(at("divergences"));
  lasting = updates.length;
  paint = build();
  const wide = matchMedia("(min-width: 1000px)"), open = () => { at("chooser").open = wide.matches; };
  wide.addEventListener("change", open);
  open();
  startTheme(at("theme"), () => { paint(); changed(); });
}

start();
