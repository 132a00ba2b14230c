"""strip: below an elided picture, the norm of the gradient at all steps, also those left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, floor, log10

from tinyseq.draw.annotate import extent
from tinyseq.draw.curves import straight
from tinyseq.draw.graph import Edge
from tinyseq.draw.scene import BLACK, Note, Point, Scene, Wire
from tinyseq.draw.style import GREY, STATE_LINES
from tinyseq.draw.text import MINUS, Name

HEIGHT = 74.0
_BELOW = 34.0  # from the picture to the strip
# Of longer runs, the smallest and the largest norm of as many pieces are drawn. (Graphviz takes no
# curve whose points need more than 16384 characters.)
_MOST = 150
_NOTHING = Edge("", "")  # a curve of the strip is no edge of the graph


def with_strip(
    scene: Scene, flow: Mapping[str, Mapping[int, float]], shown: Sequence[int]
) -> Scene:
    """The scene with a plot of gradients through all steps, on a logarithmic scale.

    Args:
        scene: an unrolled one.
        flow: for every state the norms by step.
        shown: the steps that the picture shows; they are marked below the curves.
    """
    norms = [norm for by_step in flow.values() for norm in by_step.values() if norm > 0]
    if not norms:
        return scene
    left, lowest, right, _ = extent(scene)
    left, right = left + 34, right - 8
    top = lowest - _BELOW
    bottom = top - HEIGHT
    low, high = floor(log10(min(norms))), ceil(log10(max(norms)))
    high = max(high, low + 1)
    steps = [step for by_step in flow.values() for step in by_step]
    first, last = min(steps), max(steps)

    def across(step: float) -> float:
        return left + (right - left) * (step - first) / max(last - first, 1)

    def up(norm: float) -> float:
        return bottom + HEIGHT * (log10(norm) - low) / (high - low)

    wires = [
        _line([(left, bottom), (right, bottom)], GREY),
        _line([(left, bottom), (left, top)], GREY),
    ]
    notes = [
        Note(Name(f"norm of the gradient at all {last - first + 1:,} steps:", bold=False, size=11.0,
                  italic=False), 0.0, 0.0)
    ]  # fmt: skip
    notes += [
        Note(Name(name), 0.0, 0.0, STATE_LINES[k % len(STATE_LINES)]) for k, name in enumerate(flow)
    ]
    at, placed = left, []
    for note in notes:
        placed.append(replace(note, x=at + note.text.width / 2, y=top + 12))
        at += note.text.width + 8
    for exponent in {low: 0, high: 0}:
        text = Name(f"1e{exponent}".replace("-", MINUS), bold=False, size=9.0, italic=False)
        placed.append(Note(text, left - 5 - text.width / 2, up(10.0**exponent)))
    for step in {first: 0, last: 0}:
        text = Name(str(step), bold=False, size=9.0, italic=False)
        placed.append(Note(text, across(step), bottom - 11))
    for begin, end in _runs(sorted(set(shown))):
        half = 0.5 if end > begin else 0.8
        ends = across(begin - half), across(end + half)
        wires.append(_line([(ends[0], bottom), (ends[1], bottom)], BLACK, 3.0))
    for k, by_step in enumerate(flow.values()):
        colour = STATE_LINES[k % len(STATE_LINES)]
        for points in _pieces(by_step):
            line = [(across(step), up(norm)) for step, norm in points]
            wires.append(_line(line, colour, 1.3, dashed=k % 2 == 1))
    return replace(scene, wires=scene.wires + tuple(wires), notes=scene.notes + tuple(placed))


def _runs(steps: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last of every run of consecutive steps."""
    begin = None
    for k, step in enumerate(steps):
        begin = step if begin is None else begin
        if k + 1 == len(steps) or steps[k + 1] != step + 1:
            yield begin, step
            begin = None


def _pieces(by_step: Mapping[int, float]) -> Iterator[list[tuple[int, float]]]:
    """The curve in pieces, interrupted where the norm is zero; thinned out if it is long."""
    points = list(by_step.items())
    size = ceil(len(points) / _MOST)
    if size > 1:
        blocks = [points[k : k + size] for k in range(0, len(points), size)]
        extremes = [
            {min(block, key=lambda p: p[1]), max(block, key=lambda p: p[1])} for block in blocks
        ]
        points = sorted({points[0], points[-1]}.union(*extremes))
    piece: list[tuple[int, float]] = []
    for point in points:
        if point[1] > 0:
            piece.append(point)
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _line(points: Sequence[Point], colour: str, width: float = 0.8, dashed: bool = False) -> Wire:
    """Straight lines from point to point."""
    curve = [points[0]]
    for a, b in zip(points, points[1:] or points, strict=False):
        curve += straight(a, b)[1:]
    return Wire(_NOTHING, None, None, tuple(curve), colour=colour, width=width, dashed=dashed)
