"""overlay: numbers as colours (gradients, values, a user's own) and data, on a laid out scene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinyseq.backend import to_numpy
from tinyseq.draw.annotate import Key, annotated, with_bar, with_keys
from tinyseq.draw.curves import bow, leaving, reaching
from tinyseq.draw.graph import Graph, Vertex
from tinyseq.draw.route import with_letters_clear
from tinyseq.draw.scale import Scale, luminance, scale_of, shade, written
from tinyseq.draw.scene import BLACK, Disc, Scene, Wire
from tinyseq.draw.style import GREY
from tinyseq.draw.text import Name, time_text, visible
from tinyseq.errors import DrawError

DATA_INK = "#00508c"
NUMBER_INK = "#333333"
_SPOTS = ("above", "upper right", "lower right", "upper left", "lower left", "below")
_BACK = Key("the gradient, back in time: the wider, the larger", None, shade(0.6), 1.8)


# -- numbers as colours ---------------------------------------------------------------------------


def with_numbers(scene: Scene, numbers: Mapping[str, float], title: str) -> Scene:
    """Colour vertices by numbers, write those beside them, and explain the colours with a bar.

    Args:
        scene: a laid out one.
        numbers: by the id of a vertex; the others become white.
        title: what the numbers are.
    """
    there = {d.vertex.id: numbers[d.vertex.id] for d in scene.discs if d.vertex.id in numbers}
    if not there:
        raise DrawError(f"{title}: none of the vertices that are shown has a number")
    scale = scale_of(there.values())
    return with_bar(_coloured(scene, there, scale), scale, title)


def _coloured(scene: Scene, numbers: Mapping[str, float], scale: Scale) -> Scene:
    discs = []
    for disc in scene.discs:
        fill = scale.colour(numbers[disc.vertex.id]) if disc.vertex.id in numbers else "#ffffff"
        ink = "#ffffff" if luminance(fill) < 0.18 else BLACK
        discs.append(replace(disc, fill=fill, ink=ink, line=BLACK))
    scene = replace(scene, discs=tuple(discs))
    words = {k: Name(written(n), bold=False, size=9.0, italic=False) for k, n in numbers.items()}
    return annotated(scene, words, NUMBER_INK, "Times", _SPOTS)


def given_numbers(graph: Graph, numbers: Mapping[str, float | Sequence[float]]) -> dict[str, float]:
    """A user's numbers by the id of a vertex.

    Args:
        graph: the graph that is shown.
        numbers: for a variable, its numbers at all steps of the run, the first step first; or one
            number for one vertex by its id: ``{"h": [0.1, 0.7, 0.2], "o(3)": 1}``.

    Raises:
        DrawError: an unknown name, fewer numbers than steps, or what is not a finite number.
    """
    found: dict[str, float] = {}
    ids = {v.id for v in graph.vertices}
    hidden = {f"{v.label}({time})" for v in graph.vertices for time in graph.times}
    for name, given in numbers.items():
        array = np.asarray(to_numpy(given), float)
        if array.ndim == 0 and (name in ids or name in hidden):
            found[name] = float(array)
        elif array.ndim == 1 and graph.times:
            entries = array.tolist()
            _by_step(graph, name, entries, "numbers")  # refuses what does not fit
            steps = zip(graph.times, entries, strict=False)
            found |= {f"{name}({time_text(time)})": float(number) for time, number in steps}
        else:
            some = ", ".join(v.id for v in graph.vertices[:5])
            lists = ", or a list with one for each step for a variable" if graph.times else ""
            raise DrawError(
                f"numbers for {name!r} of shape {array.shape}: give one number for a vertex "
                f"({some} ...){lists}"
            )
    odd = next((name for name, number in found.items() if not np.isfinite(number)), None)
    if odd is not None:
        raise DrawError(f"numbers: {odd} has {found[odd]}, which has no colour")
    return found


def _by_step(
    graph: Graph, label: str, entries: Sequence[Any], what: str
) -> list[tuple[Vertex, Any]]:
    """The vertices of a variable, each with the entry of its step."""
    step = {time: k for k, time in enumerate(graph.times)}
    labels = sorted({v.label for v in graph.vertices if v.time is not None})
    if label not in labels:
        raise DrawError(f"{what} for {label!r}, but the variables are {', '.join(labels)}")
    if len(entries) < len(step):
        raise DrawError(
            f"{what} for {label!r} has {len(entries)} entries, but the run has {len(step)} steps"
        )
    return [
        (v, entries[step[v.time]]) for v in graph.vertices if v.label == label and v.time in step
    ]


# -- gradients ------------------------------------------------------------------------------------


def with_gradients(scene: Scene) -> Scene:
    """Colour every variable by the norm of its gradient, on a logarithmic scale.

    The number stands beside the node; along the recurrence an arrow shows how the gradient goes
    back, as wide as it is strong where the arrow ends; below, a legend explains colours and arrows.

    Raises:
        DrawError: no variable has a gradient.
    """
    norms = {d.vertex.id: d.vertex.grad for d in scene.discs if d.vertex.grad is not None}
    if not norms:
        raise DrawError(
            "gradients=True: none of the labelled variables needs a gradient. Draw from the loss, "
            "with parameters (or inputs) that require one."
        )
    scale = scale_of(norms.values(), logarithmic=True)
    places = {disc.vertex.id: disc for disc in scene.discs}
    wires, back = [], []
    for wire in scene.wires:
        source, target = places.get(wire.edge.source), places.get(wire.edge.target)
        if wire.edge.delay != 0:
            wire = replace(wire, colour=GREY)
            if source and target and source.vertex.label == target.vertex.label:
                norm = norms.get(wire.edge.source)
                if norm is not None:
                    strength = scale.place(norm) if norm > 0 else 0.0
                    back.append(_backwards(wire, source, target, strength))
        wires.append(wire)
    wires = with_letters_clear(wires, places, back)
    scene = _coloured(replace(scene, wires=(*back, *wires)), norms, scale)
    if scale.high <= 0:
        return scene
    scene = with_bar(scene, scale, "norm of the gradient")
    return with_keys(scene, [_BACK]) if back else scene


def _backwards(wire: Wire, source: Disc, target: Disc, strength: float) -> Wire:
    """The way of a gradient, from the target of an edge to its source."""
    way = bow((target.x, target.y), (source.x, source.y), 26.0)
    curve, tip = reaching(leaving(way, target), source)
    colour = shade(0.35 + 0.5 * strength)
    return Wire(wire.edge, wire.end, wire.start, curve, tip, None, colour, 0.6 + 2.4 * strength)


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
    for label, entries in text.items():
        words = {
            v.id: Name(visible(str(word), 8), size=15.0, italic=False)
            for v, word in _by_step(graph, label, entries, "text")
        }
        order = ("below", "above", "lower right", "upper right")
        scene = annotated(scene, words, DATA_INK, "Courier", order)
    return scene


def magnitudes(vertices: Iterable[Vertex]) -> dict[str, float]:
    """The value of every vertex of one element, the root mean square of larger ones.

    Integers are left out: they are names of classes, not sizes.
    """
    found = {}
    for v in vertices:
        array = np.asarray([] if v.value is None else to_numpy(v.value))
        if array.size and array.dtype.kind == "f":
            wide = array.astype(float)
            found[v.id] = float(wide.item() if wide.size == 1 else np.sqrt(np.mean(wide**2)))
    return found


def with_values(scene: Scene) -> Scene:
    """Write the values beside the vertices: up to three elements; of more the root mean square.

    Of more integers the first three are written.
    """
    sizes = magnitudes(disc.vertex for disc in scene.discs)
    words = {}
    for v in (disc.vertex for disc in scene.discs if disc.vertex.value is not None):
        elements = np.ravel(to_numpy(v.value))
        text = ", ".join(written(float(n)) for n in elements[:3])
        if elements.size > 3:
            text = f"rms {written(sizes[v.id])}" if v.id in sizes else f"{text} …"
        words[v.id] = Name(text, bold=False, size=9.0, italic=False)
    return annotated(scene, words, NUMBER_INK, "Times", _SPOTS)
