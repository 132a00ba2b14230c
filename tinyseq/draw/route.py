"""Where the edges run and where their letters stand.

Edges of one pattern (from h to o of the same step, say) look alike in all steps: the middle one of
them decides how to go, and where the letter is, by what is in its way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import dist
from typing import Any

from tinyseq.draw.curves import Curve, at, candidates, leaving, reaching, sampled, straight
from tinyseq.draw.field import Box, Field
from tinyseq.draw.graph import Edge
from tinyseq.draw.scene import Disc, Note, Point, Wire
from tinyseq.draw.style import ROW
from tinyseq.draw.text import Name, listed

Joined = tuple[Edge, Disc, Disc]  # an edge, its source and its target
LETTER_SIZE = 13.0
_ASKED = 12  # of many alike, so many are looked at to find room for the letters


def routed(edges: Sequence[Joined], field: Field) -> list[Wire]:
    """A wire with its letter for every edge, in the order of the edges.

    Args:
        edges: with the nodes that they join.
        field: what is there already; wires and letters are added to it.
    """
    patterns: dict[Any, list[int]] = defaultdict(list)
    for k, (_, s, t) in enumerate(edges):
        patterns[s.vertex.label, t.vertex.label, round(t.x - s.x), round(t.y - s.y)].append(k)
    middle = [ks[len(ks) // 2] for ks in patterns.values()]
    order = sorted(
        zip(middle, patterns.values(), strict=True), key=lambda p: _bends(edges[p[0]], field)
    )
    wires: dict[int, Wire] = {}
    for m, ks in order:
        _, source, target = edges[m]
        curve, tip = reaching(leaving(_best_way(source, target, field), source), target)
        points = [*sampled(curve), tip, tip]
        for k in ks:
            edge, disc, _ = edges[k]
            shift = (disc.x - source.x, disc.y - source.y)
            end = moved([tip], shift)[0]
            wires[k] = Wire(edge, edge.source, edge.target, moved(curve, shift), end)
            field.add_points(moved(points, shift))
    for _, ks in order:
        alike = [wires[k] for k in ks]
        if is_marked(alike[0].edge):
            for k, spot in zip(ks, letter_spots(alike, field), strict=True):
                wires[k] = with_letter(wires[k], spot, field)
    return [wires[k] for k in range(len(edges))]


def with_letters_clear(
    wires: Sequence[Wire], discs: Mapping[str, Disc], added: Sequence[Wire]
) -> list[Wire]:
    """The wires, with letters moved from where wires that were added later run through them.

    Args:
        wires: laid out ones.
        discs: the nodes, by their ids.
        added: the later ones.
    """
    field = Field(discs.values())
    for wire in added:
        field.add_points(sampled(wire.curve))
    patterns: dict[Any, list[int]] = defaultdict(list)
    for k, wire in enumerate(wires):
        s, t = discs.get(wire.edge.source), discs.get(wire.edge.target)
        if wire.label is not None and s and t:
            patterns[s.vertex.label, t.vertex.label, round(t.x - s.x), round(t.y - s.y)].append(k)

    def box(wire: Wire) -> Box:
        assert wire.label is not None
        spot = wire.label.x, wire.label.y
        return _box(spot, wire.label.text.width / 2, LETTER_SIZE / 2 - 1)

    crossed = [ks for ks in patterns.values() if any(field.obstructed(box(wires[k])) for k in ks)]
    moving = {k for ks in crossed for k in ks}
    for k, wire in enumerate(wires):
        field.add_points(sampled(wire.curve))
        if wire.label is not None and k not in moving:
            field.add_box(box(wire))
    found = list(wires)
    for ks in crossed:
        spots = letter_spots([wires[k] for k in ks], field)
        for k, spot in zip(ks, spots, strict=True):
            found[k] = with_letter(wires[k], spot, field)
    return found


def moved(points: Sequence[Point], shift: Point) -> tuple[Point, ...]:
    """The points moved by a vector."""
    dx, dy = shift
    return tuple([(x + dx, y + dy) for x, y in points])


def _bends(joined: Joined, field: Field) -> bool:
    _, s, t = joined
    return field.touched(sampled(straight((s.x, s.y), (t.x, t.y))), (s, t)) > 0


def _best_way(source: Disc, target: Disc, field: Field) -> Curve:
    """The plainest way from node to node that touches no other and does not run along a curve."""

    def cost(curve: Curve) -> tuple[int, int]:
        points = sampled(curve)
        ends = (source, target)
        return field.touched(points, ends), field.crowding(points, ends) // 3

    reach = max(source.height, target.height, 40.0) / 2
    ways = candidates((source.x, source.y), (target.x, target.y), reach)
    return min(ways, key=cost)


def is_marked(edge: Edge) -> bool:
    """Whether something is written on an edge."""
    return bool(edge.parameters) or edge.rate != 1


def letters(edge: Edge, size: float = LETTER_SIZE) -> Name:
    """What is written on an edge: its parameters, and whether it goes between different rates.

    As in signal processing: ↓4 reads every fourth value, ↑4 reads each value four times.
    """
    if edge.rate == 1:
        return listed(edge.parameters, size)
    sign = f"↓{edge.rate}" if edge.rate > 1 else f"↑{1 / edge.rate}"
    mark = Name(sign, bold=False, italic=False, size=0.9 * size)
    if not edge.parameters:
        return mark
    first = listed(edge.parameters, size)
    return replace(first, rest=(*first.rest, mark))


def letter_spots(wires: Sequence[Wire], field: Field, outside: bool = False) -> list[Point]:
    """Where the letters of wires of one pattern are in nobody's way: the same place on all of them.

    If possible that is near the middle, to the left of a rising wire or above a level one; with
    ``outside``, to the right or below, which is the outer side of the loops beside a column.
    """
    first, last = wires[0].curve[0], wires[0].curve[-1]
    # Of a wire that passes other rows the letters stand near its source, beside those of its like.
    passes = abs(last[1] - first[1]) > 1.2 * ROW
    places: tuple[float, ...] = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74)
    if passes:
        places = (0.27, 0.22, 0.33, 0.4, 0.5, 0.6, 0.67, 0.73)
    half = letters(wires[0].edge).width / 2, LETTER_SIZE / 2 - 1
    asked = wires[:: max(len(wires) // _ASKED, 1)]
    best, least = first, None
    for t in places:
        for side in (1, -1):
            spot = _beside(wires[0], t, half, outside, side)
            offset = (spot[0] - first[0], spot[1] - first[1])
            cost = sum(
                field.obstructed(_box(moved([wire.curve[0]], offset)[0], half[0] + 2, half[1]))
                for wire in asked
            )
            if least is None or cost < least:
                best, least = offset, cost
    return [moved([wire.curve[0]], best)[0] for wire in wires]


def _beside(wire: Wire, t: float, half: Point, outside: bool, side: int) -> Point:
    """The middle of a box of half the given size that touches a wire from one side at t."""
    (x, y), (u, v) = at(wire.curve, t - 0.02), at(wire.curve, t + 0.02)
    length = dist((x, y), (u, v)) or 1.0
    nx, ny = -(v - y) / length, (u - x) / length
    if (ny < 0 if abs(ny) > 0.3 else nx > 0) != outside:
        nx, ny = -nx, -ny
    away = side * (half[0] * abs(nx) + half[1] * abs(ny) + 3)
    return (x + u) / 2 + away * nx, (y + v) / 2 + away * ny


def with_letter(wire: Wire, spot: Point, field: Field) -> Wire:
    """The wire with its letters at a spot."""
    text = letters(wire.edge)
    field.add_box(_box(spot, text.width / 2, LETTER_SIZE / 2 - 1))
    return replace(wire, label=Note(text, *spot))


def _box(spot: Point, half_width: float, half_height: float) -> Box:
    x, y = spot
    return x - half_width, y - half_height, x + half_width, y + half_height
