// All paths between two nodes: which nodes and edges lie on one, how long they are, how many.

const MOST_WORK = 4e6;

function reached(start, edgesOf, endOf) {
  const found = new Set([start]), stack = [start];
  while (stack.length) {
    for (const edge of edgesOf(stack.pop())) {
      const end = endOf(edge);
      if (!found.has(end)) {
        found.add(end);
        stack.push(end);
      }
    }
  }
  return found;
}

/** Nodes and edges between two nodes of a graph whose nodes have `out` and `into`; null if none. */
function tracePaths(from, to) {
  const after = reached(from, (n) => n.out, (e) => e.target);
  if (from === to || !after.has(to)) return null;
  const before = reached(to, (n) => n.into, (e) => e.source);
  const nodes = new Set([...after].filter((n) => before.has(n)));
  const edges = [...nodes].flatMap((n) => n.out.filter((e) => nodes.has(e.target)));
  return { from, to, nodes, edges: new Set(edges) };
}

/** How many paths there are of each length in a graph without loops: a Map from length to count. */
function pathLengths({ from, to, nodes, edges }) {
  const open = new Map([...nodes].map((n) => [n, n.into.filter((e) => edges.has(e)).length]));
  const order = [from], longest = new Map([[from, 0]]);
  for (let i = 0; i < order.length; i++) {
    for (const edge of order[i].out.filter((e) => edges.has(e))) {
      const length = Math.max(longest.get(edge.target) ?? 0, longest.get(order[i]) + 1);
      longest.set(edge.target, length);
      open.set(edge.target, open.get(edge.target) - 1);
      if (open.get(edge.target) === 0) order.push(edge.target);
    }
  }
  const most = longest.get(to);
  if (edges.size * most > MOST_WORK) return { shortest: shortest(from, to, edges).length, longest: most };
  const counts = new Map([...nodes].map((n) => [n, new Float64Array(most + 1)]));
  counts.get(from)[0] = 1;
  for (const node of order) {
    const here = counts.get(node);
    for (const edge of node.out.filter((e) => edges.has(e))) {
      const there = counts.get(edge.target);
      for (let i = 0; i < most; i++) there[i + 1] += here[i];
    }
  }
  const found = [...counts.get(to).entries()].filter(([, count]) => count > 0);
  return { shortest: found[0][0], longest: most, counts: found };
}

/** The edges of a shortest path. */
function shortest(from, to, edges) {
  const led = new Map([[from, null]]), queue = [from];
  for (let i = 0; !led.has(to); i++) {
    for (const edge of queue[i].out.filter((e) => edges.has(e) && !led.has(e.target))) {
      led.set(edge.target, edge);
      queue.push(edge.target);
    }
  }
  const way = [];
  for (let edge = led.get(to); edge; edge = led.get(edge.source)) way.unshift(edge);
  return way;
}

const many = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

function countWords(count) {
  return count < 1e15 ? count.toLocaleString("en") : `about ${count.toExponential(1)}`;
}

/** The paths of the unrolled graph in a sentence. */
function pathSentence(trace) {
  const { shortest: least, longest, counts } = pathLengths(trace);
  const span = least === longest ? `of length ${least}` : `of lengths ${least} to ${longest}`;
  if (!counts) return `${trace.from.title} → ${trace.to.title}: paths ${span}`;
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const list = counts.length > 1 && counts.length <= 8
    ? ` (${counts.map(([length, count]) => `${countWords(count)} of length ${length}`).join(", ")})`
    : "";
  return `${trace.from.title} → ${trace.to.title}: ${countWords(total)} path${total === 1 ? "" : "s"} ${span}${list}`;
}

/** The paths of the circuit, which may go round in loops. */
function circuitSentence(trace) {
  const way = shortest(trace.from, trace.to, trace.edges);
  const delay = way.reduce((sum, edge) => sum + (typeof edge.delay === "number" ? Math.abs(edge.delay) : 0), 0);
  const loops = [...trace.edges].some((e) => reached(e.target, (n) => n.out, (o) => o.target).has(e.source));
  const rest = loops ? "; longer ones go round the loops" : "";
  return `${trace.from.title} → ${trace.to.title}: the shortest path has ${many(way.length, "edge")} and ${many(delay, "step")} of delay${rest}`;
}
