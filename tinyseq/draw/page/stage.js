// What is on the page now: the level, the steps that are drawn, and how far they are unfolded.

const DATA = JSON.parse(document.getElementById("data").textContent);
const MOST_DRAWN = 1000, MOST_MOVING = 3000, SECONDS = 0.9;
const ARROW_GAP = 28, ARROW_LENGTH = 88;

const byId = (id) => document.getElementById(id);
const svg = byId("picture"), tip = byId("tip");
const world = element("g", { id: "world" }, svg);
const layers = Object.fromEntries(["arrow", "unrolled", "overlay", "circuit"].map((id) => [id, element("g", { id }, world)]));
const camera = new Camera(svg, world, () => { tip.hidden = true; });
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

const stage = {
  unfolded: false, u: 0, // 0 is folded, 1 is unfolded
  count: 1, first: 0, columns: null, // the steps: so many, from which on; or these columns
  gradient: DATA.start.gradient, numbers: !!DATA.marks.numbers.length && !DATA.start.gradient, theme: null,
  level: null, run: null, graph: null, circuit: null, unrolled: null, scale: null, strip: null,
  known: new Map(), // the elements of nodes that can be chosen, with what is known of them
};

const isDark = () => (stage.theme ? stage.theme === "dark" : prefersDark.matches);

function openLevel(name) {
  const level = DATA.levels[name];
  const run = level.unrolled ? expand(level) : null;
  const steps = run?.unrolled.steps.length ?? 0;
  const most = run ? Math.floor((MOST_DRAWN * steps) / run.nodes.length) : 1;
  const columns = level.columns.length <= most ? level.columns : null;
  Object.assign(stage, { level, run, columns, first: 0, most: Math.max(1, Math.min(most, steps)) });
  stage.count = Math.max(1, Math.min(level.columns.length, stage.most));
  stage.scale = new Scale((run?.nodes ?? []).map((n) => n.gradient));
  for (const layer of Object.values(layers)) layer.replaceChildren();
  stage.graph = level.circuit ? circuitGraph(level.circuit, run) : null;
  stage.circuit = stage.graph && drawCircuit(level.circuit, stage.graph, layers.circuit);
  if (stage.circuit && run) drawArrow();
  drawSteps();
}

function circuitRight() {
  const { nodes, squares, wires, notes } = stage.level.circuit;
  return Math.max(
    ...nodes.map((n) => n.x + n.w / 2), ...squares.map((s) => s.x + s.side), ...notes.map((n) => n.x + 12),
    ...wires.flatMap((w) => w.curve.filter((_, i) => i % 2 === 0)), ...wires.map((w) => (w.label ? w.label.x + 12 : 0)),
  );
}

/** The book's arrow between circuit and unrolled graph; a click does what it says. */
function drawArrow() {
  const arrow = element("g", { id: "unfold-arrow" }, layers.arrow);
  arrow.setAttribute("transform", `translate(${circuitRight() + ARROW_GAP},${stage.run.unrolled.middle})`);
  element("path", { d: "M0-13H64V-22L88 0L64 22V13H0Z" }, arrow);
  words("Unfold", 15, 38, 0, arrow, "word");
  arrow.addEventListener("click", toggle);
}

function drawSteps() {
  layers.unrolled.replaceChildren();
  layers.overlay.replaceChildren();
  const { run } = stage;
  if (run) {
    const { steps, rows, stub } = run.unrolled;
    stage.first = Math.max(0, Math.min(stage.first, steps.length - stage.count));
    const columns = stage.columns ?? chosenColumns(run, stage.count, stage.first);
    const reach = Math.max(...rows.map((row) => entry(row.looks, 0).w / 2)) + stub;
    const origin = stage.circuit ? circuitRight() + 2 * ARROW_GAP + ARROW_LENGTH + reach : 0;
    stage.unrolled = drawUnrolled(run, columns, layers.unrolled, origin);
    drawData(stage.unrolled);
  } else stage.unrolled = null;
  show(stage.u);
  choose([]);
  updateControls();
}

/** Real characters or words beside the variables that stand for them. */
function drawData({ nodes }) {
  for (const { node, group } of nodes.values()) {
    const { text, textSpot } = node.row;
    if (text?.[node.i]) words(text[node.i], 15, ...textSpot, group, "data");
  }
}

/** Show the picture at u; what needs it to stand still waits until it does. */
function show(u) {
  stage.u = u;
  svg.dataset.u = u;
  layers.unrolled.style.display = u === 0 && stage.circuit ? "none" : "";
  layers.overlay.style.display = u === 1 ? "" : "none";
  layers.unrolled.style.setProperty("--late", Math.max(0, Math.min(1, (u - 0.45) / 0.5)));
  stage.unrolled?.place(u);
  if (u === 0 || u === 1) settle();
}

/** Names for screen readers, the node that the Tab key goes to, and colours. */
function settle() {
  const { known, circuit, unrolled } = stage;
  known.clear();
  for (const made of circuit?.nodes ?? []) known.set(made.group, { made, facts: circuitFacts(made.node) });
  if (stage.u === 1) {
    for (const made of unrolled?.nodes.values() ?? []) known.set(made.group, { made, facts: nodeFacts(made.node) });
  }
  for (const [group, { facts }] of known) group.setAttribute("aria-label", inWords(facts));
  const groups = [...known.keys()];
  if (!groups.some((group) => group.getAttribute("tabindex") === "0")) groups[0]?.setAttribute("tabindex", 0);
  paint();
}

function paint() {
  const { unrolled, scale, run } = stage;
  const on = stage.gradient && !scale?.empty && unrolled, numbers = stage.numbers && MARKS.numbers.size > 0;
  const made = [...(stage.circuit?.nodes ?? []), ...(unrolled?.nodes.values() ?? [])];
  byId("legend").hidden = !on && !numbers && !MARKS.widths.size;
  byId("legend-colours").hidden = !on && !numbers;
  byId("strip").hidden = !on;
  unpaint(made, layers.overlay);
  if (numbers) {
    paintNumbers(made);
    explainNumbers();
  }
  if (!on) return;
  const ramp = isDark() ? DARK_RAMP : LIGHT_RAMP;
  paintGradients(unrolled, scale, ramp, layers.overlay);
  drawLegend(scale, ramp);
  stage.strip = drawStrip(byId("strip"), run, scale, ramp, unrolled.columns);
}

// -- the way between folded and unfolded ----------------------------------------------------------

/** The box that holds everything at an end of the way. */
function frameAt(u) {
  const box = { left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity };
  const add = (x, y, w = 0, h = 0) => {
    box.left = Math.min(box.left, x - w / 2);
    box.right = Math.max(box.right, x + w / 2);
    box.top = Math.min(box.top, y - h / 2);
    box.bottom = Math.max(box.bottom, y + h / 2);
  };
  const addAll = (curves) => curves.forEach((c) => c.forEach((_, i) => i % 2 || add(c[i], c[i + 1])));
  const { circuit, unrolled, level } = stage;
  if (circuit) {
    for (const { home } of circuit.nodes) add(home.x, home.y, home.w, home.h);
    addAll(level.circuit.wires.flatMap((wire) => cubics(wire.curve)));
    add(circuitRight() + (unrolled ? ARROW_GAP + ARROW_LENGTH : 0), circuit.nodes[0].home.y);
  }
  if (unrolled && u === 1) {
    for (const { home } of unrolled.nodes.values()) add(home.x, home.y, home.w + 24, home.h + 50);
    for (const { home } of unrolled.edges) addAll(home.curves);
    for (const { x } of unrolled.gaps) add(x, unrolled.run.unrolled.middle, 140);
  }
  return box;
}

const fitted = (u) => camera.fitting(frameAt(u), true);
let moving = 0;

function toggle() {
  if (!stage.circuit || !stage.unrolled) return;
  const goal = stage.unfolded ? 0 : 1;
  stage.unfolded = goal === 1;
  choose([]);
  updateControls();
  tip.hidden = true;
  cancelAnimationFrame(moving);
  const from = stage.u, view = camera.view, aim = fitted(goal);
  if (calm.matches || stage.unrolled.nodes.size + stage.unrolled.edges.length > MOST_MOVING) {
    show(goal);
    camera.set(aim);
    return;
  }
  const begun = performance.now();
  const frame = (now) => {
    const part = Math.max(0, Math.min(1, (now - begun) / (1000 * SECONDS)));
    const eased = part < 0.5 ? 4 * part ** 3 : 1 - (2 - 2 * part) ** 3 / 2;
    show(part === 1 ? goal : mix(from, goal, eased));
    camera.set({ x: mix(view.x, aim.x, eased), y: mix(view.y, aim.y, eased), scale: mix(view.scale, aim.scale, eased) });
    if (part < 1) moving = requestAnimationFrame(frame);
  };
  moving = requestAnimationFrame(frame);
}
