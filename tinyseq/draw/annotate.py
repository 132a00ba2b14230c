"""annotate: texts beside nodes and below a picture, where there is room for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tinyseq.draw.curves import headed, sampled, straight
from tinyseq.draw.field import NODE, Box, Field
from tinyseq.draw.graph import Edge
from tinyseq.draw.scale import Scale, written
from tinyseq.draw.scene import BLACK, WHITE, Disc, Note, Point, Scene, Square, Wire
from tinyseq.draw.text import Name

_SWATCHES = 21
_SIDE, _ARROW, _LINE = 11.5, 26.0, 17.0  # of a key: its squares, arrows and lines


class Key(NamedTuple):
    """A line of a legend: the fill of a node or an arrow or both, and what they mean."""

    words: str
    fill: str | None = None
    arrow: str | None = None  # its colour
    width: float = 1.0


def annotated(
    scene: Scene, words: Mapping[str, Name], ink: str, font: str, order: Sequence[str]
) -> Scene:
    """The scene with a note at some vertices, in the same free spot at all of a variable.

    Args:
        scene: a laid out one.
        words: by the id of a vertex.
        ink, font: of the notes.
        order: the spots to try, of "above", "below", "upper right", "lower left" and so on.
    """
    field = _field(scene)
    rows: dict[str, list[Disc]] = defaultdict(list)
    for disc in scene.discs:
        if disc.vertex.id in words:
            rows[disc.vertex.label].append(disc)
    notes = []
    for discs in rows.values():

        def spots(where: str, discs: list[Disc] = discs) -> list[tuple[Disc, Point]]:
            return [(disc, _spot(disc, words[disc.vertex.id], where)) for disc in discs]

        def cost(where: str, discs: list[Disc] = discs) -> int:
            return sum(
                field.obstructed(_box(words[disc.vertex.id], spot)) for disc, spot in spots(where)
            )

        for disc, spot in spots(min(order, key=cost)):
            text = words[disc.vertex.id]
            box = _box(text, spot)
            # Where no spot is free, curves are interrupted, so that the text can be read.
            fill = WHITE if 0 < field.obstructed(box) < NODE else None
            field.add_box(box)
            notes.append(Note(text, *spot, ink, font, fill))
    return replace(scene, notes=scene.notes + tuple(notes))


def with_bar(scene: Scene, scale: Scale, title: str) -> Scene:
    """The scene with a bar of the colours and what they stand for below it."""
    left, below = extent(scene)[0], extent(scene)[1] - 28
    words = Name(title, bold=False, size=11.0, italic=False)
    side = 7.0
    start = left + words.width + 14
    count = _SWATCHES if scale.high > scale.low else 1
    places = [k / (count - 1) if count > 1 else 1.0 for k in range(count)]
    swatches = [
        Square(start + side * k, below, side, scale.colour(scale.value(place)))
        for k, place in enumerate(places)
    ]
    notes = [Note(words, left + words.width / 2, below)]
    for k in {0: 0, count // 2: 0, count - 1: 0}:
        number = Name(written(scale.value(places[k])), bold=False, size=9.0, italic=False)
        notes.append(Note(number, start + side * k, below - 11))
    return replace(scene, squares=scene.squares + tuple(swatches), notes=scene.notes + tuple(notes))


def with_keys(scene: Scene, keys: Sequence[Key]) -> Scene:
    """The scene with lines below it that explain the fills of nodes and the arrows."""
    left, lowest, _, _ = extent(scene)
    arrows_at = left + (_SIDE + 8 if any(key.fill for key in keys) else 0)
    words_at = arrows_at + (_ARROW + 8 if any(key.arrow for key in keys) else 0)
    squares, wires, notes = [], [], []
    for k, key in enumerate(keys):
        y = lowest - 24 - k * _LINE
        if key.fill is not None:
            squares.append(Square(left + _SIDE / 2, y, _SIDE, key.fill, BLACK))
        if key.arrow is not None:
            curve, tip = headed(straight((arrows_at, y), (arrows_at + _ARROW, y)))
            wires.append(Wire(Edge("", ""), None, None, curve, tip, None, key.arrow, key.width))
        words = Name(key.words, bold=False, size=11.0, italic=False)
        notes.append(Note(words, words_at + words.width / 2, y))
    return replace(
        scene,
        squares=(*scene.squares, *squares),
        wires=(*scene.wires, *wires),
        notes=(*scene.notes, *notes),
    )


def with_caption(scene: Scene, text: str, ink: str) -> Scene:
    """The scene with a line of text below it."""
    left, lowest, _, _ = extent(scene)
    words = Name(text, bold=False, size=11.0, italic=False)
    note = Note(words, left + words.width / 2, lowest - 20, ink)
    return replace(scene, notes=(*scene.notes, note))


def extent(scene: Scene) -> Box:
    """What all of the scene covers."""
    boxes = _boxes(scene)
    points = [point for wire in scene.wires for point in wire.curve]
    xs = [x for box in boxes for x in (box[0], box[2])]
    ys = [y for box in boxes for y in (box[1], box[3])] + [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _spot(disc: Disc, text: Name, where: str) -> Point:
    up = 1 if where in ("above", "upper right", "upper left") else -1
    away = disc.height / 2 + 0.4 * text.size + 4
    side = ("right" in where) - ("left" in where)
    return disc.x + side * (7 + text.width / 2), disc.y + up * away


def _box(text: Name, middle: Point) -> Box:
    (x, y), w, h = middle, text.width / 2, 0.4 * text.size
    return x - w, y - h, x + w, y + h


def _boxes(scene: Scene) -> list[Box]:
    """What the nodes and texts of a scene cover."""
    discs = [
        (d.x - d.width / 2, d.y - d.height / 2, d.x + d.width / 2, d.y + d.height / 2)
        for d in scene.discs
    ]
    letters = [wire.label for wire in scene.wires if wire.label is not None]
    return discs + [_box(note.text, (note.x, note.y)) for note in (*scene.notes, *letters)]


def _field(scene: Scene) -> Field:
    field = Field(scene.discs)
    for wire in scene.wires:
        field.add_points(sampled(wire.curve))
    for box in _boxes(replace(scene, discs=())):
        field.add_box(box)
    return field
