// For tests in a browser: how every run is drawn, in which range, light and dark.

const looks = () => Object.fromEntries(plots().filter((plot) => plot.data?.[0]?.type === "scatter")
  .map((plot) => [plot.id, plot.data.map((trace) => ({ name: trace.meta, mode: trace.mode,
    colour: trace.line.color, dash: trace.line.dash, symbol: trace.marker.symbol,
    opacity: trace.opacity ?? 1, width: trace.line.width, tip: trace.marker.color }))]));
const ranges = () => Object.fromEntries(plots().map((plot) => [plot.id, plot.layout?.yaxis?.range && [...plot.layout.yaxis.range]]));
const swatches = () => [...document.querySelectorAll("svg.swatch")].map((svg) => svg.outerHTML);
const notes = () => Object.fromEntries(plots().map((plot) => [plot.id, plot.parentElement.querySelector("p.soft").textContent]));
const found = { looks: looks(), ranges: ranges(), swatches: swatches(), notes: notes(), paper: paper().plot,
  words: at("looks").textContent };
await click(at("theme"));
found.dark = { looks: looks(), paper: paper().plot };
await click(button("Hide all"));
for (const box of document.querySelectorAll("input[data-run]")) {
  if (box.closest("label").textContent.includes("diverged")) box.click();
}
await pause(1500);
found.alone = { ranges: ranges(), notes: notes() };
return found;
