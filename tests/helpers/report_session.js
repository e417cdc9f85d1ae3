// For tests in a browser: one session of a reader; what is seen at each step is returned.

const found = { before: all(), ranges: mapRanges(), light: paper(), text: document.body.innerText,
  divergences: at("divergences").innerText };
const maps = plots().filter((plot) => plot.id.startsWith("plot-map"));
found.layers = maps.map((plot) => plot.data.length);
found.holes = maps.map((plot) => plot.data[0].z.flat().filter((z) => z === null).length);

const scatter = at("plot-slope"), hostile = scatter.data.findIndex((trace) => trace.meta.includes("onerror"));
Plotly.Fx.hover(scatter, [{ curveNumber: hostile, pointNumber: 0 }]);
await pause();
found.hover = scatter.querySelector(".hoverlayer").textContent;

found.told = await move("profiles", 0);
found.first = all()["plot-profile"];
found.spectrum = all()["plot-lyapunov"];
await move("lyapunov", 0);
found.firstSpectrum = all()["plot-lyapunov"];

const byLag = at("plot-lag-norms"), spectrum = at("plot-lyapunov");
found.lagTicks = [...byLag.querySelectorAll(".xtick text")].map((tick) => tick.textContent);
found.lagChoice = byLag.closest("section").querySelector("label").firstChild.textContent;
found.exponentTicks = [...spectrum.querySelectorAll(".xtick text")].map((tick) => tick.textContent);

const boxes = [...document.querySelectorAll("input[data-run]")];
found.names = boxes.map((box) => box.closest("label").lastChild.firstChild.textContent);
await click(boxes[0]);
found.hidden = all();
found.rows = [...document.querySelectorAll("#overview-table tbody tr")].map((row) => row.className);
found.hiddenRanges = mapRanges();
await click(button("Hide all"));
found.none = all();
await click(button("Show all"));
found.again = all();

await click(at("theme"));
found.dark = paper();

const list = at("state").querySelector("select");
list.value = "layer_0 c";
list.dispatchEvent(new Event("change"));
await pause(1500);
found.other = all();
const details = at("profiles").querySelector("details");
details.open = true;
await pause();
found.numbers = details.querySelectorAll("tbody tr").length;
document.querySelector("#overview-table th:nth-child(8) button").click();
found.sorted = texts("#overview-table tbody th");

const controls = [...document.querySelectorAll("input, select, button, .plot, [role=region]")];
found.unnamed = controls.filter((control) =>
  !(control.labels?.length || control.textContent.trim() || control.getAttribute("aria-label"))).length;
found.uncaptioned = [...document.querySelectorAll("table")].filter((table) => !table.caption).length;
found.reached = [...document.querySelectorAll("a[href], input, select, button")].every(({ tabIndex }) => tabIndex === 0);
return found;
