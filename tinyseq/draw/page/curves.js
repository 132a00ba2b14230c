// Cubic curves as lists of eight numbers: start, two points that pull, end. y points down.
// An edge is a list of them, each going on where the one before ends.

const ARROW = 7.5, NOTCH = 0.35;

function mix(a, b, u) {
  return a + (b - a) * u;
}

function mixed(p, q, u) {
  return p.map((value, i) => mix(value, q[i], u));
}

/** A curve of which one end moved by (dx, dy) and the other by (du, dv). */
function stretched(points, dx, dy, du, dv) {
  const last = Math.max(points.length / 2 - 1, 1);
  return points.map((value, i) => {
    const part = Math.floor(i / 2) / last;
    return value + (i % 2 ? mix(dy, dv, part) : mix(dx, du, part));
  });
}

function moved(points, dx, dy) {
  return points.map((value, i) => value + (i % 2 ? dy : dx));
}

/** The two pieces of a curve before and after t. */
function split(curve, t) {
  const left = [], right = [];
  let points = [];
  for (let i = 0; i < 8; i += 2) points.push([curve[i], curve[i + 1]]);
  while (points.length) {
    left.push(...points[0]);
    right.unshift(...points[points.length - 1]);
    points = points.slice(1).map((p, i) => mixed(points[i], p, t));
  }
  return [left, right];
}

/** The cubics that a list of 2 + 6 n numbers goes through. */
function cubics(points) {
  const found = [];
  for (let i = 0; i + 8 <= points.length; i += 6) found.push(points.slice(i, i + 8));
  return found;
}

/** The same way in as many pieces as asked for: the longest pieces are halved. */
function inPieces(curves, count) {
  const found = [...curves];
  const length = (c) => Math.hypot(c[6] - c[0], c[7] - c[1]);
  while (found.length < count) {
    const k = found.reduce((best, c, i) => (length(c) > length(found[best]) ? i : best), 0);
    found.splice(k, 1, ...split(found[k], 0.5));
  }
  return found;
}

function pointAt(curve, t) {
  return split(curve, t)[0].slice(6);
}

/** A curve that swings out to the side of its way by a height. */
function bow(x, y, u, v, height) {
  const length = Math.hypot(u - x, v - y) || 1;
  const nx = ((v - y) / length) * height, ny = (-(u - x) / length) * height;
  const dx = 0.2 * (u - x), dy = 0.2 * (v - y);
  return [x, y, x + dx + nx, y + dy + ny, u - dx + nx, v - dy + ny, u, v];
}

/** Where a curve crosses the border of a node; `inside` is 0 or 1, the end that lies in it. */
function crossing(curve, node, inside) {
  let within = inside, without = 1 - inside;
  for (let i = 0; i < 16; i++) {
    const middle = (within + without) / 2;
    const [x, y] = pointAt(curve, middle);
    const dx = Math.abs(x - node.x), dy = Math.abs(y - node.y);
    const round = node.w === node.h;
    const held = round ? Math.hypot(dx, dy) < node.w / 2 : dx < node.w / 2 && dy < node.h / 2;
    if (held) within = middle;
    else without = middle;
  }
  return without;
}

/** The part of a curve between two nodes, cut off at the base of its arrowhead, and the tip. */
function between(curve, source, target) {
  const left = split(curve, crossing(curve, source, 0))[1];
  const whole = split(left, crossing(left, target, 1))[0];
  const tip = whole.slice(6);
  let low = 0, high = 1;
  for (let i = 0; i < 16; i++) {
    const middle = (low + high) / 2;
    const [x, y] = pointAt(whole, middle);
    if (Math.hypot(x - tip[0], y - tip[1]) > ARROW) low = middle;
    else high = middle;
  }
  return { curve: split(whole, low)[0], tip };
}

const written = (points) => points.map((value) => value.toFixed(2)).join(" ");

/** Curves as an SVG path, led on into the notch of an arrowhead if there is one. */
function linePath(curves, tip = null) {
  const end = curves[curves.length - 1].slice(6);
  const path = curves.map((c) => `M${written(c.slice(0, 2))}C${written(c.slice(2))}`).join("");
  return tip ? `${path}L${written(mixed(end, tip, NOTCH))}` : path;
}

/** An arrowhead from its base to its tip, with a notch behind. */
function headPath(base, tip, scale = 1) {
  const dx = tip[0] - base[0], dy = tip[1] - base[1];
  const side = 0.5 * scale;
  const corners = [
    tip[0], tip[1],
    base[0] - dy * side, base[1] + dx * side,
    base[0] + NOTCH * dx, base[1] + NOTCH * dy,
    base[0] + dy * side, base[1] - dx * side,
  ];
  return `M${written(corners)}Z`;
}
