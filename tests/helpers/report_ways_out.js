// For tests in a browser: what a reader can do to a picture, to see whether anything leaves the page.

const found = { buttons: [], pressed: 0, hovered: 0 };
const drawn = plots().filter((plot) => plot.data?.length);
for (const plot of drawn) {
  for (const [number] of plot.data.entries()) {
    if (plot.data[number].type !== "scatter") continue;
    Plotly.Fx.hover(plot, [{ curveNumber: number, pointNumber: 0 }]);
    found.hovered += 1;
  }
  const box = plot.getBoundingClientRect();
  for (const kind of ["mousemove", "mouseover", "mousedown", "mouseup", "dblclick", "wheel"]) {
    plot.querySelector(".nsewdrag")?.dispatchEvent(new MouseEvent(kind, { bubbles: true, clientX: box.x + 90, clientY: box.y + 90 }));
  }
}
for (const plot of drawn) {
  for (const part of plot.querySelectorAll(".modebar-btn")) {
    found.buttons.push(part.dataset.title ?? part.getAttribute("aria-label") ?? part.outerHTML.slice(0, 80));
    part.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
    found.pressed += 1;
    await pause(60);
  }
}
for (const link of document.querySelectorAll("a")) link.click();
for (const part of document.querySelectorAll("button, summary")) part.click();
await pause(2500);
found.config = drawn.map((plot) => [plot._context.plotlyServerURL, plot._context.topojsonURL, plot._context.showSendToCloud || false, plot._context.showLink || null]);
found.dialogs = [...document.querySelectorAll("[class*=cloud]")].map((part) => part.className);
return found;
