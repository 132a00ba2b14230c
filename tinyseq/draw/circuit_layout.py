"""The circuit as a scene: one column of variables, with the delays as black squares beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tinyseq.draw.clusters import clusters
from tinyseq.draw.curves import Curve, headed, on_border, sampled
from tinyseq.draw.field import Field
from tinyseq.draw.graph import Edge, Graph, Time
from tinyseq.draw.route import is_marked, letter_spots, routed, with_letter
from tinyseq.draw.rows import heights
from tinyseq.draw.scene import Disc, Note, Point, Scene, Square, Wire
from tinyseq.draw.style import colours, inked, names, sizes, tinted
from tinyseq.draw.text import MINUS, Name

BESIDE = 34.0  # from the border of a node to its delay
LANE = 34.0  # from one delay to one that stands further out
LOOP_ANGLE = 40.0  # where a loop leaves its node, and comes back below
SIDE_ANGLE = 60.0  # where a delayed value comes in from another row


def circuit_scene(graph: Graph) -> Scene:
    """Place a circuit: a row for every variable, in the order of computation.

    A state leads to the next step through a delay, the black square to its right; whatever reads
    the state of the step before is wired to the square. A delay other than 1 has its number.
    """
    written = names(graph)
    size = sizes(graph, written)
    height = heights(graph)
    discs = {
        v.id: Disc(v, written[v.id], 0.0, height[v.label], *size[v.label]) for v in graph.vertices
    }
    field = Field(discs.values())
    plain = [e for e in graph.edges if e.delay in (0, None)]
    squares, loops = _loops([e for e in graph.edges if e not in plain], discs)
    for wire in loops:
        field.add_points(sampled(wire.curve))
    for square in squares:
        x, y, half = square.x, square.y, square.side / 2
        field.add_points([(x + i * half, y + j * half) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    wires = routed([(e, discs[e.source], discs[e.target]) for e in plain], field)
    for wire in loops:
        marked = wire.tip is not None and is_marked(wire.edge)
        if marked:
            wire = with_letter(wire, letter_spots([wire], field, outside=True)[0], field)
        wires.append(wire)
    colour = colours(graph)
    return Scene(
        tuple(tinted(disc, colour) for disc in discs.values()),
        tuple(inked(wire, discs, colour) for wire in wires),
        tuple(squares),
        tuple(_beside(square, _number(delay)) for square, delay in squares.items() if delay != 1),
        clusters(graph, discs, wires),
    )


def _loops(edges: Sequence[Edge], discs: dict[str, Disc]) -> tuple[dict[Square, Time], list[Wire]]:
    """The delays with their lengths, and the wires to and from them."""
    shared: dict[tuple[str, Time], list[Edge]] = defaultdict(list)
    for edge in edges:
        assert edge.delay is not None
        shared[edge.source, edge.delay].append(edge)

    def span(group: Sequence[Edge]) -> tuple[float, float]:
        ends = [discs[end].y for e in group for end in (e.source, e.target)]
        return min(ends), max(ends)

    order = sorted(shared.items(), key=lambda item: span(item[1])[1] - span(item[1])[0])
    lanes: list[tuple[float, int]] = []  # the row and lane of every delay so far
    squares: dict[Square, Time] = {}
    wires: list[Wire] = []
    # A lane has room for the longest number that stands beside a delay, if several are beside it.
    apart = LANE + max((_number(d).width for _, d in shared if isinstance(d, tuple)), default=0.0)
    for (source, delay), group in order:
        disc, (low, high) = discs[source], span(group)
        passed = [lane for y, lane in lanes if low < y < high or y == disc.y]
        lane = 1 + max(passed) if passed else 0
        lanes.append((disc.y, lane))
        square = Square(disc.width / 2 + BESIDE + apart * lane, disc.y)
        squares[square] = delay
        recurs = any(e.target == source for e in group)
        own = next((e for e in group if discs[e.target].vertex.loop == disc.vertex.loop), group[0])
        wires.append(Wire(own, source, square, _outwards(disc, square, recurs, lane)))
        for edge in group:
            curve, tip = headed(_inwards(square, discs[edge.target], lane))
            wires.append(Wire(edge, square, edge.target, curve, tip))
    return squares, wires


def _outwards(disc: Disc, square: Square, recurs: bool, lane: int) -> Curve:
    """From a state to its delay: from above, if the way back to the same state is below."""
    if recurs:
        start, towards = on_border(disc, LOOP_ANGLE + 16 * lane)
        end = (square.x, square.y + square.side / 2)
        return start, _ahead(start, towards, 18 + 14 * lane), (end[0], end[1] + 20 + 16 * lane), end
    start, towards = on_border(disc, 0.0)
    end = (square.x - square.side / 2, square.y)
    return start, _ahead(start, towards, 8), (end[0] - 8, end[1]), end


def _inwards(square: Square, disc: Disc, lane: int) -> Curve:
    """From a delay to what reads it: back to its own state, or to one further up or down."""
    x, y, half = square.x, square.y, square.side / 2
    if disc.y == y:
        end, towards = on_border(disc, -LOOP_ANGLE - 16 * lane)
        there = _ahead(end, towards, 18 + 14 * lane)
        return (x, y - half), (x, y - half - 20 - 16 * lane), there, end
    down = disc.y < y
    end, towards = on_border(disc, SIDE_ANGLE if down else -SIDE_ANGLE)
    start = (x, y - half) if down else (x, y + half)
    return start, (x, (y + disc.y) / 2), _ahead(end, towards, 34), end


def _ahead(point: Point, direction: Point, distance: float) -> Point:
    return point[0] + distance * direction[0], point[1] + distance * direction[1]


def _delay_text(delay: Time) -> str:
    """A delay as a number; along two axes as what is read: i-1, the row before, or j-1."""
    if isinstance(delay, int):
        return str(delay).replace("-", MINUS)
    axes = zip("ijkl", delay, strict=False)
    return ", ".join(f"{axis}{MINUS if d > 0 else '+'}{abs(d)}" for axis, d in axes if d)


def _number(delay: Time) -> Name:
    """What is written beside a delay that is not 1."""
    return Name(_delay_text(delay), bold=False, italic=isinstance(delay, tuple), size=11.0)


def _beside(square: Square, text: Name) -> Note:
    return Note(text, square.x + square.side / 2 + text.width / 2 + 4, square.y)
