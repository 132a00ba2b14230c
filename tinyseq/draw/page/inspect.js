// What is known of a node or an edge, in words: for the tip beside it and for screen readers.

const KINDS = {
  input: "given",
  state: "state, read by a later step",
  initial: "state from before the first step",
  variable: "computed",
  map: "product with parameters",
};

function brief(x) {
  if (typeof x !== "number" || Number.isInteger(x)) return String(x).replace("-", "−");
  const size = Math.abs(x);
  const text = size >= 0.001 && size < 10000 ? String(Number(x.toPrecision(3))) : x.toExponential(1);
  return text.replaceAll("-", "−");
}

const shapeWords = (shape) => (shape.length ? shape.join(" × ") : "one number");

/** A small array as lines of numbers, one row of its last axis a line. */
function tableLines(values, shape) {
  const wide = shape.length ? shape[shape.length - 1] : 1;
  const cells = values.map(brief);
  const room = Math.max(...cells.map((cell) => cell.length));
  const lines = [];
  for (let i = 0; i < cells.length; i += wide) {
    const line = cells.slice(i, i + wide).map((cell) => cell.padStart(room));
    for (let j = 0; j < line.length; j += 8) lines.push(line.slice(j, j + 8).join("  "));
  }
  return lines;
}

/** Facts about an unrolled node: [[name, words], ...], and its value in full if it is small. */
function nodeFacts(node) {
  const { row, value } = node;
  const shape = entry(row.shape, node.i);
  const kind = entry(row.kinds, node.i);
  const facts = [["kind", KINDS[kind] ?? kind], ["shape", shapeWords(shape)]];
  if (row.scope) facts.push(["module", row.scope]);
  if (value?.summary) {
    const [mean, std, least, most] = value.summary.map(brief);
    facts.push(["value", `${least} to ${most}, mean ${mean}, deviation ${std}`]);
  }
  if (value?.odd) facts.push(["not finite", many(value.odd, "element")]);
  if (row.gradients) {
    facts.push(["gradient", node.gradient === null ? "none" : `norm ${brief(node.gradient)}`]);
  }
  if (MARKS.numbers.has(node.id)) facts.push([MARKS.legend, brief(MARKS.numbers.get(node.id).number)]);
  return { title: node.title, facts, lines: value?.all ? tableLines(value.all, shape) : [] };
}

/** Facts about a node of the circuit: what its copies have in common. */
function circuitFacts({ title, copies }) {
  const facts = [], timed = copies.filter((n) => n.time && !n.dashed);
  if (copies.length) {
    const { row } = copies[0];
    facts.push(["kind", KINDS[row.kind] ?? row.kind], ["shape", shapeWords(entry(row.shape, 0))]);
    if (row.scope) facts.push(["module", row.scope]);
  }
  if (timed.length) facts.push(["steps", `${timed.length}: ${timed[0].title} to ${timed[timed.length - 1].title}`]);
  const norms = copies.map((n) => n.gradient).filter((g) => typeof g === "number").sort((a, b) => a - b);
  if (norms.length) facts.push(["gradient", `norms from ${brief(norms[0])} to ${brief(norms[norms.length - 1])}`]);
  return { title, facts, lines: [] };
}

function edgeFacts(source, target, { letters, delay, detached }) {
  const facts = [["through", letters.length ? letters.join(", ") : "no parameter"]];
  if (typeof delay === "number" && delay !== 0) {
    facts.push(["delay", many(Math.abs(delay), "step") + (delay < 0 ? ", backwards in time" : "")]);
  } else if (Array.isArray(delay)) facts.push(["delay", `(${delay.join(", ")})`]);
  else if (delay === null) facts.push(["delay", "always from one particular step"]);
  if (detached) facts.push(["gradient", "cut off here"]);
  return { title: `${source.title} → ${target.title}`, facts, lines: [] };
}

const inWords = ({ title, facts }) => `${title}: ${facts.map(([name, words]) => `${name} ${words}`).join("; ")}`;

function html(name, parent, content = "") {
  const made = document.createElement(name);
  made.textContent = content;
  parent.append(made);
  return made;
}

/** Show the facts beside a box of the screen, wherever there is room. */
function showTip(tip, { title, facts, lines }, box) {
  tip.replaceChildren();
  html("h3", tip, title);
  const table = html("table", tip);
  for (const [name, words] of facts) {
    const row = html("tr", table);
    html("th", row, name).scope = "row";
    html("td", row, words);
  }
  if (lines.length) html("pre", tip, lines.join("\n"));
  tip.hidden = false;
  const frame = tip.parentElement.getBoundingClientRect();
  const { offsetWidth: w, offsetHeight: h } = tip;
  const right = box.right + 10 + w < frame.right;
  const left = right ? box.right + 10 : Math.max(box.left - 10 - w, frame.left + 4);
  const top = Math.min(Math.max(box.top - 10, frame.top + 4), frame.bottom - h - 4);
  tip.style.left = `${Math.min(left, frame.right - w - 4) - frame.left}px`;
  tip.style.top = `${top - frame.top}px`;
}
