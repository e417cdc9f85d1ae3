// Colours, dashes and markers of runs, and the theme.

// By number, as many as `PAGE` of looks.py has: the colours are --run-0 and so on in page.css.
const DASHES = ["solid", "dash", "dot", "dashdot"];
const SVG_DASHES = ["", "7 4", "2 3", "8 3 2 3"];
const MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "star", "triangle-down", "x"];
/** A marker's filling repeats which dash it is, for pictures of points. */
const FILLINGS = ["", "-open", "-dot", "-open-dot"];
const MARKER_PATHS = [
  "M5,0A5,5 0 1,1 -5,0A5,5 0 1,1 5,0Z", "M-4.5,-4.5H4.5V4.5H-4.5Z", "M0,-6L6,0L0,6L-6,0Z", "M0,-5.5L5.5,4L-5.5,4Z",
  "M-2,-5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5V-2H-2Z", "M0,-6.5L1.6,-2H6L2.5,0.9L3.8,5.4L0,2.7L-3.8,5.4L-2.5,0.9L-6,-2H-1.6Z",
  "M0,5.5L5.5,-4L-5.5,-4Z", "M0,2.6L3.4,6L6,3.4L2.6,0L6,-3.4L3.4,-6L0,-2.6L-3.4,-6L-6,-3.4L-2.6,0L-6,3.4L-3.4,6Z",
];

/** A colour of the page by its name in page.css. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** How a run is drawn; looks.py tells why. */
function look(run) {
  const [ink, dash, marker] = run.look;
  return { colour: colour(`run-${ink}`), dash: DASHES[dash], marker: MARKERS[marker] + FILLINGS[dash] };
}

/** A small picture of a run's line and marker. */
function swatch(run) {
  const [ink, dash, marker] = run.look, stroke = colour(`run-${ink}`), paper = colour("card");
  const add = (parent, name, values) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(values).forEach(([k, v]) => element.setAttribute(k, v));
    parent?.append(element);
    return element;
  };
  const svg = add(null, "svg", { width: 38, height: 15, viewBox: "-19 -7.5 38 15", class: "swatch", "aria-hidden": "true" });
  add(svg, "line", { x1: -19, y1: 0, x2: 19, y2: 0, stroke, "stroke-width": 2.5, "stroke-dasharray": SVG_DASHES[dash] });
  const open = dash === 1 || dash === 3, dotted = dash > 1;
  add(svg, "path", { d: MARKER_PATHS[marker], fill: open ? paper : stroke, stroke: open ? stroke : paper, "stroke-width": open ? 1.5 : 0.7 });
  if (dotted) add(svg, "circle", { r: 1.5, fill: open ? stroke : paper });
  return svg;
}

/** Dark or light: what the reader chose, or else the system's wish. */
function startTheme(button, redraw) {
  const wish = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const apply = () => {
    const dark = chosen ?? wish.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light page" : "Dark page";
    redraw();
  };
  button.addEventListener("click", () => {
    chosen = !(chosen ?? wish.matches);
    apply();
  });
  wish.addEventListener("change", apply);
  apply();
}

/** A layout of Plotly in the page's colours. */
function layout(changes) {
  const ink = colour("ink"), grid = colour("grid"), line = colour("line");
  const axis = { gridcolor: grid, linecolor: line, zerolinecolor: line, ticks: "outside", tickcolor: line, automargin: true };
  const { xaxis = {}, yaxis = {}, ...others } = changes;
  return {
    paper_bgcolor: colour("paper"), plot_bgcolor: colour("paper"),
    font: { color: ink, size: 13, family: "system-ui, sans-serif" },
    margin: { l: 60, r: 12, t: 30, b: 48 }, showlegend: false, hovermode: "closest",
    hoverlabel: { namelength: -1, bgcolor: colour("card"), bordercolor: line, font: { color: ink } },
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...others,
  };
}

// Norms have many decades: powers of ten in place of prefixes such as p and f.
const LOG_AXIS = { type: "log", exponentformat: "power", nticks: 8 };
/** Whole decades as ticks where a range has at least two of them. */
const decadeTicks = (decades) => (decades < 2 ? {} : { dtick: Math.ceil(decades / 9) });
// Plotly offers to send charts to its makers. No button does, and no address is left to send one to.
const CONFIG = {
  displaylogo: false, responsive: true, toImageButtonOptions: { format: "svg" },
  showSendToCloud: false, showEditInChartStudio: false, showLink: false, plotlyServerURL: "", topojsonURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "sendChartToCloud", "sendDataToCloud", "editInChartStudio"],
};
