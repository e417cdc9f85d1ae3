// Keeps the page up to date while runs train: asks its server what is new, and draws that.

const PATIENCE_S = 30;

/** What sections are built from; where it is the same, new numbers need no more than drawing. */
const shape = () => JSON.stringify(RUNS.map((run) => [
  run.path, run.label, run.status, run.look, run.headline, run.axis, Object.keys(run.profiles),
  ...["train", "valid"].map((kind) => Object.keys(run.curves[kind].values)), Object.keys(run.test), Object.keys(run.lengths?.test ?? {}),
  Object.entries(run.laboratory ?? {}).map(([name, { dims, coords }]) => [name, dims.map((dim) => [dim, ["step", "time"].includes(dim) ? null : coords[dim]])]),
]));

/** What a reader knows a control by: the run of a box, or its section and its words. */
function nameOf(control) {
  if (control.dataset.run) return `run ${RUNS[control.dataset.run]?.path}`;
  const place = control.closest("section")?.id ?? control.closest("[id]").id, words = control.closest("label") ?? control;
  return `${place} ${control.tagName} ${[...words.childNodes].find(({ nodeType }) => nodeType === Node.TEXT_NODE)?.textContent}`;
}
const controls = () => [...document.querySelectorAll("main select, main input, aside select, aside input, aside button")];

/** Build the sections again; what the reader chose, where they are and what has the focus stay. */
function rebuild(replace) {
  const focus = controls().includes(document.activeElement) ? nameOf(document.activeElement) : null;
  const chosenBefore = new Map(controls().map((control) => [nameOf(control), sliders.has(control) ? sliders.get(control).step : control.value]));
  const hidden = new Set(RUNS.filter((_, index) => !shown.has(index)).map(({ path }) => path));
  replace();
  shown.clear();
  RUNS.forEach(({ path }, index) => { if (!hidden.has(path)) shown.add(index); });
  figures.length = 0;
  updates.length = lasting;
  SECTIONS.forEach((name) => at(name).replaceChildren());
  paint = build();
  for (const [key, figure] of built) {
    if (figures.includes(figure)) continue;
    watcher.unobserve(figure.element);
    Plotly.purge(figure.plot);
    built.delete(key);
  }
  for (const control of controls()) {
    const name = nameOf(control), before = chosenBefore.get(name);
    if (before !== undefined && sliders.has(control)) sliders.get(control).step = before;
    else if (control.tagName === "SELECT" && [...control.options].some(({ value }) => value === before)) control.value = before;
    if (name === focus) control.focus({ preventScroll: true });
  }
  paint();
}

/** Take over what the server says, without moving what the reader looks at. */
function take(news) {
  const before = shape(), byPath = new Map(RUNS.map((run) => [run.path, run]));
  const next = news.order.map((path) => Object.assign(byPath.get(path) ?? {}, news.runs[path]));
  // What stands in the middle stays there, unless the reader is at the top of the page.
  const anchor = window.scrollY > 0 ? [...document.querySelectorAll("main section, main figure")].findLast((part) => part.getClientRects().length && part.getBoundingClientRect().top <= window.innerHeight / 2) : null;
  const top = anchor?.getBoundingClientRect().top;
  keeping = true;
  try {
    const old = [...RUNS], replace = () => RUNS.splice(0, RUNS.length, ...next);
    // The new numbers are in `next`; the list itself changes only while the sections are built.
    if (old.length !== next.length || old.some((run, i) => run !== next[i]) || shape() !== before) rebuild(replace);
    changed();
  } finally {
    keeping = false;
  }
  if (news.page) tellPage(news.page);
  tellState();
  if (anchor?.isConnected) window.scrollBy({ top: anchor.getBoundingClientRect().top - top, behavior: "instant" });
}

function tellPage({ answers, notes, looks, thinned }) {
  const soft = (line) => make("p", { class: "soft" }, line);
  at("notes").replaceChildren(...notes.map(soft));
  at("looks").textContent = looks;
  if (at("answers").innerHTML !== answers) at("answers").innerHTML = answers; // its texts are escaped
  for (const place of document.querySelectorAll("[data-thinned]")) {
    const line = thinned[place.dataset.thinned];
    place.replaceChildren(...(line ? [soft(line)] : []));
  }
}

/** How many runs there are and train, and when that was so. */
function tellState(words = "") {
  const training = RUNS.filter(({ status }) => status.startsWith("running")).length;
  at("summary").textContent = words || `${RUNS.length} runs from ${DATA.title}, ${training} training. As of ${new Date().toLocaleTimeString()}.`;
}

/** Whether a button of the mouse is down in a picture, where a drag would be lost by drawing. */
function watchDrags() {
  let held = false;
  const set = ({ buttons, target }) => { held = buttons > 0 && Boolean(target.closest?.(".plot")); };
  window.addEventListener("pointerdown", set, true);
  for (const name of ["pointerup", "pointercancel", "blur"]) window.addEventListener(name, () => { held = false; }, true);
  window.addEventListener("pointermove", ({ buttons }) => { if (!buttons) held = false; }, true);
  return () => held;
}

/** Ask again and again, seldom if nobody answers, and never for a page that is not in view. */
async function follow(live) {
  const token = new URLSearchParams(window.location.search).get("token"), dragging = watchDrags();
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  const inView = () => (document.hidden ? new Promise((done) => document.addEventListener("visibilitychange", done, { once: true })) : null);
  let failures = 0;
  for (;;) {
    await pause(Math.min(live.every_s * 2 ** failures, PATIENCE_S));
    while (document.hidden) await inView();
    try {
      const answer = await fetch(`/changes?${new URLSearchParams({ token, server: live.server, since: live.version })}`);
      if (answer.status === 403) return tellState("This address has expired: open the one that `rnnexp watch` printed last.");
      if (!answer.ok) throw new Error(`${answer.status}`);
      const news = await answer.json();
      while (dragging()) await pause(0.1);
      if (news.order) take(news);
      else tellState();
      Object.assign(live, { server: news.server, version: news.version });
      failures = 0;
    } catch (error) {
      if (!(error instanceof TypeError) && !/^\d+$/.test(error.message)) throw error;
      failures += 1;
      tellState(`The server does not answer: the page shows what it had at ${live.asOf ?? "its start"}.`);
      continue;
    }
    live.asOf = new Date().toLocaleTimeString();
  }
}

document.documentElement.style.overflowAnchor = "none"; // `take` does that
tellState();
follow(DATA.live);
