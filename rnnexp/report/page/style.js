// Colours, dashes and markers of runs, and the theme.

// Okabe and Ito's colours; null is black on light paper and white on dark.
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", null, "#E69F00", "#56B4E9"];
const DASHES = ["solid", "dash", "dot", "dashdot", "10px,3px,2px,3px,2px,3px", "16px,5px"];
const SVG_DASHES = ["", "7 4", "2 3", "7 3 2 3", "9 2 2 2 2 2", "13 4"];
const MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "star"];
const MARKER_TEXT = ["●", "■", "◆", "▲", "✚", "★"];

/** A colour of the page by its name in page.css. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Runs of one setting share a colour; dash and marker tell them apart, and settings beyond seven. */
function look(run) {
  const variant = (run.member + Math.floor(run.group / COLOURS.length)) % DASHES.length;
  return {
    colour: COLOURS[run.group % COLOURS.length] ?? colour("plain"),
    dash: DASHES[variant], svgDash: SVG_DASHES[variant],
    marker: MARKERS[variant], markerText: MARKER_TEXT[variant],
  };
}

/** A small picture of a run's line and marker. */
function swatch(run) {
  const space = "http://www.w3.org/2000/svg", { colour: ink, svgDash, markerText } = look(run);
  const svg = document.createElementNS(space, "svg"), line = document.createElementNS(space, "line");
  const set = (element, values) => Object.entries(values).forEach(([k, v]) => element.setAttribute(k, v));
  set(svg, { width: 34, height: 14, class: "swatch", "aria-hidden": "true" });
  set(line, { x1: 0, y1: 7, x2: 34, y2: 7, stroke: ink, "stroke-width": 2.5, "stroke-dasharray": svgDash });
  const mark = document.createElementNS(space, "text");
  set(mark, { x: 17, y: 11, "text-anchor": "middle", "font-size": 11, fill: ink });
  mark.textContent = markerText;
  svg.append(line, mark);
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
const CONFIG = {
  displaylogo: false, responsive: true, toImageButtonOptions: { format: "svg" },
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
};
