"""Clusters: a titled box around each of several recurrences that follow each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tinyseq.draw.curves import sampled
from tinyseq.draw.field import Box, Field
from tinyseq.draw.graph import Graph
from tinyseq.draw.scene import Disc, Frame, Note, Point, Square, Wire
from tinyseq.draw.style import GREY
from tinyseq.draw.text import Name, clean

FILL = "#f7f7f5"
_ROOM = 13.0  # between a box and what it holds
_TITLE = 12.0
_HEAD = 8.0  # more of it above, for the title
_NUMBER = 22.0  # of a delay, beside it


def clusters(graph: Graph, discs: Mapping[str, Disc], wires: Sequence[Wire]) -> tuple[Frame, ...]:
    """A box around what belongs to one of the graph's ``titles``, with the title in a free corner.

    None around what cannot be parted from the rest.
    """
    title = dict(graph.titles)
    inside: dict[str, list[Disc]] = defaultdict(list)
    for disc in discs.values():
        if disc.vertex.loop in title:
            inside[title[disc.vertex.loop]].append(disc)
    field = Field(discs.values())
    for wire in wires:
        field.add_points(sampled(wire.curve))
        if wire.label is not None:
            field.add_box(_around(wire.label))
    frames = []
    for words, members in inside.items():
        text = Name(clean(words), bold=False, italic=False, size=_TITLE)
        ids = {disc.vertex.id for disc in members}
        within = [w for w in wires if w.edge.source in ids and w.edge.target in ids]
        box = _bounds(members, within, text)
        others = [disc for disc in discs.values() if disc.vertex.id not in ids]
        if not any(_touches(box, disc) for disc in others):
            frames.append(_framed(box, text, field))
    return tuple(frames)


def _bounds(members: Sequence[Disc], wires: Sequence[Wire], text: Name) -> Box:
    """The box around nodes, the wires between them with their delays, and a title."""
    points = [point for disc in members for point in _corners(disc)]
    for wire in wires:
        points += sampled(wire.curve)
        if wire.label is not None:
            left, lower, right, upper = _around(wire.label)
            points += [(left, lower), (right, upper)]
        if isinstance(wire.end, Square):
            points.append((wire.end.x + (wire.edge.delay != 1) * _NUMBER, wire.end.y))
    left, right = min(x for x, _ in points) - _ROOM, max(x for x, _ in points) + _ROOM
    lower, upper = min(y for _, y in points) - _ROOM, max(y for _, y in points) + _ROOM + _HEAD
    return left, lower, max(right, left + text.width + 12), upper


def _framed(box: Box, text: Name, field: Field) -> Frame:
    """The box with its title in the corner where that is in nobody's way."""
    left, lower, right, upper = box
    half = text.width / 2 + 2, _TITLE / 2
    inset = (6 + text.width / 2, 4 + _TITLE / 2)
    spots: list[Point] = [
        (x, y)
        for y in (upper - inset[1], lower + inset[1])
        for x in (left + inset[0], right - inset[0])
    ]

    def cost(spot: Point) -> int:
        x, y = spot
        return field.obstructed((x - half[0], y - half[1], x + half[0], y + half[1]))

    spot = min(spots, key=cost)
    return Frame(left, lower, right, upper, Note(text, *spot, GREY), fill=FILL)


def _corners(disc: Disc) -> list[Point]:
    w, h = disc.width / 2, disc.height / 2
    return [(disc.x - w, disc.y - h), (disc.x + w, disc.y + h)]


def _around(note: Note) -> Box:
    w, h = note.text.width / 2, note.text.size / 2
    return note.x - w, note.y - h, note.x + w, note.y + h


def _touches(box: Box, disc: Disc) -> bool:
    (left, lower), (right, upper) = _corners(disc)
    return left < box[2] and box[0] < right and lower < box[3] and box[1] < upper
