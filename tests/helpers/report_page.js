// For tests in a browser: what the report's page shows just now.

/** The pictures that are not hidden. */
const plots = () => [...document.querySelectorAll(".plot")].filter((plot) => !plot.closest("[hidden]"));

/** Name and points of every curve or map of a picture. */
const curves = (plot) => plot.data.filter((trace) => trace.meta !== "mark").map((trace) => (
  { name: trace.meta ?? trace.name, x: trace.x && [...trace.x], y: trace.y && [...trace.y] }));

/** The curves of all pictures by their ids; null for one that is not drawn. */
const all = () => Object.fromEntries(plots().map((plot) => [plot.id, plot.data ? curves(plot) : null]));
const mapRanges = () => plots().filter((plot) => plot.id.startsWith("plot-map"))
  .map((plot) => [plot.data[0].zmin, plot.data[0].zmax]);
const at = (id) => document.getElementById(id);
const texts = (selector) => [...document.querySelectorAll(selector)].map((element) => element.textContent);

/** Move the first slider of a section; returns what it tells a screen reader. */
const move = async (id, value) => {
  const input = at(id).querySelector("input[type=range]");
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  await pause();
  return input.getAttribute("aria-valuetext");
};

/** Click, and let the page draw. */
const click = async (element) => {
  element.click();
  await pause(1500);
};
const button = (words) => [...document.querySelectorAll("button")].find(({ textContent }) => textContent === words);
const paper = () => ({ page: getComputedStyle(document.body).backgroundColor, plot: at("plot-loss").layout.paper_bgcolor });

await pause(3000);
