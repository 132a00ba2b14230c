"""emphasis: all ways between two variables made visible, and edges as wide as a user's numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log10
from typing import Any

import numpy as np

from tinyseq.backend import to_numpy
from tinyseq.draw.annotate import with_caption
from tinyseq.draw.graph import Graph
from tinyseq.draw.scale import luminance, written
from tinyseq.draw.scene import BLACK, Scene
from tinyseq.errors import DrawError

WAY, ASIDE = "#c1440e", "#b9b9b9"
_THINNEST, _WIDEST = 0.3, 4.0
_LISTED = 4  # lengths


@dataclass(frozen=True)
class Ways:
    """All paths between two vertices.

    Attributes:
        source, target: their ids.
        count: how many there are.
        lengths: which numbers of arrows they have, in rising order.
        edges: the (source, target) of all edges on them.
    """

    source: str
    target: str
    count: int
    lengths: tuple[int, ...]
    edges: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        magnitude = int((self.count.bit_length() - 1) * log10(2))
        many = f"{self.count:,}" if magnitude < 7 else f"more than 1e{magnitude}"
        if len(self.lengths) > _LISTED:
            lengths = f"{self.lengths[0]} to {self.lengths[-1]}"
        else:
            lengths = " or ".join(map(str, self.lengths))
        plural = "" if self.lengths == (1,) else "s"
        return (
            f"{many} way{'s' * (self.count != 1)} from {self.source} to {self.target}, "
            f"{lengths} arrow{plural} long"
        )


def ways(graph: Graph, source: str, target: str) -> Ways:
    """All paths from one vertex of an unrolled graph to another.

    Raises:
        DrawError: there is no such vertex, or no path.
    """
    ids = {v.id for v in graph.vertices}
    for id in (source, target):
        if id not in ids:
            some = ", ".join(v.id for v in graph.vertices[:8])
            raise DrawError(f"highlight: there is no vertex {id!r}; there are {some} ...")
    forwards: dict[str, list[str]] = defaultdict(list)
    backwards: dict[str, list[str]] = defaultdict(list)
    for edge in dict.fromkeys((edge.source, edge.target) for edge in graph.edges):
        forwards[edge[0]].append(edge[1])
        backwards[edge[1]].append(edge[0])
    between = _reached(source, forwards) & _reached(target, backwards)
    if source not in between:
        raise DrawError(f"highlight: no way leads from {source} to {target}")
    count, lengths = {source: 1}, {source: 1}  # bit k of the latter: there is a path of length k
    for id in _in_order(source, forwards, backwards, between):
        for before in backwards[id] if id != source else ():
            if before in between:
                count[id] = count.get(id, 0) + count[before]
                lengths[id] = lengths.get(id, 0) | lengths[before] << 1
    found = tuple(k for k in range(lengths[target].bit_length()) if lengths[target] >> k & 1)
    edges = frozenset((a, b) for a in between for b in forwards[a] if b in between)
    return Ways(source, target, count[target], found, edges)


def _reached(start: str, onwards: Mapping[str, Sequence[str]]) -> set[str]:
    found, stack = {start}, [start]
    while stack:
        for id in onwards.get(stack.pop(), ()):
            if id not in found:
                found.add(id)
                stack.append(id)
    return found


def _in_order(
    source: str,
    forwards: Mapping[str, Sequence[str]],
    backwards: Mapping[str, Sequence[str]],
    between: set[str],
) -> Iterable[str]:
    """The vertices between, each after all from which an edge leads to it."""
    waiting = {id: sum(before in between for before in backwards[id]) for id in between}
    ready = [source]
    while ready:
        id = ready.pop()
        yield id
        for after in forwards.get(id, ()):
            if after in between:
                waiting[after] -= 1
                if not waiting[after]:
                    ready.append(after)


def with_ways(scene: Scene, found: Ways) -> Scene:
    """Draw the edges on the paths strong and all else pale, and say how many paths there are."""
    on_way = {id for edge in found.edges for id in edge} | {found.source, found.target}
    wires = []
    for wire in scene.wires:
        strong = (wire.edge.source, wire.edge.target) in found.edges
        label = wire.label and replace(wire.label, ink=BLACK if strong else ASIDE)
        width = max(wire.width, 2.2) if strong else wire.width
        wires.append(replace(wire, colour=WAY if strong else ASIDE, width=width, label=label))
    wires.sort(key=lambda wire: wire.colour == WAY)
    discs = []
    for disc in scene.discs:
        on = disc.vertex.id in on_way
        ink = disc.ink if on or luminance(disc.fill) < 0.8 else ASIDE
        discs.append(replace(disc, line=WAY if on else ASIDE, ink=ink))
    scene = replace(scene, wires=tuple(wires), discs=tuple(discs))
    return with_caption(scene, str(found), WAY)


Widths = Mapping[tuple[str, str], Any]


def drawn_widths(graph: Graph, widths: Widths) -> tuple[dict[tuple[str, str], float], float]:
    """How wide to draw the edges to which numbers are given, by their ends; and the largest number.

    Args:
        graph: an unrolled one.
        widths: for an edge by its ends, ``("h(2)", "c(5)")``, a number; or for all edges between
            two variables, ``("h", "c")``, an array with a row for every step of c and a column for
            every step of h, as attention weights are.

    Raises:
        DrawError: no such edge, an array of another shape, or numbers that are negative or not
            finite.
    """
    found: dict[tuple[str, str], float] = {}
    for ends, given in widths.items():
        array = np.asarray(to_numpy(given), float)
        found |= {ends: float(array)} if array.ndim == 0 else _of_all(graph, ends, array)
    known = {(e.source, e.target) for e in (*graph.edges, *graph.cut)}
    for ends, number in found.items():
        if ends not in known:
            raise DrawError(f"widths: no edge leads from {ends[0]!r} to {ends[1]!r}")
        if not number >= 0 or number == float("inf"):
            raise DrawError(f"widths: {number} for {ends[0]} -> {ends[1]} is no width")
    largest = max(found.values(), default=0.0)
    room = (_WIDEST - _THINNEST) / (largest or 1.0)
    return {ends: _THINNEST + room * number for ends, number in found.items()}, largest


def with_widths(scene: Scene, drawn: Mapping[tuple[str, str], float], largest: float) -> Scene:
    """Draw edges as wide as ``drawn_widths`` says, the one with the largest number widest."""
    wires = []
    for wire in scene.wires:
        width = drawn.get((wire.edge.source, wire.edge.target))
        wires.append(wire if width is None else replace(wire, width=width))
    return with_caption(
        replace(scene, wires=tuple(wires)), f"widest arrow: {written(largest)}", BLACK
    )


def _of_all(graph: Graph, ends: tuple[str, str], array: Any) -> dict[tuple[str, str], float]:
    """The numbers of all edges between two variables."""
    label = {v.id: (v.label, v.time) for v in graph.vertices}
    between = [e for e in graph.edges if (label[e.source][0], label[e.target][0]) == ends]
    if not between:
        raise DrawError(f"widths: no edge leads from {ends[0]!r} to {ends[1]!r}")
    rows, columns = (
        sorted({label[id][1] for id in ids})  # type: ignore[type-var]
        for ids in ((e.target for e in between), (e.source for e in between))
    )
    if array.shape != (len(rows), len(columns)):
        raise DrawError(
            f"widths for {ends} have shape {array.shape}, but the edges that are shown lead from "
            f"{len(columns)} steps of {ends[0]} to {len(rows)} of {ends[1]}: "
            f"({len(rows)}, {len(columns)}) is wanted"
        )
    return {
        (e.source, e.target): float(
            array[rows.index(label[e.target][1]), columns.index(label[e.source][1])]
        )
        for e in between
    }
