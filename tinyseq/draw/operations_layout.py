"""The operations as a scene, from left to right: circuits like the book's figure 10.16.

A delay is a black square at the left, where the step before hands its state over; the wire that
brings it there runs above or below everything else. Unrolled, the steps stand side by side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any, NamedTuple

from tinyseq.draw.columns import shown_columns
from tinyseq.draw.curves import ARROW, Curve, headed, straight
from tinyseq.draw.frames import frames_of
from tinyseq.draw.graph import Edge, Graph, Step
from tinyseq.draw.layers import GAP, Box, Placed, layered
from tinyseq.draw.scene import Disc, Note, Point, Scene, Square, Wire
from tinyseq.draw.style import (
    GREY,
    OPERATION_FILLS,
    colours,
    inked,
    names,
    operation_size,
    sizes,
    tinted,
)
from tinyseq.draw.text import MINUS, Name, formula
from tinyseq.draw.tree_layout import is_tree

LANE = 16.0  # from one returning wire to the next
CORNER = 10.0
_PORT = 8.0  # from one arrow to the next at the same node


End = Disc | Square | Note  # what a wire joins; a note stands in a gap


class Link(NamedTuple):
    """An edge, or the part of it between the keys of two things that are placed."""

    edge: Edge
    source: Any
    target: Any


def operations_circuit(graph: Graph) -> Scene:
    """Place a circuit: what is delayed runs through black squares."""
    return operations_scene(graph, circuit=True)


def operations_unrolled(graph: Graph) -> Scene:
    """Place an unrolled graph: step by step, all alike."""
    return operations_scene(graph, circuit=False)


def operations_scene(graph: Graph, circuit: bool) -> Scene:
    """Place a graph of operations.

    Args:
        graph: as ``operations`` gives it.
        circuit: whether edges with a delay run through black squares.
    """
    discs = _discs(graph)
    block, gaps = ({}, {}) if circuit else _blocks(graph)
    squares: dict[Any, Square] = {}
    links: list[Link] = []
    for e in graph.edges:
        delayed = circuit and e.delay not in (0, None)
        if delayed:
            squares[e.source, e.delay] = Square(0.0, 0.0)
        links.append(Link(e, (e.source, e.delay) if delayed else e.source, e.target))
    links += [link for e in graph.cut for link in _into_gap(e, block, gaps)]
    sized = {id: (disc.width, disc.height) for id, disc in discs.items()}
    sized.update((key, (square.side, square.side)) for key, square in squares.items())
    sized.update((key, (note.width + 12, note.size + 6)) for key, note in gaps.items())
    forward = [block.get(k.source, 0) <= block.get(k.target, 0) for k in links]
    ways = [(k.source, k.target)[:: 1 if f else -1] for k, f in zip(links, forward, strict=True)]
    layer, starts = _layer_numbers(list(sized), ways, block)
    if circuit:
        _together(layer, links, {v.id: v.loop for v in graph.vertices})
    boxes = {key: Box(*sized[key], layer[key]) for key in sized}
    alike = {v.id: (v.id.rpartition("(")[0] or v.id, v.loop) for v in graph.vertices}
    regular = not circuit and not is_tree(graph.times)
    placed = layered(boxes, ways, {**alike, **{g: g for g in gaps}} if regular else None, starts)
    at = placed.places
    discs = {id: replace(disc, x=at[id][0], y=at[id][1]) for id, disc in discs.items()}
    squares = {key: Square(*at[key]) for key in squares}
    notes = [Note(text, *at[key], GREY) for key, text in gaps.items()]
    ends: dict[Any, End] = {**discs, **squares, **dict(zip(gaps, notes, strict=True))}
    colour = colours(graph)
    wires = _returns(squares, discs, placed, layer) + _wires(links, forward, ends, placed, layer)
    shown = tuple(tinted(disc, colour) for disc in discs.values())
    return Scene(
        shown,
        tuple(inked(wire, discs, colour) for wire in wires),
        tuple(squares.values()),
        (
            *(_number(square, key[1]) for key, square in squares.items() if key[1] != 1),
            *notes,
        ),
        frames_of(shown),
    )


def _discs(graph: Graph) -> dict[str, Disc]:
    """Every vertex with its look, not yet in its place."""
    variables = Graph(tuple(v for v in graph.vertices if v.kind not in OPERATION_FILLS), ())
    written = names(variables)
    size = sizes(variables, written)
    found = {}
    for v in graph.vertices:
        if v.kind in OPERATION_FILLS:
            text = formula(v.label, bold=v.kind == "map")
            width, height = operation_size(v.kind, text)
            fill, line = OPERATION_FILLS[v.kind]
            found[v.id] = Disc(v, text, 0.0, 0.0, width, height, fill, line)
        else:
            found[v.id] = Disc(v, written[v.id], 0.0, 0.0, *size[v.label])
    return found


# -- which column ---------------------------------------------------------------------------------


def _blocks(graph: Graph) -> tuple[dict[Any, int], dict[Any, Name]]:
    """For all that is in an unrolled graph the place of its step among all; and the gaps' words."""
    block: dict[Any, int] = {}
    gaps: dict[Any, Name] = {}
    number: dict[Step, int] = {}
    for k, column in enumerate(shown_columns(graph)):
        if isinstance(column, int):
            words = f"··· {column} more step{'s' * (column > 1)} ···"
            gaps["gap", k] = Name(words, bold=False, italic=False, size=13.0)
            block["gap", k] = k
        else:
            number.update(dict.fromkeys(column, k))
    block.update((v.id, number[v.loop, v.time]) for v in graph.vertices if v.time is not None)
    sources, readers = defaultdict(list), defaultdict(list)
    for e in graph.edges:
        sources[e.target].append(e.source)
        readers[e.source].append(e.target)
    outside = [v.id for v in graph.vertices if v.time is None]
    for near, ids, choose in ((sources, outside, max), (readers, outside[::-1], min)):
        for id in ids:
            known = [block[n] for n in near[id] if n in block]
            if known and id not in block:
                block[id] = choose(known)
    return {**dict.fromkeys(outside, 0), **block}, gaps


def _into_gap(edge: Edge, block: Mapping[Any, int], gaps: Mapping[Any, Name]) -> list[Link]:
    """The visible part of an edge one end of which is left out: from or to the nearest gap."""
    if not isinstance(edge.delay, int) or edge.delay == 0:
        return []
    leaves = edge.source in block
    here = block[edge.source if leaves else edge.target]
    onwards = (edge.delay > 0) == leaves
    there = [k for _, k in gaps if (k > here) == onwards]
    if not there:
        return []
    gap = ("gap", min(there) if onwards else max(there))
    return [Link(edge, edge.source, gap) if leaves else Link(edge, gap, edge.target)]


def _layer_numbers(
    keys: Sequence[Any], links: Sequence[tuple[Any, Any]], block: Mapping[Any, int]
) -> tuple[dict[Any, int], list[int]]:
    """The column of everything, behind all that it reads, and the first column of every step.

    What reads nothing stands just before what reads it.
    """
    sources, readers = defaultdict(list), defaultdict(list)
    for s, t in links:
        sources[t].append(s)
        readers[s].append(t)
    waiting = {key: len(sources[key]) for key in keys}
    by_block: dict[int, list[Any]] = defaultdict(list)
    for key in keys:
        by_block[block.get(key, 0)].append(key)
    layer: dict[Any, int] = {}
    starts: list[int] = []
    first = 0
    for k in sorted(by_block):
        starts.append(first)
        ready = [key for key in by_block[k] if not waiting[key]]
        for key in ready:
            layer[key] = max((layer[s] + 1 for s in sources[key]), default=first)
            layer[key] = max(layer[key], first)
            for t in readers[key]:
                waiting[t] -= 1
                if not waiting[t] and block.get(t, 0) == k:
                    ready.append(t)
        first = max((layer[key] for key in ready), default=first - 1) + 1
    for key in keys:
        if isinstance(key, str) and not sources[key] and readers[key]:
            layer[key] = min(layer[t] for t in readers[key]) - 1
    return layer, starts


def _together(layer: dict[Any, int], links: Sequence[Link], loop: Mapping[str, int | None]) -> None:
    """Move the delays of each recurrence into the column before the first that reads one."""
    first: dict[int | None, int] = {}
    delayed = [link for link in links if not isinstance(link.source, str)]
    for link in delayed:
        number = loop[link.source[0]]
        first[number] = min(layer[link.target] - 1, first.get(number, layer[link.target] - 1))
    for link in delayed:
        layer[link.source] = first[loop[link.source[0]]]


# -- wires ----------------------------------------------------------------------------------------


def _wires(
    links: Sequence[Link],
    forward: Sequence[bool],
    ends: Mapping[Any, End],
    placed: Placed,
    layer: Mapping[Any, int],
) -> list[Wire]:
    """Every edge along the way that was kept free for it."""
    arrivals: dict[Any, list[tuple[float, int]]] = defaultdict(list)
    for k, link in enumerate(links):
        heights = placed.ways[k] or [ends[link.source].y]
        onwards = forward[k]
        arrivals[link.target, onwards].append((heights[-1] if onwards else heights[0], k))
    port: dict[int, float] = {}
    for (target, _), found in arrivals.items():
        # Wires that come along the same way arrive at the same point.
        heights = sorted({y for y, _ in found})
        room = min(_PORT, 0.7 * _size(ends[target])[1] / max(len(heights) - 1, 1))
        for y, k in found:
            place = heights.index(y) - (len(heights) - 1) / 2
            port[k] = ends[target].y + place * room
    return [
        _wire(link, forward[k], ends, port[k], placed.ways[k], placed.columns, layer)
        for k, link in enumerate(links)
    ]


def _wire(
    link: Link,
    onwards: bool,
    ends: Mapping[Any, End],
    port: float,
    way: Sequence[float],
    columns: Sequence[tuple[float, float]],
    layer: Mapping[Any, int],
) -> Wire:
    s, t = ends[link.source], ends[link.target]
    a, b = layer[link.source], layer[link.target]
    side = 1 if onwards else -1
    points = [(_border(s, s.y, side), s.y), (columns[a][onwards], s.y)]
    for n, y in zip(range(a + side, b, side), way[::side], strict=True):
        points += [(x, y) for x in columns[n][::side]]
    tip = (_border(t, port, -side), port)
    into = (columns[b][not onwards], port)
    # So short a line would be all arrow.
    points += [into, tip] if abs(into[0] - tip[0]) > ARROW + 2 else [tip]
    curve, end = _along(points)
    start = None if isinstance(s, Note) else s if isinstance(s, Square) else link.source
    stop = None if isinstance(t, Note) else link.target
    return Wire(link.edge, start, stop, curve, end, dashed=None in (start, stop))


def _size(end: End) -> Point:
    if isinstance(end, Disc):
        return end.width, end.height
    return (end.side, end.side) if isinstance(end, Square) else (end.text.width, end.text.size)


def _border(end: End, y: float, side: int) -> float:
    """Where a level line meets the border, on the right (1) or on the left (-1)."""
    half = _size(end)[0] / 2
    if isinstance(end, Disc) and end.is_round:
        half = sqrt(max(half * half - (y - end.y) ** 2, 0.0))
    return end.x + side * half


def _along(points: Sequence[Point]) -> tuple[tuple[Point, ...], Point]:
    """A smooth curve through points, level at each of them, up to its arrow; the arrow's tip."""
    pieces: list[Curve] = []
    for (x, y), (u, v) in zip(points, points[1:], strict=False):
        if abs(u - x) + abs(v - y) < 0.01:
            continue
        if y == v and pieces and pieces[-1][0][1] == y == pieces[-1][3][1]:
            x = pieces.pop()[0][0]
        bend = (u - x) / 2
        if y == v:
            pieces.append(straight((x, y), (u, v)))
        else:
            pieces.append(((x, y), (x + bend, y), (u - bend, v), (u, v)))
    pieces[-1], tip = headed(pieces[-1])
    return joined(pieces), tip


def joined(pieces: Sequence[Curve]) -> tuple[Point, ...]:
    """Curves of which each begins where the one before ends, as one."""
    return (pieces[0][0], *(point for piece in pieces for point in piece[1:]))


def rounded(points: Sequence[Point], radius: float = CORNER) -> tuple[Point, ...]:
    """Straight lines from point to point, with rounded corners."""
    pieces: list[Curve] = []
    here = points[0]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _towards(corner, before, radius), _towards(corner, after, radius)
        pieces += [straight(here, start), (start, corner, corner, end)]
        here = end
    return joined([*pieces, straight(here, points[-1])])


def _towards(a: Point, b: Point, distance: float) -> Point:
    length = max(abs(b[0] - a[0]) + abs(b[1] - a[1]), 1e-9)
    share = min(distance / length, 0.5)
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])


# -- delays ---------------------------------------------------------------------------------------


def _returns(
    squares: Mapping[Any, Square],
    discs: Mapping[str, Disc],
    placed: Placed,
    layer: Mapping[Any, int],
) -> list[Wire]:
    """The wires from the states back to their delays, above or below everything else."""
    if not squares:
        return []
    lanes: list[tuple[int, int, int, float]] = []  # first and last column, side, height
    wires = []
    # The nearest first: it gets the innermost lane.
    for (source, delay), square in sorted(squares.items(), key=lambda item: discs[item[0][0]].x):
        disc = discs[source]
        first, last = layer[source, delay], layer[source]
        heights = _heights(first, last, discs.values(), squares.values(), placed)
        passed = [lane for lane in lanes if lane[0] <= last and first <= lane[1]]
        edge = {
            side: side * max(side * y for y in heights + [y for *_, s, y in passed if s == side])
            for side in (1, -1)
        }
        side = (
            1 if edge[1] - disc.y + edge[1] - square.y <= disc.y + square.y - 2 * edge[-1] else -1
        )
        lane = edge[side] + side * LANE
        beside = sum(other[0] == first for other in lanes)
        risers = sum(other[1] == last for other in lanes)
        lanes.append((first, last, side, lane))
        right = placed.columns[last][1] + GAP * (risers + 1) / 4
        left = placed.columns[first][0] - (LANE if first == 0 else GAP / 4) * (beside + 1)
        way = [(disc.x + disc.width / 2, disc.y), (right, disc.y), (right, lane), (left, lane)]
        way += [(left, square.y), (square.x - square.side / 2, square.y)]
        wires.append(Wire(Edge(source, source, delay), source, square, rounded(way)))
    return wires


def _heights(
    first: int, last: int, discs: Iterable[Disc], squares: Iterable[Square], placed: Placed
) -> list[float]:
    """How high and how low things reach in the columns from the first to the last."""
    left, right = placed.columns[first][0], placed.columns[last][1]
    found = [y for n in range(first, last + 1) for y in placed.passed[n]]
    for disc in discs:
        if left <= disc.x <= right:
            found += [disc.y + disc.height / 2, disc.y - disc.height / 2]
    return found + [s.y for s in squares if left <= s.x <= right]


def _number(square: Square, delay: Any) -> Note:
    text = Name(str(delay).replace("-", MINUS), bold=False, italic=False, size=11.0)
    return Note(text, square.x, square.y - square.side / 2 - 8)
