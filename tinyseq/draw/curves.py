"""Cubic curves from node to node: bent around what is in the way, cut off where the nodes begin."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, dist, hypot, radians, sin

from tinyseq.draw.scene import Disc, Point

Curve = tuple[Point, Point, Point, Point]
ARROW = 7.5  # length of an arrowhead
_SPACING = 6.0  # of the points that stand for a curve


def straight(a: Point, b: Point) -> Curve:
    """The line from a to b."""
    (x, y), (u, v) = a, b
    return a, (x + (u - x) / 3, y + (v - y) / 3), (x + 2 * (u - x) / 3, y + 2 * (v - y) / 3), b


def bow(a: Point, b: Point, height: float) -> Curve:
    """A curve that swings out to the left of its way (to the right if ``height`` is negative)."""
    (x, y), (u, v) = a, b
    length = hypot(u - x, v - y) or 1.0
    nx, ny = -(v - y) / length * height, (u - x) / length * height
    dx, dy = 0.2 * (u - x), 0.2 * (v - y)
    return a, (x + dx + nx, y + dy + ny), (u - dx + nx, v - dy + ny), b


def snake(a: Point, b: Point, lead: float) -> Curve:
    """A curve that leaves to the side, goes along between the columns, and comes in from above."""
    (x, y), (u, v) = a, b
    out = lead if u >= x else -lead
    return a, (x + out, y + 0.1 * (v - y)), (u - out, v - 0.25 * (v - y)), b


def candidates(a: Point, b: Point, reach: float) -> list[Curve]:
    """The ways to go from a to b, the plainest first."""
    ways = [straight(a, b)]
    for height in (1.25, 1.6, 2.1, 2.8):
        ways += [bow(a, b, height * reach), bow(a, b, -height * reach)]
    if a[0] != b[0] and a[1] != b[1]:
        ways[1:1] = [snake(a, b, lead * abs(b[0] - a[0])) for lead in (0.5, 0.65, 0.8)]
    return ways


def at(curve: Sequence[Point], t: float) -> Point:
    """The point of a cubic at t in [0, 1]."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = curve
    s = 1 - t
    p, q, r, w = s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t
    return p * ax + q * bx + r * cx + w * dx, p * ay + q * by + r * cy + w * dy


def sampled(curve: Sequence[Point]) -> list[Point]:
    """Points along one or several cubics, so close that nothing of interest fits in between."""
    points = [curve[0]]
    for k in range(0, len(curve) - 1, 3):
        a, b, c, d = piece = curve[k : k + 4]
        steps = max(8, int((dist(a, b) + dist(b, c) + dist(c, d)) / _SPACING))
        points += [at(piece, i / steps) for i in range(1, steps + 1)]
    return points


def part(curve: Curve, start: float, end: float) -> Curve:
    """The piece of a cubic between two values of its parameter."""

    def blossom(r: float, s: float, t: float) -> Point:
        points = list(curve)
        for u in (r, s, t):
            points = [
                ((1 - u) * ax + u * bx, (1 - u) * ay + u * by)
                for (ax, ay), (bx, by) in zip(points, points[1:], strict=False)
            ]
        return points[0]

    return (
        blossom(start, start, start),
        blossom(start, start, end),
        blossom(start, end, end),
        blossom(end, end, end),
    )


def leaving(curve: Curve, source: Disc) -> Curve:
    """The part of a curve after it has left the node in which it begins."""
    return part(curve, _crossing(curve, source, 0.0, 1.0), 1.0)


def reaching(curve: Curve, target: Disc) -> tuple[Curve, Point]:
    """The part of a curve up to an arrowhead at the node in which it ends, and the arrow's tip."""
    return headed(part(curve, 0.0, _crossing(curve, target, 1.0, 0.0)))


def _crossing(curve: Curve, disc: Disc, inside: float, outside: float) -> float:
    for _ in range(20):
        middle = (inside + outside) / 2
        if holds(disc, at(curve, middle)):
            inside = middle
        else:
            outside = middle
    return outside


def holds(disc: Disc, point: Point, margin: float = 0.0) -> bool:
    """Whether a point lies in a node, or nearer to it than ``margin``."""
    dx, dy = abs(point[0] - disc.x), abs(point[1] - disc.y)
    if disc.is_round:
        return hypot(dx, dy) < disc.width / 2 + margin
    return dx < disc.width / 2 + margin and dy < disc.height / 2 + margin


def on_border(disc: Disc, degrees: float) -> tuple[Point, Point]:
    """The point of a node's border in a direction (0 is right, 90 up), and the direction."""
    direction = (cos(radians(degrees)), sin(radians(degrees)))
    ray = straight((disc.x, disc.y), (disc.x + 400 * direction[0], disc.y + 400 * direction[1]))
    return at(ray, _crossing(ray, disc, 0.0, 1.0)), direction


def headed(curve: Curve) -> tuple[Curve, Point]:
    """A curve cut off at the base of its arrowhead, and the arrowhead's tip."""
    return short_of(curve, curve[3], ARROW), curve[3]


def short_of(curve: Curve, tip: Point, length: float) -> Curve:
    """A curve cut off where it comes nearer to a point than ``length``."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        if dist(at(curve, middle), tip) > length:
            low = middle
        else:
            high = middle
    return part(curve, 0.0, low)
