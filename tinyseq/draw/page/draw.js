// SVG elements for nodes, edges and words. Every text comes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const PLAIN_INK = new Set(["#000000", "#ffffff"]);
const QUIET_INK = "#808080";
const SERIF = '"Times New Roman", Times, "Liberation Serif", "Nimbus Roman", serif';

function element(name, attributes = {}, parent = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

const pen = document.createElement("canvas").getContext("2d");
const known = new Map();

function textWidth(text, size, name) {
  const font = `${name.italic ? "italic " : ""}${name.bold ? "bold " : ""}100px ${SERIF}`;
  const key = `${font} ${text}`;
  if (!known.has(key)) {
    pen.font = font;
    known.set(key, pen.measureText(text).width);
  }
  return (known.get(key) * size) / 100;
}

/** Where the parts of a name begin, with its middle at 0: pairs of base and what is above or below. */
function setting(name, above = name.sup) {
  const spots = [];
  let x = 0;
  for (const part of spelled(name, above)) {
    if (spots.length) x += 0.18 * name.size;
    const after = x + textWidth(part.base, name.size, part);
    const small = [textWidth(part.sub, 0.6 * name.size, part), textWidth(part.sup, 0.6 * name.size, { ...part, bold: false })];
    spots.push([x, after]);
    x = after + Math.max(...small);
  }
  return { size: name.size, left: -x / 2, spots: spots.map((pair) => pair.map((spot) => spot - x / 2)) };
}

const spelled = (name, above) => [{ ...name, sup: above }, ...(name.rest ?? [])];

/** A name with its middle at (0, 0). */
function write(name, parent, above = name.sup, kind = "") {
  const { size, spots } = setting(name, above);
  const text = element("text", { class: kind, "font-size": size }, parent);
  spelled(name, above).forEach((part, i) => {
    const faces = (part.bold ? " bold" : "") + (part.italic ? " italic" : "");
    const [left, right] = spots[i].map((spot) => spot.toFixed(2));
    for (const [content, face, x, y] of [[part.base, faces, left, "0.31em"], [part.sub, `sub${faces}`, right, "1em"], [part.sup, `sup${faces}`, right, "-0.35em"]]) {
      if (content) element("tspan", { class: face.trim(), x, y }, text).textContent = content;
    }
  });
  return text;
}

/** A name with its middle at (x, y). */
function note(name, x, y, parent, kind = "") {
  write(name, parent, name.sup, kind).setAttribute("transform", `translate(${x.toFixed(2)},${y.toFixed(2)})`);
}

/** Plain words with their middle at (x, y). */
function words(text, size, x, y, parent, kind) {
  const made = element("text", { class: kind, "font-size": size, x, y: y + 0.31 * size, "text-anchor": "middle" }, parent);
  made.style.textAnchor = "middle";
  made.textContent = text;
  return made;
}

/** The colours of an edge or node, unless it is in black and white. */
function tint(made, colour, fill = "#ffffff") {
  if (colour === QUIET_INK) made.classList.add("quiet");
  else if (!PLAIN_INK.has(colour)) made.classList.add("tinted");
  if (fill !== "#ffffff") made.classList.add(colour === "#000000" ? "shaded" : "filled");
  made.style.setProperty("--tone", colour);
  made.style.setProperty("--fill", fill);
}

function drawNode(look, id, above, parent) {
  const group = element("g", { class: "node", "data-id": id, tabindex: -1, role: "button" }, parent);
  const rect = element("rect", {}, group);
  tint(group, look.line, look.fill);
  return { group, rect, text: write(look.name, group, above) };
}

function setBox(rect, w, h, round) {
  const values = { x: -w / 2, y: -h / 2, width: w, height: h, rx: round };
  for (const [key, value] of Object.entries(values)) rect.setAttribute(key, value.toFixed(2));
}

const rounding = (node) => (node.w === node.h ? node.w / 2 : 12);

function drawEdge(way, parent) {
  const group = element("g", { class: "edge" + (way.dashed ? " dashed" : "") }, parent);
  tint(group, way.colour);
  const made = { group, reach: element("path", { class: "reach" }, group), line: element("path", { class: "line" }, group) };
  if (way.tip) made.head = element("path", { class: "head" }, group);
  if (way.label) made.letter = write(way.label.name, group, way.label.name.sup, "letter");
  return made;
}

function setEdge(made, curves, tip, label, rests = true) {
  const path = linePath(curves, tip);
  made.line.setAttribute("d", path);
  if (rests) made.reach.setAttribute("d", path);
  if (made.head) made.head.setAttribute("d", headPath(curves[curves.length - 1].slice(6), tip));
  if (made.letter) made.letter.setAttribute("transform", `translate(${label[0].toFixed(2)},${label[1].toFixed(2)})`);
}

function setSquare(rect, x, y, side) {
  const values = { x: x - side / 2, y: y - side / 2, width: side, height: side };
  for (const [key, value] of Object.entries(values)) rect.setAttribute(key, value.toFixed(2));
}

// -- the circuit ----------------------------------------------------------------------------------

function drawCircuit(circuit, graph, parent) {
  const behind = element("g", {}, parent), front = element("g", {}, parent);
  const edges = circuit.wires.map((wire) => {
    const made = drawEdge(wire, behind);
    setEdge(made, cubics(wire.curve), wire.tip, wire.label && [wire.label.x, wire.label.y]);
    return { wire, source: graph[wire.s], target: graph[wire.t], ...made };
  });
  for (const square of circuit.squares) {
    setSquare(element("rect", { class: "square" }, behind), square.x, square.y, square.side);
  }
  for (const { name, x, y } of circuit.notes) note(name, x, y, behind);
  for (const frame of circuit.frames) drawFrame(frame, 0, behind);
  const nodes = graph.map((node) => {
    const { master } = node;
    const made = drawNode(master, node.id, "", front);
    made.group.setAttribute("transform", `translate(${master.x},${master.y})`);
    setBox(made.rect, master.w, master.h, rounding(master));
    return { node, home: master, ...made };
  });
  return { nodes, edges };
}

// -- the unrolled graph, anywhere between folded and unfolded -------------------------------------

/** Draw the nodes of the chosen columns and their edges; `place` moves them to where they are at u. */
function drawUnrolled(run, columns, parent, origin) {
  const { shown, gaps, shift } = arrange(run, columns);
  const isShown = (node) => node.k === OUTSIDE || shown.has(node.k);
  const behind = element("g", {}, parent), front = element("g", {}, parent);
  const nodes = new Map(), edges = [];
  for (const node of run.nodes.filter(isShown)) {
    const above = node.look.timed ? node.above : "";
    const made = drawNode(node.look, node.id, above, front);
    made.group.classList.toggle("dashed", node.dashed);
    if (node.copyOf) made.group.dataset.of = node.copyOf.id;
    const home = { x: node.x + shift(node) + origin, y: node.y, w: node.look.w, h: node.look.h };
    const fold = node.copyOf ?? home;
    // Folded, the name is set as in the circuit: without the time, and in the circuit's size.
    const there = setting(node.look.name, above);
    const start = setting(node.copyOf?.name ?? node.look.name, node.copyOf ? "" : above);
    const grown = start.size / there.size;
    nodes.set(node, { node, ...made, home, fold, grown, aside: start.left - grown * there.left });
  }
  for (const frame of run.unrolled.frames) {
    const moves = new Set(frame.columns.map((k) => (shown.has(k) ? shift({ k }) : null)));
    if (moves.size === 1 && !moves.has(null)) drawFrame(frame, origin + [...moves][0], behind);
  }
  const waiting = new Set(run.edges.filter((e) => nodes.has(e.source) || nodes.has(e.target)));
  for (const edge of waiting) {
    const s = nodes.get(edge.source), t = nodes.get(edge.target);
    if (s && t) edges.push(wholeEdge(edge, s, t, behind));
    else if (edge.way.delay && edge.way.tip) edges.push(stub(edge, s, t, run.unrolled.stub, behind));
  }
  for (const gap of gaps) {
    gap.x += origin;
    const text = `··· ${gap.hidden} more step${gap.hidden > 1 ? "s" : ""} ···`;
    words(text, 13, gap.x, run.unrolled.middle, behind, "gap");
  }
  return { nodes, edges, gaps, run, columns, place: (u) => place(nodes, edges, u) };
}

function wholeEdge(edge, s, t, parent) {
  const { way } = edge;
  const made = drawEdge(way, parent);
  const found = { edge, ...made, s, t, home: wayBetween(edge, s.home, t.home), fold: null };
  widen(found);
  const { fold } = way;
  if (!fold) return found;
  const first = cubics(fold.first ?? []), second = cubics(fold.curve), { curves } = found.home;
  if (first.length) found.square = element("rect", { class: "square" }, made.group);
  const [before, after] = first.length ? atMiddle(curves) : [[], curves];
  const counts = [Math.max(first.length, before.length), Math.max(second.length, after.length)];
  found.joint = counts[0];
  found.home.curves = [...inPieces(before, counts[0]), ...inPieces(after, counts[1])];
  found.fold = {
    curves: [...inPieces(first, counts[0]), ...inPieces(second, counts[1])],
    tip: fold.tip ?? fold.curve.slice(-2),
    label: fold.label ? [fold.label.x, fold.label.y] : pointAt(second[0], 0.5),
  };
  return found;
}

/** A way cut in two. */
function atMiddle(curves) {
  if (curves.length === 1) return split(curves[0], 0.5).map((curve) => [curve]);
  const half = Math.floor(curves.length / 2);
  return [curves.slice(0, half), curves.slice(half)];
}

/** Where an edge runs between the places of its ends: as it was laid out, if they moved as one. */
function wayBetween({ way, source, target }, from, to) {
  const across = target.x - source.x, now = to.x - from.x;
  const label = way.label && [from.x + way.label.x, from.y + way.label.y];
  if (Math.abs(now - across) < 0.02) {
    return { curves: cubics(moved(way.curve, from.x, from.y)), tip: way.tip && moved(way.tip, from.x, from.y), label };
  }
  const [x, y] = way.curve.slice(2), [u, v] = way.curve.slice(-4);
  const place = Math.abs(across) > 1 ? (x) => x * (now / across) : (x) => x + (now - across) / 2;
  const { curve, tip } = between([from.x, from.y, from.x + place(x), from.y + y, from.x + place(u), from.y + v, to.x, to.y], from, to);
  return { curves: [curve], tip: way.tip && tip, label: label && [from.x + place(way.label.x), label[1]] };
}

/** The box of a module. */
function drawFrame({ x, y, w, h, title, line }, aside, parent) {
  const group = element("g", { class: "frame late" }, parent);
  const rect = element("rect", { x: x + aside, y, width: w, height: h, rx: 10 });
  rect.style.setProperty("--tone", line);
  group.prepend(rect);
  note(title.name, title.x + aside, title.y, group);
}

/** The visible end of an edge whose other end is left out. */
function stub(edge, s, t, length, parent) {
  const { way } = edge;
  const made = drawEdge({ ...way, label: null, dashed: true, tip: s ? null : way.tip }, parent);
  made.group.classList.add("stub");
  const end = s ?? t;
  const shift = s ? [s.home.x, s.home.y] : [t.home.x - edge.target.x + edge.source.x, t.home.y - edge.target.y + edge.source.y];
  const pieces = cubics(moved(way.curve, ...shift)), line = s ? pieces[0] : pieces[pieces.length - 1];
  const reach = Math.hypot(line[6] - line[0], line[7] - line[1]) || 1;
  const curve = s ? split(line, Math.min(length / reach, 1))[0] : split(line, Math.max(1 - (length - ARROW) / reach, 0))[1];
  return { edge, ...made, s, t, at: end, home: { curves: [curve], tip: s ? null : moved(way.tip, ...shift) }, fold: null };
}

function place(nodes, edges, u) {
  for (const n of nodes.values()) {
    const x = mix(n.fold.x, n.home.x, u), y = mix(n.fold.y, n.home.y, u);
    n.now = { x, y };
    n.group.setAttribute("transform", `translate(${x.toFixed(2)},${y.toFixed(2)})`);
    if (n.fold.w !== n.home.w || n.fold.h !== n.home.h || !n.rect.hasAttribute("rx")) {
      setBox(n.rect, mix(n.fold.w, n.home.w, u), mix(n.fold.h, n.home.h, u), mix(rounding(n.fold), rounding(n.home), u));
    }
    n.text.setAttribute("transform", `translate(${mix(n.aside, 0, u).toFixed(2)}) scale(${mix(n.grown, 1, u).toFixed(4)})`);
    n.group.classList.toggle("late", !n.node.copyOf);
  }
  for (const e of edges) {
    const { home, fold } = e;
    if (fold) {
      const curves = home.curves.map((curve, i) => mixed(fold.curves[i], curve, u));
      const tip = home.tip && mixed(fold.tip, home.tip, u);
      setEdge(e, curves, tip, home.label && mixed(fold.label, home.label, u), u === 1);
      if (e.square) {
        const [x, y] = curves[e.joint].slice(0, 2), [v, w] = curves[e.joint - 1].slice(6);
        setSquare(e.square, (x + v) / 2, (y + w) / 2, e.edge.way.fold.side * (1 - u));
      }
    } else {
      const ends = [e.s ?? e.at, e.t ?? e.at].map((n) => [n.now.x - n.home.x, n.now.y - n.home.y]);
      const curves = home.curves.map((curve) => stretched(curve, ...ends[0], ...ends[1]));
      setEdge(e, curves, home.tip && moved(home.tip, ...ends[1]), home.label && moved(home.label, ...ends[0]), u === 1);
      e.group.classList.add("late");
    }
  }
}
