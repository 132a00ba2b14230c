"""overlay: gradients as colours, and the data itself, on a scene that is laid out already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log10

from tinyseq.draw.curves import bow, leaving, reaching, sampled
from tinyseq.draw.field import Box, Field
from tinyseq.draw.graph import Graph
from tinyseq.draw.scene import BLACK, Disc, Note, Point, Scene, Square, Wire
from tinyseq.draw.style import GREY
from tinyseq.draw.text import MINUS, Name, visible
from tinyseq.errors import DrawError

# From no gradient to the largest; each darker than the one before, so hue does not matter.
RAMP = ("#fffbe0", "#fee795", "#fdc24d", "#f59228", "#db6012", "#a83c07", "#5f1f06")
DATA_INK = "#00508c"
_SWATCHES = 21


# -- gradients ------------------------------------------------------------------------------------


def with_gradients(scene: Scene) -> Scene:
    """Colour every variable by the norm of its gradient, on a logarithmic scale.

    The number stands beside the node; along the recurrence an arrow shows how the gradient goes
    back, as wide as it is strong; a bar at the bottom explains the colours.

    Raises:
        DrawError: no variable has a gradient.
    """
    norms = {d.vertex.id: d.vertex.grad for d in scene.discs if d.vertex.grad is not None}
    positive = [norm for norm in norms.values() if norm > 0]
    if not norms:
        raise DrawError(
            "gradients=True: none of the labelled variables needs a gradient. Draw from the loss, "
            "with parameters (or inputs) that require one."
        )
    low, high = (log10(min(positive)), log10(max(positive))) if positive else (0.0, 0.0)

    def strength(norm: float) -> float:
        """From 0, no gradient, to 1, the largest."""
        if norm <= 0:
            return 0.0
        return 1.0 if high - low < 1e-9 else (log10(norm) - low) / (high - low)

    discs = []
    for disc in scene.discs:
        if disc.vertex.id in norms:
            fill = shade(strength(norms[disc.vertex.id]))
            ink = "#ffffff" if luminance(fill) < 0.18 else BLACK
            discs.append(replace(disc, fill=fill, ink=ink, line=BLACK))
        else:
            discs.append(replace(disc, fill="#ffffff", line=BLACK))
    places = {disc.vertex.id: disc for disc in discs}
    wires, back = [], []
    for wire in scene.wires:
        source, target = places.get(wire.edge.source), places.get(wire.edge.target)
        if wire.edge.delay != 0:
            wire = replace(wire, colour=GREY)
            if source and target and source.vertex.label == target.vertex.label:
                norm = norms.get(wire.edge.source)
                if norm is not None:
                    back.append(_backwards(wire, source, target, strength(norm)))
        wires.append(wire)
    scene = replace(scene, discs=tuple(discs), wires=(*back, *wires))
    numbers = {
        k: Name(_number(norm), bold=False, size=9.0, italic=False) for k, norm in norms.items()
    }
    scene = annotated(scene, numbers, "#333333", "Times", ("above", "upper right", "lower right"))
    return _with_bar(scene, low, high) if positive else scene


def _backwards(wire: Wire, source: Disc, target: Disc, strength: float) -> Wire:
    """The way of a gradient, from the target of an edge to its source."""
    way = bow((target.x, target.y), (source.x, source.y), 26.0)
    curve, tip = reaching(leaving(way, target), source)
    colour = shade(0.35 + 0.5 * strength)
    return Wire(wire.edge, wire.end, wire.start, curve, tip, None, colour, 0.6 + 2.4 * strength)


def shade(strength: float) -> str:
    """A colour of the ramp, for a number from 0 to 1."""
    place = min(max(strength, 0.0), 1.0) * (len(RAMP) - 1)
    k = min(int(place), len(RAMP) - 2)
    pairs = zip(_channels(RAMP[k]), _channels(RAMP[k + 1]), strict=True)
    return "#" + "".join(f"{round(a + (place - k) * (b - a)):02x}" for a, b in pairs)


def luminance(colour: str) -> float:
    """How light a colour is, from 0 to 1."""
    red, green, blue = ((c / 255) ** 2.2 for c in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> list[int]:
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def _number(norm: float) -> str:
    """A norm in little space: 0.03, 1.2, 4e-5."""
    if norm == 0 or 0.01 <= norm < 1000:
        return f"{norm:.2g}"
    mantissa, exponent = f"{norm:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)


def _with_bar(scene: Scene, low: float, high: float) -> Scene:
    """The scene with a bar of the colours and what they stand for below it."""
    left = min(disc.x - disc.width / 2 for disc in scene.discs)
    bottom = min(box[1] for box in _boxes(scene)) - 34
    title = Name("norm of the gradient", bold=False, size=11.0, italic=False)
    side = 7.0
    start = left + title.width + 14
    count = _SWATCHES if high - low > 1e-9 else 1
    swatches = [
        Square(start + side * k, bottom, side, shade(k / (count - 1) if count > 1 else 1.0))
        for k in range(count)
    ]
    marks = {0: low, count // 2: (low + high) / 2, count - 1: high}
    words = [Note(title, left + title.width / 2, bottom)]
    for k, value in marks.items():
        number = Name(_number(10.0**value), bold=False, size=9.0, italic=False)
        words.append(Note(number, start + side * k, bottom - 11))
    return replace(scene, squares=scene.squares + tuple(swatches), notes=scene.notes + tuple(words))


# -- data -----------------------------------------------------------------------------------------


def with_text(scene: Scene, graph: Graph, text: Mapping[str, Sequence[str]]) -> Scene:
    """Write the data beside the variables: real characters or words under x and over y.

    Args:
        scene: an unrolled one.
        graph: the graph that it shows.
        text: for a variable, what it stands for at every step of the run, the first step first.

    Raises:
        DrawError: an unknown variable, or fewer entries than steps.
    """
    step = {time: k for k, time in enumerate(graph.times)}
    labels = sorted({v.label for v in graph.vertices if v.time is not None})
    for label, entries in text.items():
        if label not in labels:
            raise DrawError(f"text for {label!r}, but the variables are {', '.join(labels)}")
        if len(entries) < len(step):
            raise DrawError(
                f"text for {label!r} has {len(entries)} entries, but the run has {len(step)} steps"
            )
    for label, entries in text.items():
        words = {
            v.id: Name(visible(str(entries[step[v.time]]), 8), size=15.0, italic=False)
            for v in graph.vertices
            if v.label == label and v.time in step
        }
        order = ("below", "above", "lower right", "upper right")
        scene = annotated(scene, words, DATA_INK, "Courier", order)
    return scene


# -- finding room ---------------------------------------------------------------------------------


def annotated(
    scene: Scene, words: Mapping[str, Name], ink: str, font: str, order: Sequence[str]
) -> Scene:
    """The scene with a note at some vertices, in the same free spot at all of a variable."""
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
            field.add_box(_box(text, spot))
            notes.append(Note(text, *spot, ink, font))
    return replace(scene, notes=scene.notes + tuple(notes))


def _spot(disc: Disc, text: Name, where: str) -> Point:
    up = 1 if where in ("above", "upper right") else -1
    away = disc.height / 2 + 0.4 * text.size + 4
    aside = 7 + text.width / 2 if "right" in where else 0.0
    return disc.x + aside, disc.y + up * away


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
