"""layout of a recurrence along two axes: a lattice, with the first row at the top.

A state stands at the same spot of every place, so that what leads from place to place runs straight
to the right and downwards. The other variables of a place stand along a diagonal through it: what
the state is made of below and on the left, what is made of it above and on the right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from math import hypot
from typing import Any

from tinyseq.draw.curves import ARROW
from tinyseq.draw.field import Field
from tinyseq.draw.graph import Edge, Graph
from tinyseq.draw.route import routed
from tinyseq.draw.rows import rows
from tinyseq.draw.scene import Disc, Note, Point, Scene, Wire
from tinyseq.draw.style import COLUMN, DIAMETER, GREY, ROW, colours, inked, names, sizes, tinted
from tinyseq.draw.text import Name

BESIDE = (58.0, 50.0)  # from one variable of a place to the next, along the diagonal
GAP = 56.0  # where rows or columns are left out
STUB = 26.0


def grid_scene(graph: Graph) -> Scene:
    """Place an unrolled graph over a grid; what belongs to no place stands on the right."""
    order = rows(graph)
    here = [label for label in order if any(v.label == label and v.time for v in graph.vertices)]
    states = [v.label for v in graph.vertices if v.kind == "state"]
    middle = here.index(max(set(states), key=here.index)) if states else 0
    offset = {
        label: (BESIDE[0] * (k - middle), BESIDE[1] * (k - middle)) for k, label in enumerate(here)
    }
    written = names(graph)
    size = sizes(graph, written)
    across = COLUMN + BESIDE[0] * (len(here) - 1) + max(w for w, _ in size.values()) - DIAMETER
    down = ROW + BESIDE[1] * (len(here) - 1)
    times: list[Any] = [v.time for v in graph.vertices if v.time is not None]
    known = [time for time in graph.times if isinstance(time, tuple)]
    x, columns = _axis({j for _, j in times}, {j for _, j in known}, across)
    y, lines = _axis({i for i, _ in times}, {i for i, _ in known}, -down)
    place: dict[str, Point] = {}
    for v in graph.vertices:
        if isinstance(v.time, tuple):
            i, j = v.time
            dx, dy = offset[v.label]
            place[v.id] = x[j] + dx, y[i] + dy
    _place_the_rest(graph, order, place)
    discs = {v.id: Disc(v, written[v.id], *place[v.id], *size[v.label]) for v in graph.vertices}
    wires = routed(
        [(e, discs[e.source], discs[e.target]) for e in graph.edges], Field(discs.values())
    )
    wires += [_stub(e, discs) for e in graph.cut if _is_step(e)]
    notes = [_note(f"··· {n} more ···", at, max(y.values())) for at, n in columns]
    notes += [_note(f"··· {n} more rows ···", min(x.values()), at) for at, n in lines]
    colour = colours(graph)
    return Scene(
        tuple(tinted(disc, colour) for disc in discs.values()),
        tuple(inked(wire, discs, colour) for wire in wires),
        (),
        tuple(notes),
    )


def _axis(
    shown: Iterable[int], known: Iterable[int], distance: float
) -> tuple[dict[int, float], list[tuple[float, int]]]:
    """Where the shown rows or columns stand, and where how many are left out."""
    found: dict[int, float] = {}
    gaps: list[tuple[float, int]] = []
    shown, at, hidden = set(shown), 0.0, 0
    wide = GAP if distance > 0 else -GAP
    for k in sorted({*known, *shown}):
        if k not in shown:
            hidden += 1
            continue
        if hidden:
            gaps.append((at - distance / 2 + wide, hidden))
            at += 2 * wide
        found[k], hidden = at, 0
        at += distance
    return found, gaps


def _place_the_rest(graph: Graph, order: list[str], place: dict[str, Point]) -> None:
    """Find room on the right for what belongs to no place, as high as what it is joined to."""
    joined: dict[str, list[str]] = defaultdict(list)
    for e in graph.edges:
        joined[e.source].append(e.target)
        joined[e.target].append(e.source)
    right = max((x for x, _ in place.values()), default=0.0)
    rest = [v for v in graph.vertices if v.id not in place]
    taken: Counter[Point] = Counter()
    for k, v in enumerate(sorted(rest, key=lambda v: order.index(v.label)), 1):
        near = [place[id][1] for id in joined[v.id] if id in place]
        spot = right + COLUMN * k, sum(near) / len(near) if near else 0.0
        place[v.id] = spot[0], spot[1] + ROW * taken[spot]
        taken[spot] += 1


def _is_step(edge: Edge) -> bool:
    return isinstance(edge.delay, tuple)


def _stub(edge: Edge, discs: Mapping[str, Disc]) -> Wire:
    """The visible end of an edge to or from a place that is left out."""
    leaves = edge.source in discs
    disc = discs[edge.source if leaves else edge.target]
    assert isinstance(edge.delay, tuple)
    down, across = edge.delay
    length = hypot(across, down)
    dx, dy = across / length, -down / length
    if leaves:
        start = disc.x + dx * disc.width / 2, disc.y + dy * disc.height / 2
        end = start[0] + STUB * dx, start[1] + STUB * dy
        return Wire(edge, edge.source, None, (start, start, end, end), dashed=True)
    tip = disc.x - dx * disc.width / 2, disc.y - dy * disc.height / 2
    base = tip[0] - ARROW * dx, tip[1] - ARROW * dy
    start = tip[0] - STUB * dx, tip[1] - STUB * dy
    return Wire(edge, None, edge.target, (start, start, base, base), tip, dashed=True)


def _note(words: str, x: float, y: float) -> Note:
    return Note(Name(words, bold=False, italic=False, size=13.0), x, y, GREY)
