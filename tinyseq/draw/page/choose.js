// Pointing at nodes and edges, and choosing two nodes to see the paths between them.

let chosen = [];

function choose(groups) {
  chosen = groups;
  for (const made of svg.querySelectorAll(".chosen, .met")) made.classList.remove("chosen", "met");
  svg.classList.remove("tracing");
  for (const group of groups) group.classList.add("chosen");
  const [a, b] = groups.map((group) => stage.known.get(group).made.node);
  if (!a) tell("");
  else if (!b) tell(`${a.title} is chosen. Choose a second node to see all paths between the two.`);
  else trace(a, b);
}

function trace(a, b) {
  const found = tracePaths(a, b) ?? tracePaths(b, a);
  if (!found) return tell(`There is no path between ${a.title} and ${b.title}.`);
  const inCircuit = stage.graph?.includes(a);
  tell(inCircuit ? circuitSentence(found) : pathSentence(found));
  svg.classList.add("tracing");
  for (const { made } of stage.known.values()) made.group.classList.toggle("met", found.nodes.has(made.node));
  for (const { edge, group } of stage.unrolled?.edges ?? []) group.classList.toggle("met", found.edges.has(edge));
  for (const { source, target, wire, group } of stage.circuit?.edges ?? []) {
    const same = (e) => e.source === source && e.target === target && String(e.delay) === String(wire.delay);
    group.classList.toggle("met", [...found.edges].some(same));
  }
}

function tell(sentence) {
  const status = byId("status");
  const hint = "Choose two nodes to see the paths between them. Press ? for help.";
  status.textContent = sentence || [hint, stage.level.note].filter(Boolean).join(" ");
  status.classList.toggle("told", !!sentence);
}

const inCircuit = (group) => layers.circuit.contains(group);

function pick(group) {
  if (chosen.includes(group)) choose(chosen.filter((other) => other !== group));
  else if (chosen.length === 1 && inCircuit(chosen[0]) === inCircuit(group)) choose([chosen[0], group]);
  else choose([group]);
}

/** Mark what belongs together: a copy and its node in the circuit, or that and all of its copies. */
function markKin(group) {
  for (const made of svg.querySelectorAll(".kin")) made.classList.remove("kin");
  const node = stage.known.get(group)?.made.node;
  if (!node) return;
  for (const made of stage.circuit?.nodes ?? []) made.group.classList.toggle("kin", made.node.master === node.copyOf);
  for (const made of stage.unrolled?.nodes.values() ?? []) made.group.classList.toggle("kin", !!node.master && made.node.copyOf === node.master);
}

function showFacts(target) {
  const group = target?.closest?.(".node, .edge") ?? null;
  markKin(group);
  const known = stage.known.get(group);
  const edge = stage.unrolled?.edges.find((e) => e.group === group)?.edge;
  const wire = stage.circuit?.edges.find((e) => e.group === group);
  if (known) showTip(tip, known.facts, group.querySelector("rect").getBoundingClientRect());
  else if (edge && stage.u === 1) showTip(tip, edgeFacts(edge.source, edge.target, edge.way), group.querySelector(".line").getBoundingClientRect());
  else if (wire) showTip(tip, edgeFacts(wire.source, wire.target, wire.wire), group.querySelector(".line").getBoundingClientRect());
  else tip.hidden = true;
}

/** The nearest node in a direction, one straight ahead before those to the side. */
function neighbour(group, dx, dy) {
  const here = stage.known.get(group).made.home;
  let best = null, least = Infinity;
  for (const [other, { made }] of stage.known) {
    const x = made.home.x - here.x, y = made.home.y - here.y;
    const ahead = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
    if (ahead > 1 && ahead + 4 * aside < least) [best, least] = [other, ahead + 4 * aside];
  }
  return best;
}

function focusOn(group) {
  for (const other of stage.known.keys()) other.setAttribute("tabindex", other === group ? 0 : -1);
  group.focus();
}

svg.addEventListener("pointerover", (event) => showFacts(event.target));
svg.addEventListener("pointerleave", () => showFacts(null));
svg.addEventListener("focusout", () => showFacts(null));
svg.addEventListener("focusin", ({ target }) => {
  if (!target.matches(":focus-visible")) return;
  camera.reveal(target.getBoundingClientRect());
  showFacts(target);
});
svg.addEventListener("click", (event) => {
  if (camera.dragged) return;
  const group = event.target.closest(".node");
  if (stage.known.has(group)) pick(group);
  else if (!event.target.closest("#unfold-arrow")) choose([]);
});
