"use strict";
// What the page knows: its data, which runs are shown, and how packed arrays are read.

const DATA = JSON.parse(document.getElementById("data").textContent);
const RUNS = DATA.runs;
const shown = new Set(RUNS.keys());
const ZERO = 65533, INFINITE = 65534, MISSING = 65535, TOP = 65532;

/** The numbers of a packed array (see pack.py): NaN for missing, Infinity, and exact zeros. */
function unpack(packed) {
  if (packed.numbers) return packed.numbers;
  const bytes = atob(packed.codes), count = bytes.length / 2, numbers = new Float64Array(count);
  const step = (packed.high - packed.low) / TOP, log = packed.scale === "log";
  for (let i = 0; i < count; i++) {
    const code = bytes.charCodeAt(2 * i) + 256 * bytes.charCodeAt(2 * i + 1);
    const place = packed.low + step * code;
    numbers[i] = code === MISSING ? NaN : code === INFINITE ? Infinity
      : log && code === ZERO ? 0 : log ? 10 ** place : place;
  }
  packed.codes = null;
  return (packed.numbers = numbers);
}

/** Row `index` of a run's profile, the norms by kept time step. */
function profileRow(profile, index) {
  const width = profile.times.length;
  return unpack(profile.norms).subarray(index * width, (index + 1) * width);
}

/** Steps before the last one that the unit reads, for each kept time step. */
function lags(profile) {
  return profile.times.map((t) => (profile.backward ? t : profile.length - 1 - t));
}

/** Index of the last of rising `steps` that is at most `step`; -1 if all are later. */
function latest(steps, step) {
  let found = -1;
  for (let i = 0; i < steps.length && steps[i] <= step; i++) found = i;
  return found;
}

/** All different values, numbers rising. */
function union(lists) {
  return [...new Set(lists.flat())].sort((a, b) => a - b);
}

/** All different texts, in the order of their first place. */
function distinct(texts) {
  return [...new Set(texts)];
}

const shownRuns = () => RUNS.map((run, index) => ({ run, index })).filter(({ index }) => shown.has(index));

/** A number for a reader: four significant digits. */
function text(value) {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

/** Text that Plotly shows as it is, though Plotly reads a kind of HTML. */
function plain(value) {
  return String(value).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** A DOM element; children that are texts stay texts. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
