// The gradient as colour: a ramp from light to dark on paper, and from dark to light on black.

const LIGHT_RAMP = ["#fffbe0", "#fee795", "#fdc24d", "#f59228", "#db6012", "#a83c07", "#5f1f06"];
const DARK_RAMP = ["#2b1d17", "#5f1f06", "#a83c07", "#db6012", "#f59228", "#fdc24d", "#fffbe0"];

const channels = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));

function shade(ramp, strength) {
  const place = Math.max(0, Math.min(1, strength)) * (ramp.length - 1);
  const k = Math.min(Math.floor(place), ramp.length - 2);
  const parts = mixed(channels(ramp[k]), channels(ramp[k + 1]), place - k);
  return `#${parts.map((c) => Math.round(c).toString(16).padStart(2, "0")).join("")}`;
}

function inkOn(colour) {
  const [red, green, blue] = channels(colour).map((c) => (c / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.18 ? "#ffffff" : "#000000";
}

/** From norms to numbers from 0 (none) to 1 (the largest), on a logarithmic scale. */
class Scale {
  constructor(norms) {
    const positive = norms.filter((g) => typeof g === "number" && g > 0);
    this.low = Math.log10(positive.reduce((a, b) => Math.min(a, b), Infinity));
    this.high = Math.log10(positive.reduce((a, b) => Math.max(a, b), 0));
    this.empty = !positive.length;
  }

  of(norm) {
    if (typeof norm !== "number" || norm <= 0) return 0;
    return this.high - this.low < 1e-9 ? 1 : (Math.log10(norm) - this.low) / (this.high - this.low);
  }

  at(part) {
    return 10 ** mix(this.low, this.high, part);
  }
}

/** A number in little space: 0.03, −1.2, 4e−5. */
function short(x) {
  if (typeof x !== "number") return String(x);
  const size = Math.abs(x), plain = size === 0 || (size >= 0.01 && size < 1000);
  return (plain ? String(Number(x.toPrecision(2))) : x.toExponential(0).replace("e+", "e")).replaceAll("-", "−");
}

/** Colour the nodes of an unrolled picture by their gradient, with numbers and the way back. */
function paintGradients(picture, scale, ramp, parent) {
  for (const n of picture.nodes.values()) {
    const { gradient, row } = n.node;
    if (gradient === null) continue;
    const fill = shade(ramp, scale.of(gradient));
    n.group.classList.add("painted");
    n.group.style.setProperty("--paint", fill);
    n.group.style.setProperty("--paint-ink", inkOn(fill));
    const [x, y] = row.numberSpot;
    words(short(gradient), 9, n.home.x + x, n.home.y + y, parent, "number");
  }
  for (const { edge, s, t } of picture.edges) {
    const norm = edge.source.gradient;
    if (!s || !t || edge.way.s !== edge.way.t || !edge.way.delay || edge.way.detached || norm === null) continue;
    const { curve, tip } = between(bow(t.home.x, t.home.y, s.home.x, s.home.y, 4 + 22 * Math.abs(edge.way.far)), t.home, s.home);
    const colour = shade(ramp, 0.35 + 0.5 * scale.of(norm)), width = 0.6 + 2.4 * scale.of(norm);
    const group = element("g", { class: "back" }, parent);
    element("path", { d: linePath([curve], tip), fill: "none", stroke: colour, "stroke-width": width.toFixed(2) }, group);
    element("path", { d: headPath(curve.slice(6), tip, 1 + 0.15 * width), fill: colour }, group);
  }
}

function unpaint(nodes, parent) {
  parent.replaceChildren();
  for (const { group } of nodes) {
    group.classList.remove("painted");
    group.querySelector(".number")?.remove();
  }
}

function drawLegend(scale, ramp) {
  const at = (id) => document.getElementById(`legend-${id}`);
  at("title").textContent = "norm of the gradient";
  at("bar").style.background = `linear-gradient(to right, ${ramp.join(",")})`;
  at("low").textContent = short(scale.at(0));
  at("high").textContent = short(scale.at(1));
}

/** The norms at all steps, a band for each state, with a frame around the steps that are drawn. */
function drawStrip(canvas, run, scale, ramp, columns) {
  const { steps, rows } = run.unrolled;
  const some = rows.filter((row) => row.gradients), states = some.filter((row) => row.kind === "state");
  const bands = (states.length ? states : some).sort((a, b) => entry(a.y, 0) - entry(b.y, 0));
  const left = 22, wide = 320, high = 13, tall = high * bands.length + 4;
  const dots = window.devicePixelRatio || 1;
  canvas.width = (left + wide) * dots;
  canvas.height = tall * dots;
  canvas.style.width = `${left + wide}px`;
  canvas.style.height = `${tall}px`;
  const paint = canvas.getContext("2d");
  paint.scale(dots, dots);
  paint.fillStyle = paint.strokeStyle = getComputedStyle(document.body).color;
  paint.font = `italic bold 12px ${SERIF}`;
  bands.forEach((row, band) => paint.fillText(row.label, 2, high * (band + 1) - 1, left - 4));
  const number = new Map(steps.map((k, i) => [k, i]));
  const at = (i) => left + (i / steps.length) * wide;
  for (const node of run.nodes) {
    const band = bands.indexOf(node.row);
    if (band < 0 || !number.has(node.k) || node.gradient === null) continue;
    paint.fillStyle = shade(ramp, scale.of(node.gradient));
    paint.fillRect(at(number.get(node.k)), 2 + high * band, Math.max(wide / steps.length, 1), high);
  }
  let start = 0;
  for (let i = 1; i <= columns.length; i++) {
    if (i < columns.length && number.get(columns[i]) === number.get(columns[i - 1]) + 1) continue;
    const x = at(number.get(columns[start])), end = at(number.get(columns[i - 1]) + 1);
    paint.strokeRect(x + 0.5, 0.5, Math.max(end - x - 1, 2), tall - 1);
    start = i;
  }
  return { left, wide };
}
