"""The graphical model as a scene: a row for every variable, arcs over what lies between."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from tinyseq.draw.curves import Curve, bow, leaving, reaching
from tinyseq.draw.field import Field
from tinyseq.draw.graph import Edge, Graph, Vertex
from tinyseq.draw.route import routed
from tinyseq.draw.rows import rows
from tinyseq.draw.scene import BLACK, Disc, Scene, Wire
from tinyseq.draw.style import GREY, ROW, names, sizes
from tinyseq.draw.text import name

DISTANCE = 92.0  # from one step to the next
RISE = 25.0  # of an arc, for each step that it spans
OBSERVED = "#d4d4d4"
LATER = "…"


def graphical_scene(graph: Graph, shaded: Collection[str]) -> Scene:
    """Place a graphical model: columns are steps, rows are variables, observed ones are shaded.

    Edges that are cut off lead to a dashed column, which stands for all later steps.
    """
    written = names(graph)
    size = sizes(graph, written)
    order = _rows(graph)
    height = {label: 1.25 * ROW * k for k, label in enumerate(order)}
    column = {time: DISTANCE * k for k, time in enumerate(graph.shown)}
    middle = (len(column) - 1) * DISTANCE / 2
    discs = {}
    for v in graph.vertices:
        x = middle if v.time is None else column[v.time]
        line = GREY if v.kind == "state" else BLACK
        fill = OBSERVED if v.id in shaded else "#ffffff"
        discs[v.id] = Disc(v, written[v.id], x, height[v.label], *size[v.label], fill, line)
    later = _later(graph, discs, len(column) * DISTANCE)
    place = discs | later
    joined: dict[tuple[str, str], tuple[Edge, Disc, Disc]] = {}
    for edge in (*graph.edges, *graph.cut):
        if edge.source in place and edge.target in place:
            source, target = place[edge.source], place[edge.target]
            ends = source.vertex.id, target.vertex.id
            joined.setdefault(ends, (Edge(*ends, edge.delay), source, target))
    arcs, others = [], []
    for edge, source, target in joined.values():
        span = round((target.x - source.x) / DISTANCE)
        if source.y == target.y and abs(span) > 1:
            up = span % 2 == 0 if len(order) == 1 else source.y > 0
            arcs.append(_arc(edge, source, target, RISE * span * (1 if up else -1)))
        else:
            others.append((edge, source, target))
    every = {disc.vertex.id: disc for disc in place.values()}.values()
    wires = [*arcs, *routed(others, Field(every))]
    dashed = {disc.vertex.id for disc in later.values()}
    return Scene(tuple(every), tuple(replace(w, dashed=w.edge.target in dashed) for w in wires))


def _rows(graph: Graph) -> list[str]:
    """The variables from the bottom row: given ones, states, targets; targets first if alone."""
    kinds = {v.label: v.kind for v in graph.vertices}
    given, states, targets = (
        [name for name in rows(graph) if kinds[name] == kind]
        for kind in ("input", "state", "variable")
    )
    return given + states + targets if given else targets + states


def _later(graph: Graph, discs: Mapping[str, Disc], x: float) -> dict[str, Disc]:
    """For every vertex that is not shown its dashed node: one for every variable that goes on."""
    like = {disc.vertex.label: disc for disc in discs.values() if disc.vertex.time is not None}
    found = {}
    for edge in graph.cut:
        for id in (edge.source, edge.target):
            variable = id.rpartition("(")[0]
            if id not in discs and variable in like:
                one = like[variable]
                vertex = Vertex(f"{variable}({LATER})", variable, "later", None, "", ())
                text = name(variable, LATER, bold=one.name.bold, size=one.name.size)
                found[id] = replace(one, vertex=vertex, name=text, x=x)
    return found


def _arc(edge: Edge, source: Disc, target: Disc, rise: float) -> Wire:
    way: Curve = bow((source.x, source.y), (target.x, target.y), rise)
    curve, tip = reaching(leaving(way, source), target)
    return Wire(edge, edge.source, edge.target, curve, tip)
