// From the page's data to the run as nodes and edges, and where they stand for a choice of steps.

const OUTSIDE = -1;

/** The entry for the i-th node of a row, of what is written once if it is the same for all. */
function entry(record, i) {
  return record.each ? record.each[i] : record.all;
}

function* numbers(ranges) {
  for (const [first, last] of ranges) for (let k = first; k <= last; k++) yield k;
}

/** All nodes and edges of a run; each node knows the circuit's node that it is a copy of. */
function expand(level) {
  const { circuit, unrolled } = level;
  const nodes = [], edges = [], place = new Map();
  const isStep = new Set(unrolled.steps);
  unrolled.rows.forEach((row, r) => {
    const dashed = new Set(row.dashed);
    let i = 0;
    for (const k of numbers(row.at)) {
      const time = k === OUTSIDE ? "" : `(${unrolled.times[k]})`;
      const column = k === OUTSIDE ? 0 : unrolled.columns[k];
      const node = {
        id: row.id + time, title: entry(row.labels, i) + time, time, row, k, i, dashed: dashed.has(i),
        look: entry(row.looks, i), above: unrolled.above[k] ?? "", x: column + entry(row.x, i), y: entry(row.y, i),
        copyOf: circuit?.nodes[row.copyOf] ?? null, out: [], into: [],
        gradient: row.gradients?.[i] ?? null, value: row.values[i],
      };
      nodes.push(node);
      place.set(`${r},${k}`, node);
      i += 1;
    }
  });
  for (const way of unrolled.edges) {
    const pairs = way.far === null ? way.at : [...numbers(way.at)].map((k) => [k, k + way.far]);
    for (const [from, to] of pairs) {
      const edge = { way, source: place.get(`${way.s},${from}`), target: place.get(`${way.t},${to}`) };
      edge.source.out.push(edge);
      edge.target.into.push(edge);
      edges.push(edge);
    }
  }
  return { unrolled, nodes, edges, isStep };
}

/** The circuit as a graph of nodes and edges, each node with its copies in the run. */
function circuitGraph(circuit, run) {
  const nodes = circuit.nodes.map((master) => ({
    id: master.id, title: master.label, master, out: [], into: [], copies: (run?.nodes ?? []).filter((n) => n.copyOf === master),
  }));
  for (const { s, t, delay } of circuit.edges) {
    const edge = { source: nodes[s], target: nodes[t], delay };
    edge.source.out.push(edge);
    edge.target.into.push(edge);
  }
  return nodes;
}

/** The columns to draw: `count` steps from the `first` on, of which the last few are the run's last. */
function chosenColumns(run, count, first) {
  const { steps } = run.unrolled;
  const tail = count >= steps.length ? 0 : Math.floor(0.4 * count);
  const begin = Math.min(first, steps.length - count);
  return [...steps.slice(begin, begin + count - tail), ...steps.slice(steps.length - tail)];
}

/** A place for every column that is drawn, and the gaps between, as tinyseq lays them out. */
function arrange(run, columns) {
  const { unrolled, isStep } = run;
  const { gap } = unrolled;
  const shown = new Set(columns);
  // A state from before the first step is drawn if a step beside it is.
  unrolled.times.forEach((_, k) => {
    if (!isStep.has(k) && (shown.has(k - 1) || shown.has(k + 1))) shown.add(k);
  });
  const at = new Map(), gaps = [], half = gap.distance / 2;
  let last = null, hidden = 0;
  for (let k = 0; k <= unrolled.times.length; k++) {
    if (k < unrolled.times.length && !shown.has(k)) {
      hidden += isStep.has(k) ? 1 : 0;
      continue;
    }
    let right = last === null ? -half : at.get(last) + half;
    if (hidden) {
      const wide = gap.width + gap.digit * String(hidden).length - (hidden > 1 ? 0 : gap.plural);
      gaps.push({ x: right + wide / 2, hidden });
      right += wide;
    }
    if (!shown.has(k)) break;
    if (hidden) at.set(k, right + half);
    else at.set(k, last === null ? unrolled.columns[k] : at.get(last) + unrolled.columns[k] - unrolled.columns[last]);
    [last, hidden] = [k, 0];
  }
  return { shown, gaps, shift: shiftBetween(unrolled.columns, at) };
}

/** How far a node moves with its column; what belongs to no step, with those to its sides. */
function shiftBetween(columns, at) {
  const known = [...at.keys()].sort((a, b) => a - b);
  const move = (k) => at.get(k) - columns[k];
  return (node) => {
    if (node.k !== OUTSIDE) return move(node.k);
    const after = known.find((k) => columns[k] >= node.x);
    const before = known.findLast((k) => columns[k] <= node.x);
    if (after === undefined) return before === undefined ? 0 : move(before);
    if (before === undefined || columns[after] === columns[before]) return move(after);
    const part = (node.x - columns[before]) / (columns[after] - columns[before]);
    return mix(move(before), move(after), part);
  };
}
