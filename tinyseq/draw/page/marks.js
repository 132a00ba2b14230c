// What a user added: numbers as colours, widths of edges, and two nodes whose paths are shown.

const MARKS = {
  ...DATA.marks,
  numbers: new Map(DATA.marks.numbers.map(([id, number, colour]) => [id, { number, colour }])),
  widths: new Map(DATA.marks.widths.map(([source, target, width]) => [`${source}\n${target}`, width])),
};

function widen({ edge, line }) {
  const width = MARKS.widths.get(`${edge.source.id}\n${edge.target.id}`);
  if (width !== undefined) line.setAttribute("stroke-width", width);
}

/** Colour nodes by the user's numbers, and write these beside them. */
function paintNumbers(nodes) {
  for (const { node, group, home } of nodes) {
    const found = MARKS.numbers.get(node.id);
    if (!found) continue;
    group.classList.add("painted");
    group.style.setProperty("--paint", found.colour);
    group.style.setProperty("--paint-ink", inkOn(found.colour));
    const [x, y] = (node.row ?? node.master).numberSpot;
    words(short(found.number), 9, x, y, group, "number");
  }
}

function explainNumbers() {
  byId("legend-title").textContent = MARKS.legend;
  byId("legend-bar").style.background = `linear-gradient(to right, ${MARKS.bar.join(",")})`;
  [byId("legend-low").textContent, byId("legend-high").textContent] = MARKS.ends;
}

/** Show the paths that the picture was asked for; also where their ends are not drawn. */
function showWays() {
  const nodes = (MARKS.highlight ?? []).map((id) => (stage.u === 1 ? stage.run.nodes : stage.graph).find((n) => n.id === id));
  if (nodes.length !== 2 || !nodes.every(Boolean)) return;
  choose([...stage.known].filter(([, { made }]) => nodes.includes(made.node)).map(([group]) => group));
  trace(...nodes);
}
