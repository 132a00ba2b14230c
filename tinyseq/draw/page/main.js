// The page: what is shown now, and the controls that change it.

const DATA = JSON.parse(document.getElementById("data").textContent);
const MOST_DRAWN = 1000, SECONDS = 0.9, MOST_MOVING = 1200;
const byId = (id) => document.getElementById(id);
const svg = byId("picture"), tip = byId("tip"), status = byId("status");
const world = element("g", { id: "world" }, svg);
const layers = Object.fromEntries(["unrolled", "overlay", "arrow", "circuit"].map((id) => [id, element("g", { id }, world)]));
const camera = new Camera(svg, world, () => { tip.hidden = true; });

const state = {
  level: DATA.start.level, unfolded: false, u: 0, count: 1, first: 0, columns: null,
  gradient: DATA.start.gradient, theme: null, chosen: [], circuitWidth: 0,
};
let level = null, run = null, circuit = null, unrolled = null, scale = null;
let focusable = new Map(); // every node's element, with its record

// -- what is drawn --------------------------------------------------------------------------------

function openLevel(name) {
  state.level = name;
  level = DATA.levels[name];
  run = level.unrolled ? expand(level) : null;
  const most = run ? run.unrolled.steps.length : 1;
  const perStep = run ? Math.max(1, run.nodes.length / Math.max(most, 1)) : 1;
  byId("steps").max = Math.max(1, Math.min(most, Math.floor(MOST_DRAWN / perStep)));
  state.columns = DATA.start.columns;
  state.count = Math.min(state.columns?.length ?? DATA.start.count, Number(byId("steps").max));
  state.first = 0;
  scale = run ? new Scale(run.nodes.map((n) => n.gradient)) : null;
  byId("steps-field").hidden = !run || most < 2;
  byId("gradient-field").hidden = !run || scale.empty;
  for (const layer of Object.values(layers)) layer.replaceChildren();
  circuit = level.circuit ? drawCircuit(level.circuit, layers.circuit) : null;
  linkCircuit();
  drawArrow();
  drawSteps();
}

/** The circuit's nodes as a graph of their own, for paths and for the tips. */
function linkCircuit() {
  if (!circuit) return;
  const graph = new Map(level.circuit.nodes.map((n) => [n.label, { id: n.label, out: [], into: [] }]));
  for (const [source, target, delay, letters] of level.circuit.edges) {
    const edge = { source: graph.get(source), target: graph.get(target), delay, letters };
    edge.source.out.push(edge);
    edge.target.into.push(edge);
  }
  circuit.graph = graph;
  circuit.copies = new Map([...graph.keys()].map((label) => [label, (run?.nodes ?? []).filter((n) => n.copyOf?.label === label)]));
}

function circuitRight() {
  const { nodes, squares, wires } = level.circuit;
  return Math.max(
    ...nodes.map((n) => n.x + n.w / 2), ...squares.map((s) => s.x + s.side),
    ...wires.flatMap((w) => [0, 2, 4, 6].map((i) => w.curve[i])), ...wires.map((w) => (w.label ? w.label.x + 12 : 0)),
  );
}

/** The book's arrow between circuit and unrolled graph; a click does what it says. */
function drawArrow() {
  if (!circuit || !run) return;
  const x = circuitRight() + 28, y = run.unrolled.middle;
  const arrow = element("g", { id: "unfold-arrow", transform: `translate(${x},${y})` }, layers.arrow);
  element("path", { d: "M0-13H64V-22L88 0L64 22V13H0Z" }, arrow);
  const text = words("Unfold", 15, 38, 0, arrow, "word");
  arrow.addEventListener("click", toggle);
  state.arrowText = text;
}

function drawSteps() {
  if (!run) return updateControls();
  const { steps } = run.unrolled;
  state.first = Math.max(0, Math.min(state.first, steps.length - state.count));
  const columns = state.columns ?? chosenColumns(run, state.count, state.first);
  state.drawn = columns;
  layers.unrolled.replaceChildren();
  layers.overlay.replaceChildren();
  const origin = circuit ? circuitRight() + 28 + 88 + 28 + leftReach() : 0;
  unrolled = drawUnrolled(run, columns, layers.unrolled, origin);
  drawText();
  show(state.u);
  choose([]);
  updateControls();
}

/** How far the unrolled graph goes to the left of its first column's middle. */
function leftReach() {
  return Math.max(...run.unrolled.rows.map((row) => row.w / 2)) + run.unrolled.stub;
}

function drawText() {
  const { steps } = run.unrolled;
  const number = new Map(steps.map((k, i) => [k, i]));
  unrolled.words = [];
  for (const n of unrolled.nodes.values()) {
    const { text, textSpot } = n.node.row;
    if (!text || !number.has(n.node.k)) continue;
    const [x, y] = textSpot;
    words(text[number.get(n.node.k)], 15, x, y, n.group, "data");
  }
}

/** Show the picture at u: 0 is folded, 1 is unfolded. */
function show(u) {
  state.u = u;
  svg.dataset.u = u;
  layers.unrolled.toggleAttribute("hidden", u === 0 && !!circuit);
  layers.unrolled.style.display = u === 0 && circuit ? "none" : "";
  layers.overlay.style.display = u === 1 && state.gradient ? "" : "none";
  if (unrolled) unrolled.place(u);
  if (u === 0 || u === 1) settle();
}

/** Once nothing moves: colours, names for screen readers, and which node the Tab key goes to. */
function settle() {
  focusable = new Map();
  for (const made of circuit?.nodes.values() ?? []) {
    const facts = circuitFacts(made.node.label, circuit.copies.get(made.node.label));
    focusable.set(made.group, { made, facts, graph: circuit.graph.get(made.node.label) });
  }
  if (unrolled && (state.u === 1 || !circuit)) {
    for (const made of unrolled.nodes.values()) {
      focusable.set(made.group, { made, facts: nodeFacts(made.node), graph: made.node });
    }
  }
  for (const [group, { facts }] of focusable) group.setAttribute("aria-label", inWords(facts));
  const first = [...focusable.keys()][0];
  if (first && ![...focusable.keys()].some((g) => g.getAttribute("tabindex") === "0")) first.setAttribute("tabindex", 0);
  paint();
}

function paint() {
  const on = state.gradient && scale && !scale.empty;
  const ramp = isDark() ? DARK_RAMP : LIGHT_RAMP;
  byId("legend").hidden = !on;
  if (!unrolled) return;
  unpaint(unrolled, layers.overlay);
  if (!on) return;
  paintGradients(unrolled, scale, ramp, layers.overlay);
  drawLegend(byId("legend"), scale, ramp);
  drawStrip(byId("strip"), run, scale, ramp, state.drawn);
}

// -- the picture's frame, and the way between folded and unfolded ---------------------------------

function frameAt(u) {
  const box = { left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity };
  const add = (x, y, w = 0, h = 0) => {
    box.left = Math.min(box.left, x - w / 2);
    box.right = Math.max(box.right, x + w / 2);
    box.top = Math.min(box.top, y - h / 2);
    box.bottom = Math.max(box.bottom, y + h / 2);
  };
  if (circuit) {
    for (const n of level.circuit.nodes) add(n.x, n.y, n.w, n.h);
    add(circuitRight() + (run ? 124 : 0), level.circuit.nodes[0].y);
  }
  if (unrolled && (u === 1 || !circuit)) {
    for (const n of unrolled.nodes.values()) add(n.home.x, n.home.y, n.home.w + 24, n.home.h + 50);
    for (const e of unrolled.edges) {
      for (const c of e.home.curves) for (let i = 0; i < 8; i += 2) add(c[i], c[i + 1]);
    }
  }
  return box;
}

const fitted = (u) => camera.fitting(frameAt(u), true);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let moving = 0;

function toggle() {
  if (!circuit || !run) return;
  goTo(state.unfolded ? 0 : 1);
}

function goTo(goal) {
  state.unfolded = goal === 1;
  choose([]);
  tip.hidden = true;
  updateControls();
  cancelAnimationFrame(moving);
  const from = state.u, view = camera.view, aim = fitted(goal);
  if (calm.matches || unrolled.nodes.size + unrolled.edges.length > 2 * MOST_MOVING) {
    show(goal);
    camera.set(aim);
    return;
  }
  const begun = performance.now();
  const frame = (now) => {
    const part = Math.min(1, (now - begun) / (1000 * SECONDS));
    const eased = part < 0.5 ? 4 * part ** 3 : 1 - (2 - 2 * part) ** 3 / 2;
    show(part === 1 ? goal : mix(from, goal, eased));
    camera.set({ x: mix(view.x, aim.x, eased), y: mix(view.y, aim.y, eased), scale: mix(view.scale, aim.scale, eased) });
    if (part < 1) moving = requestAnimationFrame(frame);
  };
  moving = requestAnimationFrame(frame);
}

// -- choosing nodes -------------------------------------------------------------------------------

function choose(groups) {
  state.chosen = groups;
  for (const made of svg.querySelectorAll(".chosen, .met")) made.classList.remove("chosen", "met");
  svg.classList.remove("tracing");
  for (const group of groups) group.classList.add("chosen");
  if (groups.length < 2) {
    status.textContent = groups.length ? `${focusable.get(groups[0]).facts.title} chosen. A second node shows all paths between the two.` : "";
    return;
  }
  const [a, b] = groups.map((group) => focusable.get(group).graph);
  const trace = tracePaths(a, b) ?? tracePaths(b, a);
  if (!trace) {
    status.textContent = `There is no path between ${a.id} and ${b.id}.`;
    return;
  }
  const inCircuit = circuit && circuit.graph.get(a.id) === a;
  status.textContent = inCircuit ? circuitSentence(trace) : pathSentence(trace);
  svg.classList.add("tracing");
  for (const [group, { graph }] of focusable) group.classList.toggle("met", trace.nodes.has(graph));
  for (const { edge, group } of unrolled?.edges ?? []) group.classList.toggle("met", trace.edges.has(edge));
  if (!inCircuit) return;
  const met = new Set([...trace.edges].map((e) => `${e.source.id} ${e.target.id} ${e.delay}`));
  for (const { wire, group } of circuit.edges) group.classList.toggle("met", met.has(`${wire.source} ${wire.target} ${wire.delay}`));
}

function pick(group) {
  const { chosen } = state;
  const sameView = chosen.length === 1 && layers.circuit.contains(chosen[0]) === layers.circuit.contains(group);
  if (chosen.includes(group)) choose(chosen.filter((other) => other !== group));
  else choose(sameView ? [chosen[0], group] : [group]);
}

/** Mark what belongs together: a circuit's node and its copies. */
function markKin(group) {
  for (const made of svg.querySelectorAll(".kin")) made.classList.remove("kin");
  if (!group || !circuit) return;
  const label = group.dataset.of ?? (layers.circuit.contains(group) ? group.dataset.id : null);
  if (label === null) return;
  circuit.nodes.get(label)?.group.classList.add("kin");
  if (!layers.circuit.contains(group)) return;
  for (const n of unrolled?.nodes.values() ?? []) n.group.classList.toggle("kin", n.node.copyOf?.label === label);
}

function showFacts(target) {
  const group = target?.closest?.(".node, .edge");
  markKin(group?.classList.contains("node") ? group : null);
  if (!group || (state.u > 0 && state.u < 1)) return void (tip.hidden = true);
  const known = focusable.get(group);
  if (known) return showTip(tip, known.facts, group.querySelector("rect").getBoundingClientRect());
  const wire = circuit?.edges.find((e) => e.group === group)?.wire;
  const edge = unrolled?.edges.find((e) => e.group === group)?.edge;
  if (!wire && !edge) return void (tip.hidden = true);
  const facts = edge
    ? edgeFacts(edge.source.id, edge.target.id, edge.way.letters, edge.way.delay, edge.way.detached)
    : edgeFacts(wire.source, wire.target, wire.letters, wire.delay, false);
  showTip(tip, facts, group.querySelector(".line").getBoundingClientRect());
}

/** The nearest node in a direction, the one straight ahead before those to the side. */
function neighbour(group, dx, dy) {
  const middle = (g) => {
    const { node, home } = focusable.get(g).made;
    return home ?? node;
  };
  const here = middle(group);
  let best = null, least = Infinity;
  for (const other of focusable.keys()) {
    const there = middle(other);
    const ahead = (there.x - here.x) * dx + (there.y - here.y) * dy;
    const aside = Math.abs((there.x - here.x) * dy) + Math.abs((there.y - here.y) * dx);
    if (ahead > 1 && ahead + 4 * aside < least) [best, least] = [other, ahead + 4 * aside];
  }
  return best;
}

function focusOn(group) {
  for (const other of focusable.keys()) other.setAttribute("tabindex", other === group ? 0 : -1);
  group.focus();
}

// -- controls -------------------------------------------------------------------------------------

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (state.theme ? state.theme === "dark" : prefersDark.matches);

function applyTheme() {
  const root = document.documentElement;
  if (state.theme) root.dataset.theme = state.theme;
  root.dataset.shade = isDark() ? "dark" : "light";
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  paint();
}

function updateControls() {
  const fold = byId("fold"), both = !!circuit && !!run;
  fold.textContent = state.unfolded ? "Fold" : "Unfold";
  fold.disabled = !both;
  fold.title = both ? "Space" : level.note;
  if (state.arrowText) state.arrowText.textContent = state.unfolded ? "Fold" : "Unfold";
  if (!run) return;
  const { steps, times } = run.unrolled;
  byId("steps").value = state.count;
  byId("steps-shown").textContent = `${state.count} of ${steps.length}`;
  byId("first-field").hidden = state.count >= steps.length || steps.length < 2;
  byId("first").max = steps.length - state.count + 1;
  byId("first").value = state.first + 1;
  byId("first-shown").textContent = times[state.drawn[0]];
  byId("gradient").checked = state.gradient;
}

function setSteps(count, first = state.first) {
  state.count = Math.max(1, Math.min(count, Number(byId("steps").max)));
  state.first = first;
  state.columns = null;
  drawSteps();
  if (state.u === 1) camera.set(fitted(1));
}

function setGradient(on) {
  state.gradient = on && !byId("gradient-field").hidden;
  byId("gradient").checked = state.gradient;
  show(state.u);
  paint();
}

function setTheme() {
  state.theme = isDark() ? "light" : "dark";
  applyTheme();
}

byId("fold").addEventListener("click", toggle);
byId("steps").addEventListener("input", (event) => setSteps(Number(event.target.value)));
byId("first").addEventListener("input", (event) => setSteps(state.count, Number(event.target.value) - 1));
byId("gradient").addEventListener("change", (event) => setGradient(event.target.checked));
byId("level").addEventListener("change", (event) => {
  openLevel(event.target.value);
  camera.set(fitted(state.u));
});
byId("closer").addEventListener("click", () => camera.zoom(1.3));
byId("farther").addEventListener("click", () => camera.zoom(1 / 1.3));
byId("fit").addEventListener("click", () => camera.set(camera.fitting(frameAt(state.u), false)));
byId("theme").addEventListener("click", setTheme);
byId("help").addEventListener("click", () => byId("help-text").showModal());
byId("strip").addEventListener("click", (event) => {
  const part = event.offsetX / event.target.clientWidth;
  setSteps(state.count, Math.round(part * run.unrolled.steps.length - state.count / 2));
});
prefersDark.addEventListener("change", applyTheme);
addEventListener("resize", () => camera.set(fitted(state.u)));

svg.addEventListener("pointerover", (event) => showFacts(event.target));
svg.addEventListener("pointerleave", () => showFacts(null));
svg.addEventListener("focusin", (event) => {
  if (!event.target.matches(":focus-visible")) return;
  camera.reveal(event.target.getBoundingClientRect());
  showFacts(event.target);
});
svg.addEventListener("focusout", () => showFacts(null));
svg.addEventListener("click", (event) => {
  if (camera.dragged) return;
  const group = event.target.closest(".node");
  if (group && focusable.has(group)) pick(group);
  else if (!event.target.closest("#unfold-arrow")) choose([]);
});

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  "+": () => camera.zoom(1.3), "=": () => camera.zoom(1.3), "-": () => camera.zoom(1 / 1.3), _: () => camera.zoom(1 / 1.3),
  0: () => byId("fit").click(), "[": () => setSteps(state.count - 1), "]": () => setSteps(state.count + 1),
  "{": () => setSteps(state.count, state.first - 1), "}": () => setSteps(state.count, state.first + 1),
  g: () => setGradient(!state.gradient), d: setTheme, "?": () => byId("help-text").showModal(),
  Escape: () => { choose([]); tip.hidden = true; },
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || byId("help-text").open) return;
  const group = event.target.closest(".node"), control = event.target.closest("input, select, button");
  if (control && event.key !== "Escape" && (event.key === " " || event.key.startsWith("Arrow") || event.key === "Enter")) return;
  if (event.key in ARROWS) {
    const [dx, dy] = ARROWS[event.key];
    const next = group && neighbour(group, dx, dy);
    if (next) focusOn(next);
    else if (!group) camera.pan(-60 * dx, -60 * dy);
  } else if (event.key === "Enter" && group) pick(group);
  else if (event.key === " ") toggle();
  else if (Object.hasOwn(KEYS, event.key)) KEYS[event.key]();
  else return;
  event.preventDefault();
});

// -- the start ------------------------------------------------------------------------------------

for (const name of Object.keys(DATA.levels)) {
  const option = html("option", byId("level"), name);
  option.value = name;
}
byId("level").value = state.level;
byId("level-field").hidden = Object.keys(DATA.levels).length < 2;
state.unfolded = DATA.start.unfolded && !!DATA.levels[state.level].unrolled || !DATA.levels[state.level].circuit;
state.u = state.unfolded ? 1 : 0;
applyTheme();
openLevel(state.level);
camera.set(fitted(state.u));
svg.dataset.ready = "";
