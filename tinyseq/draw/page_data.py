"""page_data: what the interactive page is told, as plain lists and numbers for JSON.

``level_data`` puts one level of detail into words that a script can lay out again for any choice
of steps: a row for each variable with the places of its nodes, a template for each pattern of
edges with the steps at which it occurs, and the circuit that all of it folds into. Coordinates are
points from the upper left. ``src/draw/page/model.js`` is the reader.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinyseq.backend import to_numpy
from tinyseq.draw.graph import Graph, Time, Vertex
from tinyseq.draw.overlay import annotated, with_text
from tinyseq.draw.scene import Disc, Note, Point, Scene, Square, Wire
from tinyseq.draw.style import DIAMETER
from tinyseq.draw.text import Name, clean, visible, width
from tinyseq.draw.unrolled_layout import STUB

Drawn = tuple[Graph, Scene]
OUTSIDE = -1  # the column of what belongs to no step
MOST_ELEMENTS = 64  # of a value that is shown in full
ALL_ELEMENTS = 100_000  # of all values together


def level_data(
    circuit: Drawn | None, unrolled: Drawn | None, text: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """One level of detail: both views and how they belong together.

    Args:
        circuit: the folded run; None where it does not fold.
        unrolled: the run with all of its steps; None where time has no single axis.
        text: the data to write beside a variable, at every step.
    """
    folds = {} if circuit is None else _folds(circuit[1])
    return {
        "circuit": None if circuit is None else _circuit(*circuit),
        "unrolled": None if unrolled is None else _unrolled(*unrolled, folds, text or {}),
    }


# -- the circuit ----------------------------------------------------------------------------------


def _circuit(graph: Graph, scene: Scene) -> dict[str, Any]:
    return {
        "nodes": [
            {
                "label": clean(disc.vertex.label),
                "x": _r(disc.x),
                "y": _r(-disc.y),
                **_look(disc),
            }
            for disc in scene.discs
        ],
        "wires": [_wire(wire) for wire in scene.wires],
        "squares": [
            {"x": _r(s.x), "y": _r(-s.y), "side": _r(s.side), "colour": s.colour}
            for s in scene.squares
        ],
        "notes": [_note(note) for note in scene.notes],
        "edges": [
            [clean(e.source), clean(e.target), _delay(e.delay), list(e.parameters)]
            for e in graph.edges
        ],
    }


def _folds(scene: Scene) -> dict[tuple[str, str, Any], dict[str, Any]]:
    """For every edge of the circuit the way that its unrolled copies start from."""
    to_square = {w.end: w for w in scene.wires if isinstance(w.end, Square)}
    found = {}
    for wire in scene.wires:
        if isinstance(wire.end, Square):
            continue
        first = to_square.get(wire.start) if isinstance(wire.start, Square) else None
        found[wire.edge.source, wire.edge.target, wire.edge.delay] = {
            **_wire(wire),
            "first": None if first is None else _flat(first.curve),
            "side": wire.start.side if isinstance(wire.start, Square) else 0,
        }
    return found


def _wire(wire: Wire) -> dict[str, Any]:
    edge = wire.edge
    return {
        "source": clean(edge.source),
        "target": clean(edge.target),
        "delay": _delay(edge.delay),
        "curve": _flat(wire.curve),
        "tip": None if wire.tip is None else _flat([wire.tip]),
        "label": None if wire.label is None else _note(wire.label),
        "colour": wire.colour,
        "dashed": wire.dashed,
    }


# -- the unrolled graph ---------------------------------------------------------------------------


def _unrolled(
    graph: Graph,
    scene: Scene,
    folds: Mapping[tuple[str, str, Any], Mapping[str, Any]],
    text: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    times = sorted({*graph.times, *graph.shown})
    number = {time: k for k, time in enumerate(times)}
    column = _columns(scene, times)
    rows: dict[str, list[Disc]] = defaultdict(list)
    for disc in scene.discs:
        rows[disc.vertex.label].append(disc)
    for discs in rows.values():
        discs.sort(key=lambda disc: _column_of(disc.vertex, number))
    spots, scene = _text_spots(graph, scene, text)
    room = max(1, min(MOST_ELEMENTS, ALL_ELEMENTS // max(len(scene.discs), 1)))
    words = {
        label: [visible(str(entries[number[t]]), 8) for t in graph.times]
        for label, entries in text.items()
    }
    return {
        "times": [clean(str(time)) for time in times],
        "steps": [number[time] for time in graph.times],
        "columns": [_r(x) for x in column],
        "gap": _gap(column),
        "stub": STUB,
        "rows": [
            _row(discs, number, column, room)
            | {"text": words.get(label), "textSpot": spots.get(label)}
            | {"numberSpot": spot}
            for (label, discs), spot in zip(rows.items(), _number_spots(scene, rows), strict=True)
        ],
        "edges": _edges(scene, number, list(rows), folds),
    }


def _row(
    discs: Sequence[Disc], number: Mapping[Time, int], column: Sequence[float], room: int
) -> dict[str, Any]:
    """All nodes of one variable, in the order of time."""
    usual = discs[-1].vertex if discs[0].vertex.kind == "initial" else discs[0].vertex
    at = [_column_of(disc.vertex, number) for disc in discs]
    grads = [disc.vertex.grad for disc in discs]
    return {
        "label": clean(usual.label),
        "kind": usual.kind,
        "scope": clean(usual.scope, 80) if usual.scope else "",
        **_look(discs[0]),
        "at": _ranges(at),
        "x": _same(
            _r(d.x - (column[k] if k != OUTSIDE else 0)) for d, k in zip(discs, at, strict=True)
        ),
        "y": _same(_r(-disc.y) for disc in discs),
        "shape": _same(list(disc.vertex.shape) for disc in discs),
        "initial": [i for i, disc in enumerate(discs) if disc.vertex.kind == "initial"],
        "values": [_value(disc.vertex.value, room) for disc in discs],
        "gradients": [_number(g) for g in grads] if any(g is not None for g in grads) else None,
    }


def _edges(
    scene: Scene,
    number: Mapping[Time, int],
    rows: Sequence[str],
    folds: Mapping[tuple[str, str, Any], Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """A template for all edges that look alike, with the columns of their sources and targets."""
    discs = {disc.vertex.id: disc for disc in scene.discs}
    row = {label: r for r, label in enumerate(rows)}
    templates: dict[Any, dict[str, Any]] = {}
    for wire in scene.wires:
        source, target = discs.get(wire.edge.source), discs.get(wire.edge.target)
        if source is None or target is None:
            continue  # an edge into steps that the page does not have
        here = (source.x, source.y)
        record = {
            "s": row[source.vertex.label],
            "t": row[target.vertex.label],
            "delay": _delay(wire.edge.delay),
            "letters": [clean(letter) for letter in wire.edge.parameters],
            "curve": _flat(wire.curve, here),
            "tip": None if wire.tip is None else _flat([wire.tip], here),
            "label": None if wire.label is None else _note(wire.label, here),
            "colour": wire.colour,
            "dashed": wire.dashed,
            "detached": wire.edge.detached,
        }
        ends = _column_of(source.vertex, number), _column_of(target.vertex, number)
        key = (str(record), ends[1] - ends[0], OUTSIDE in ends)
        template = templates.setdefault(
            key, record | {"at": [], "fold": _fold_of(source.vertex, target.vertex, wire, folds)}
        )
        template["at"].append(ends)
    for template in templates.values():
        ends = sorted(template["at"])
        template["far"] = ends[0][1] - ends[0][0]
        template["at"] = _ranges([k for k, _ in ends])
        if OUTSIDE in ends[0]:
            template |= {"far": None, "at": [list(pair) for pair in ends]}
    return list(templates.values())


def _fold_of(
    source: Vertex,
    target: Vertex,
    wire: Wire,
    folds: Mapping[tuple[str, str, Any], Mapping[str, Any]],
) -> Mapping[str, Any] | None:
    """What an edge folds into: the circuit's edge of its ends and delay, or of its ends alone."""
    for delay in (wire.edge.delay, None, 0):
        found = folds.get((source.label, target.label, delay))
        if found is not None:
            return found
    return None


def _columns(scene: Scene, times: Sequence[Time]) -> list[float]:
    """Where the columns stand: the middle of what each has."""
    places: dict[Any, list[float]] = defaultdict(list)
    for disc in scene.discs:
        places[disc.vertex.time].append(disc.x)
    known = [
        (min(places[time]) + max(places[time])) / 2 if time in places else None for time in times
    ]
    found: list[float] = []
    for x in known:
        found.append(x if x is not None else (found[-1] if found else 0.0))
    return found


def _gap(column: Sequence[float]) -> dict[str, float]:
    """How wide the space for steps that are left out is, beyond one digit for their number."""
    steps = [b - a for a, b in zip(column, column[1:], strict=False) if b > a]
    distance = min(steps, default=0.0)
    words = width("···  more steps ···", 13.0)
    return {
        "distance": _r(distance),
        "width": _r(words + 2 * STUB - distance + DIAMETER + 16),
        "plural": _r(width("s", 13.0)),
        "digit": _r(width("0", 13.0)),
    }


# -- room for words beside the nodes --------------------------------------------------------------


def _text_spots(
    graph: Graph, scene: Scene, text: Mapping[str, Sequence[str]]
) -> tuple[dict[str, list[float]], Scene]:
    """Where the data of each variable stands, seen from its node; the scene with all of it."""
    spots = {}
    for label, entries in text.items():
        before = len(scene.notes)
        scene = with_text(scene, graph, {label: entries})
        disc = next(d for d in scene.discs if d.vertex.label == label)
        spots[label] = _away(disc, scene.notes[before])
    return spots, scene


def _number_spots(scene: Scene, labels: Iterable[str]) -> list[list[float]]:
    """Where a short number can stand beside the nodes of each variable."""
    number = Name("0.0000", bold=False, size=9.0, italic=False)
    spots = []
    for label in labels:
        discs = [disc for disc in scene.discs if disc.vertex.label == label]
        some = discs[:: max(len(discs) // 12, 1)]
        before = len(scene.notes)
        words = {disc.vertex.id: number for disc in some}
        scene = annotated(scene, words, "", "", ("above", "upper right", "lower right"))
        spots.append(_away(some[0], scene.notes[before]))
    return spots


def _away(disc: Disc, note: Note) -> list[float]:
    return [_r(note.x - disc.x), _r(disc.y - note.y)]


# -- values and small parts -----------------------------------------------------------------------


def _value(value: Any, room: int) -> dict[str, Any] | None:
    """A value in a few numbers: all of it if it is small, and what is common, least and most."""
    if value is None:
        return None
    array = to_numpy(value)
    found: dict[str, Any] = {}
    if array.size <= room:
        found["all"] = [_number(x) for x in array.ravel().tolist()]
    if array.size > 1:
        numbers = array[np.isfinite(array)].astype(np.float64)
        found["odd"] = int(array.size - numbers.size)
        if numbers.size:
            parts = numbers.mean(), numbers.std(), numbers.min(), numbers.max()
            found["summary"] = [_number(float(x)) for x in parts]
    return found


def _number(x: float | None) -> float | str | None:
    """A number with four digits; as a word, if it is none that JSON has."""
    if x is None or isinstance(x, int):
        return x
    return float(f"{x:.4g}") if np.isfinite(x) else str(float(x))


def _look(disc: Disc) -> dict[str, Any]:
    return {
        "name": _name(replace(disc.name, superscript="")),
        "w": _r(disc.width),
        "h": _r(disc.height),
        "line": disc.line,
        "fill": disc.fill,
    }


def _name(name: Name) -> dict[str, Any]:
    return {
        "base": name.base,
        "sub": name.subscript,
        "sup": name.superscript,
        "bold": name.bold,
        "italic": name.italic,
        "size": _r(name.size),
    }


def _note(note: Note, origin: Point = (0.0, 0.0)) -> dict[str, Any]:
    return {"name": _name(note.text), "x": _r(note.x - origin[0]), "y": _r(origin[1] - note.y)}


def _flat(points: Sequence[Point], origin: Point = (0.0, 0.0)) -> list[float]:
    return [_r(part) for x, y in points for part in (x - origin[0], origin[1] - y)]


def _delay(delay: Time | None) -> Any:
    return list(delay) if isinstance(delay, tuple) else delay


def _column_of(v: Vertex, number: Mapping[Time, int]) -> int:
    return OUTSIDE if v.time is None else number[v.time]


def _ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Rising numbers as pairs of the first and last of each unbroken piece."""
    found: list[list[int]] = []
    for k in numbers:
        if found and found[-1][1] == k - 1:
            found[-1][1] = k
        else:
            found.append([k, k])
    return found


def _same(entries: Iterable[Any]) -> Any:
    """The entry that all of them are, in a record of its own; else the list."""
    listed = list(entries)
    return {"all": listed[0]} if all(entry == listed[0] for entry in listed) else {"each": listed}


def _r(x: float) -> float:
    return round(float(x), 2)
