"""layout: from the unrolled graph to a scene, with a row for every variable and a column a step.

We place the nodes ourselves: we know that a row is a variable and a column a step, which layout
programs do not keep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import dist

from tinyseq.draw.clusters import clusters
from tinyseq.draw.columns import behind, shown_columns
from tinyseq.draw.curves import ARROW, leaving, part, reaching, straight
from tinyseq.draw.field import Field
from tinyseq.draw.graph import Edge, Graph, Step
from tinyseq.draw.grid_layout import grid_scene
from tinyseq.draw.route import letters, routed
from tinyseq.draw.rows import heights
from tinyseq.draw.scene import Disc, Note, Scene, Wire
from tinyseq.draw.style import COLUMN, DIAMETER, GREY, colours, inked, names, sizes, tinted
from tinyseq.draw.text import Name, width
from tinyseq.draw.tree_layout import is_tree, tree_scene

BETWEEN = 30.0  # more room between recurrences of which one follows the other
STUB = 28.0  # how much is drawn of an edge that leads into a gap


def unrolled_scene(graph: Graph) -> Scene:
    """Place an unrolled graph: columns in the order of time, rows in the order of computation.

    A recurrence over a tree is laid out as a tree, one along two axes as a lattice.
    """
    if is_tree(graph.times):
        return tree_scene(graph)
    if graph.grids:
        return grid_scene(graph)
    written = names(graph)
    size = sizes(graph, written)
    height = heights(graph)
    widest = max((w for w, _ in size.values()), default=DIAMETER) - DIAMETER
    widest += max((letters(e).width - 14 for e in graph.edges if e.parameters), default=0.0)
    distance = COLUMN + max(widest, 0.0)
    column, gaps = _columns(graph, height, distance)
    x = _positions(graph, column)
    discs = {
        v.id: Disc(v, written[v.id], x[v.id], height[v.label], *size[v.label])
        for v in graph.vertices
    }
    wires = routed(
        [(e, discs[e.source], discs[e.target]) for e in graph.edges], Field(discs.values())
    )
    stubs = [_stub(e, discs, height, distance) for e in graph.cut]
    wires += [stub for stub in stubs if stub is not None]
    colour = colours(graph)
    return Scene(
        tuple(tinted(disc, colour) for disc in discs.values()),
        tuple(inked(wire, discs, colour) for wire in wires),
        (),
        gaps,
        clusters(graph, discs, wires),
    )


def _columns(
    graph: Graph, height: Mapping[str, float], distance: float
) -> tuple[dict[Step, float], tuple[Note, ...]]:
    """The place of every shown step, and the words in every gap, in the row of a state."""
    places: dict[Step, float] = {}
    gaps: list[Note] = []
    right = -distance / 2  # how far the picture goes
    before: tuple[Step, ...] = ()
    shown = shown_columns(graph)
    for k, column in enumerate(shown):
        if isinstance(column, int):
            words = f"··· {column} more step{'s' * (column > 1)} ···"
            wide = width(words, 13.0) + 2 * STUB - distance + DIAMETER + 16
            text = Name(words, bold=False, italic=False, size=13.0)
            beside = shown[k - 1 if k else 1 : k + 2]
            gaps.append(Note(text, right + wide / 2, _middle(graph, height, beside), GREY))
            right += wide
            continue
        if before and behind(column, before):
            right += BETWEEN
        places.update(dict.fromkeys(column, right + distance / 2))
        right += distance
        before = column
    return places, tuple(gaps)


def _middle(graph: Graph, height: Mapping[str, float], beside: Sequence[object]) -> float:
    """The height of the first state of the recurrence in the first of some columns."""
    first = next((column for column in beside if isinstance(column, tuple)), ())
    loops = {loop for loop, _ in first}
    states = [v for v in graph.vertices if v.kind == "state"]
    own = [v for v in states if v.loop in loops] or states
    return height[own[0].label] if own else max(height.values(), default=0.0) / 2


def _positions(graph: Graph, column: Mapping[Step, float]) -> dict[str, float]:
    """Where every vertex stands from left to right.

    What belongs to no step stands in the column of the step that it is computed from or read by; in
    the middle, if there are several.
    """
    x = {v.id: column[v.loop, v.time] for v in graph.vertices if v.time is not None}
    sources, readers = defaultdict(list), defaultdict(list)
    for edge in graph.edges:
        sources[edge.target].append(edge.source)
        readers[edge.source].append(edge.target)
    outside = [v.id for v in graph.vertices if v.time is None]
    for near, ids in ((sources, outside), (readers, outside[::-1])):
        for k in ids:
            there = [x[end] for end in near[k] if end in x]
            if there and k not in x:
                x[k] = (min(there) + max(there)) / 2
    return {v.id: x.get(v.id, 0.0) for v in graph.vertices}


def _variable(id: str) -> str:
    """The variable of a vertex that has a time."""
    return id.rpartition("(")[0]


def _stub(
    edge: Edge, discs: Mapping[str, Disc], height: Mapping[str, float], distance: float
) -> Wire | None:
    """The visible end of an edge whose other end is left out; None if nothing is known of that."""
    leaves = edge.source in discs
    disc = discs[edge.source if leaves else edge.target]
    there = height.get(_variable(edge.target if leaves else edge.source))
    if there is None or not isinstance(edge.delay, int) or edge.delay == 0:
        return None
    onwards = distance if (edge.delay > 0) == leaves else -distance
    here, away = (disc.x, disc.y), (disc.x + onwards, there)
    if leaves:
        curve = leaving(straight(here, away), disc)
        start, end = curve[0], curve[3]
        visible = part(curve, 0.0, STUB / dist(start, end))
        return Wire(edge, edge.source, None, visible, dashed=True)
    curve, tip = reaching(straight(away, here), disc)
    start, end = curve[0], curve[3]
    visible = part(curve, 1 - (STUB - ARROW) / dist(start, end), 1.0)
    return Wire(edge, None, edge.target, visible, tip, dashed=True)
