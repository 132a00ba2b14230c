"""Field: what is in a picture already, asked for what a curve or a letter would run into."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import floor, hypot
from typing import Any

from tinyseq.draw.curves import holds
from tinyseq.draw.scene import Disc, Point

CLEARANCE = 8.0  # between a curve and a node that it passes
CROWDED = 6.0  # nearer than this, two curves are hard to tell apart
NODE = 10  # as bad as so many points of curves in the way of a letter
_CELL = 48.0

Box = tuple[float, float, float, float]  # left, lower, right, upper


class Field:
    """Nodes, points of curves, and the boxes of letters, each in the cells of a grid it touches."""

    def __init__(self, discs: Iterable[Disc]) -> None:
        self.discs: dict[Any, list[Disc]] = defaultdict(list)
        self.points: dict[Any, list[Point]] = defaultdict(list)
        self.boxes: dict[Any, list[Box]] = defaultdict(list)
        for disc in discs:
            w, h = disc.width / 2 + CLEARANCE, disc.height / 2 + CLEARANCE
            for cell in _cells((disc.x - w, disc.y - h, disc.x + w, disc.y + h)):
                self.discs[cell].append(disc)

    def add_points(self, points: Iterable[Point]) -> None:
        """Remember points of a curve."""
        for point in points:
            self.points[floor(point[0] / _CELL), floor(point[1] / _CELL)].append(point)

    def add_box(self, box: Box) -> None:
        """Remember the box of a letter."""
        for cell in _cells(box):
            self.boxes[cell].append(box)

    def touched(self, points: Iterable[Point], ends: tuple[Disc, Disc]) -> int:
        """How many of a curve's points lie in or near nodes, but for those that it joins."""
        return sum(
            any(d not in ends and holds(d, p, CLEARANCE) for d in self.discs.get(_cell(p), ()))
            for p in points
        )

    def crowding(self, points: Iterable[Point], ends: tuple[Disc, Disc]) -> int:
        """How many of a curve's points run along other curves, not counting near its ends."""
        return sum(
            any(hypot(p[0] - q[0], p[1] - q[1]) < CROWDED for q in self._points_near(p))
            for p in points
            if not any(holds(d, p, 2 * CROWDED) for d in ends)
        )

    def _points_near(self, point: Point) -> Iterator[Point]:
        x, y = point
        for cell in _cells((x - CROWDED, y - CROWDED, x + CROWDED, y + CROWDED)):
            yield from self.points.get(cell, ())

    def obstructed(self, box: Box) -> int:
        """How many points of curves lie in a box; a node or a letter counts as ``NODE`` of them."""
        left, lower, right, upper = box
        cells = _cells(box)
        nodes = {id(d) for cell in cells for d in self.discs.get(cell, ()) if _overlap(d, box)}
        boxes = {
            other
            for cell in cells
            for other in self.boxes.get(cell, ())
            if other[0] < right and left < other[2] and other[1] < upper and lower < other[3]
        }
        points = sum(
            left < x < right and lower < y < upper
            for cell in cells
            for x, y in self.points.get(cell, ())
        )
        return NODE * (len(nodes) + len(boxes)) + points


def _overlap(disc: Disc, box: Box) -> bool:
    x = min(max(disc.x, box[0]), box[2])
    y = min(max(disc.y, box[1]), box[3])
    return holds(disc, (x, y), 1.0)


def _cell(point: Point) -> tuple[int, int]:
    return floor(point[0] / _CELL), floor(point[1] / _CELL)


def _cells(box: Box) -> list[tuple[int, int]]:
    left, lower, right, upper = (floor(edge / _CELL) for edge in box)
    return [(i, j) for i in range(left, right + 1) for j in range(lower, upper + 1)]
