"""page_data: what the interactive page is told, as plain lists and numbers for JSON.

``level_data`` puts one level of detail into words that a script can lay out again for any choice
of steps: a row for each variable with its nodes, a template for each pattern of edges with the
steps at which it occurs, and the circuit that all of it folds into. ``page/model.js`` reads it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tinyseq.draw.graph import Graph
from tinyseq.draw.page_columns import OUTSIDE, Columns, columns_of
from tinyseq.draw.page_records import (
    Record,
    delay_record,
    disc_record,
    flat,
    frame_record,
    note_record,
    number_record,
    ranges,
    rounded,
    shared,
    value_record,
    wire_record,
)
from tinyseq.draw.page_spots import number_spots, row_of, spots_of, text_spots, words_of
from tinyseq.draw.scene import Disc, Frame, Scene, Square
from tinyseq.draw.text import clean
from tinyseq.draw.unrolled_layout import STUB

Drawn = tuple[Graph, Scene]
Text = Mapping[str, Sequence[str]]
LONGEST = 60  # characters of a name in words
MOST_ELEMENTS = 64  # of a value that is shown in full
ALL_ELEMENTS = 100_000  # of all values together


def level_data(
    circuit: Drawn | None,
    unrolled: Drawn | None,
    text: Text | None = None,
    numbered: Collection[str] = (),
) -> Record:
    """One level of detail: both views and how they belong together.

    Args:
        circuit: the folded run; None where it does not fold.
        unrolled: the run with all of its steps; None where time has no single axis.
        text: the data to write beside a variable, at every step.
        numbered: the ids of vertices that have a number to write beside them, besides gradients.
    """
    return {
        "circuit": None if circuit is None else _circuit(*circuit, numbered),
        "unrolled": None
        if unrolled is None
        else _unrolled(*unrolled, circuit, text or {}, numbered),
    }


# -- the circuit ----------------------------------------------------------------------------------


def _circuit(graph: Graph, scene: Scene, numbered: Collection[str]) -> Record:
    number = _numbers(scene)
    spots = spots_of(scene, [disc for disc in scene.discs if disc.vertex.id in numbered])
    return {
        "nodes": [
            disc_record(disc)
            | {"id": clean(disc.vertex.id), "label": clean(disc.vertex.label, LONGEST)}
            | {"x": rounded(disc.x), "y": rounded(-disc.y)}
            | {"numberSpot": spots.get(disc.vertex.id)}
            for disc in scene.discs
        ],
        "wires": [
            wire_record(wire) | {"s": number[wire.edge.source], "t": number[wire.edge.target]}
            for wire in scene.wires
        ],
        "squares": [
            {"x": rounded(s.x), "y": rounded(-s.y), "side": rounded(s.side)} for s in scene.squares
        ],
        "notes": [note_record(note) for note in scene.notes],
        "frames": [frame_record(frame) for frame in scene.frames],
        "edges": [
            {"s": number[e.source], "t": number[e.target], "delay": delay_record(e.delay)}
            for e in graph.edges
        ],
    }


def _numbers(scene: Scene) -> dict[str, int]:
    """A circuit's nodes by number."""
    return {disc.vertex.id: i for i, disc in enumerate(scene.discs)}


def _folds(scene: Scene) -> dict[tuple[str, str, Any], Record]:
    """For every edge of the circuit the way that its unrolled copies start from."""
    to_square = {w.end: w for w in scene.wires if isinstance(w.end, Square)}
    found = {}
    for wire in scene.wires:
        if isinstance(wire.end, Square):
            continue
        square = wire.start if isinstance(wire.start, Square) else None
        found[wire.edge.source, wire.edge.target, wire.edge.delay] = {
            **wire_record(wire),
            "first": flat(to_square[square].curve) if square else None,
            "side": square.side if square else 0,
        }
    return found


# -- the unrolled graph ---------------------------------------------------------------------------


def _unrolled(
    graph: Graph, scene: Scene, circuit: Drawn | None, text: Text, numbered: Collection[str]
) -> Record:
    columns = columns_of(graph, scene)
    rows: dict[str, list[Disc]] = defaultdict(list)
    for disc in scene.discs:
        rows[row_of(disc.vertex)].append(disc)
    for discs in rows.values():
        discs.sort(key=lambda disc: columns.of(disc.vertex))
    home = {} if circuit is None else _numbers(circuit[1])
    folds = {} if circuit is None else _folds(circuit[1])
    texts, scene = text_spots(graph, scene, text)
    numbers = number_spots(scene, columns, numbered)
    room = max(1, min(MOST_ELEMENTS, ALL_ELEMENTS // max(len(scene.discs), 1)))
    return columns.record | {
        "middle": rounded(-_state_row(rows)),
        "stub": STUB,
        "rows": [
            _row(discs, columns, room)
            | {"copyOf": home.get(row), "numberSpot": numbers.get(row)}
            | {"text": words_of(graph, text.get(row), discs), "textSpot": texts.get(row)}
            for row, discs in rows.items()
        ],
        "edges": _edges(scene, columns, list(rows), folds),
        "frames": [
            frame_record(frame) | {"columns": _columns_in(frame, scene, columns)}
            for frame in scene.frames
        ],
    }


def _row(discs: Sequence[Disc], columns: Columns, room: int) -> Record:
    """All nodes of one variable, in the order of time."""
    usual = discs[-1].vertex if discs[0].vertex.kind == "initial" else discs[0].vertex
    at = [columns.of(disc.vertex) for disc in discs]
    lefts = [0.0 if k == OUTSIDE else columns.places[k] for k in at]
    norms = [number_record(disc.vertex.grad) for disc in discs]
    return {
        "id": clean(row_of(usual)),
        "label": clean(usual.label),
        "labels": shared(clean(disc.vertex.label, LONGEST) for disc in discs),
        "looks": shared(disc_record(disc) for disc in discs),
        "kind": usual.kind,
        "kinds": shared(disc.vertex.kind for disc in discs),
        "scope": clean(usual.scope, 80) if usual.scope else "",
        "at": ranges(at),
        "x": shared(rounded(disc.x - left) for disc, left in zip(discs, lefts, strict=True)),
        "y": shared(rounded(-disc.y) for disc in discs),
        "shape": shared(list(disc.vertex.shape) for disc in discs),
        "dashed": [i for i, disc in enumerate(discs) if disc.is_dashed],
        "values": [value_record(disc.vertex.value, room) for disc in discs],
        "gradients": norms if any(norm is not None for norm in norms) else None,
    }


def _edges(
    scene: Scene,
    columns: Columns,
    rows: Sequence[str],
    folds: Mapping[tuple[str, str, Any], Record],
) -> list[Record]:
    """A template for all edges that look alike, with the columns from which they come.

    ``far`` is how many columns further on they end; None if that is not so, and then ``at`` has
    pairs of columns.
    """
    discs = {disc.vertex.id: disc for disc in scene.discs}
    number = {row: r for r, row in enumerate(rows)}
    templates: dict[Any, Record] = {}
    ends: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    for wire in scene.wires:
        source, target = discs.get(wire.edge.source), discs.get(wire.edge.target)
        if source is None or target is None:
            continue  # it leads into steps that the page does not have
        s, t = source.vertex, target.vertex
        pattern = row_of(s), row_of(t)
        ids = {"s": number[pattern[0]], "t": number[pattern[1]]}
        record = wire_record(wire, (source.x, source.y)) | ids
        start, end = columns.of(s), columns.of(t)
        far = None if OUTSIDE in (start, end) else end - start
        key = (str(record), far)
        if key not in templates:
            keys = [(*pattern, delay) for delay in (wire.edge.delay, None, 0)]
            fold = next((folds[key] for key in keys if key in folds), None)
            templates[key] = record | {"far": far, "fold": fold}
        ends[key].append((start, end))
    for key, template in templates.items():
        pairs = sorted(ends[key])
        outside = template["far"] is None
        template["at"] = [list(p) for p in pairs] if outside else ranges([k for k, _ in pairs])
    return list(templates.values())


def _columns_in(frame: Frame, scene: Scene, columns: Columns) -> list[int]:
    """The columns that have nodes in a frame."""
    inside = {
        columns.of(disc.vertex)
        for disc in scene.discs
        if frame.left < disc.x < frame.right and frame.lower < disc.y < frame.upper
    }
    return sorted(inside - {OUTSIDE})


def _state_row(rows: Mapping[str, Sequence[Disc]]) -> float:
    """The height of the first state, beside which the words for left-out steps stand."""
    heights = [discs[0].y for discs in rows.values()]
    states = [discs[0].y for discs in rows.values() if discs[-1].vertex.kind == "state"]
    return states[0] if states else max(heights, default=0.0) / 2
