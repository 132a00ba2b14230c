"""The wires of a picture of operations: along free ways, and from the states back to the delays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Any

from tinyseq.draw.curves import ARROW, Curve, headed, straight
from tinyseq.draw.graph import Edge
from tinyseq.draw.layers import GAP, Placed
from tinyseq.draw.operations_columns import Link
from tinyseq.draw.scene import Disc, Note, Point, Square, Wire

LANE = 16.0  # from one returning wire to the next
CORNER = 10.0
_PORT = 8.0  # from one arrow to the next at the same node

End = Disc | Square | Note  # what a wire joins; a note stands in a gap


def wires_along(
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


def returns(
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
