"""layout of a recurrence over a tree: leaves at the bottom, as in the book's figure 10.14.

The time of a node of a tree is the way to it from the root, (2, 1) the first child of the root's
second child. Every node stands above the middle of its children; what it reads stands below it, and
what is computed from the root above the root.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tinyseq.draw.field import Field
from tinyseq.draw.graph import Graph, Time
from tinyseq.draw.route import routed
from tinyseq.draw.rows import rows
from tinyseq.draw.scene import Disc, Scene
from tinyseq.draw.style import COLUMN, ROW, colours, inked, names, sizes, tinted

BESIDE = 0.8 * COLUMN  # from one variable of a node to the next


def is_tree(times: Iterable[Time]) -> bool:
    """Whether times are positions in a tree: they differ in how many numbers they have."""
    return len({len(time) for time in times if isinstance(time, tuple)}) > 1


def tree_scene(graph: Graph) -> Scene:
    """Place an unrolled graph over a tree; the leaves and their inputs are numbered in order."""
    order = {label: k for k, label in enumerate(rows(graph))}
    at: dict[Any, list[str]] = defaultdict(list)  # of every position, what stands side by side
    below: dict[str, Any] = {}  # inputs of leaves
    positions = sorted(graph.shown)
    inner = {time[:-1] for time in positions if isinstance(time, tuple) and time}
    inside = {v.id for v in graph.vertices if v.time is not None}
    computed = {e.target for e in graph.edges if e.source in inside}
    for v in sorted(graph.vertices, key=lambda v: order[v.label]):
        if v.time is not None:
            leaf = v.id not in computed and v.time not in inner
            below.update({v.id: v.time} if leaf else {})
            at[v.time] += [] if leaf else [v.id]
    numbered = [time for time in positions if any(time == below[id] for id in below)]
    number = {time: k for k, time in enumerate(numbered, 1)}
    many = Counter(v.label for v in graph.vertices)
    shown = [
        replace(v, time=number[below[v.id]] if v.id in below and many[v.label] > 1 else None)
        for v in graph.vertices
    ]
    written = names(replace(graph, vertices=tuple(shown)))
    size = sizes(graph, written)
    middle = _middles(positions, {time: max(len(ids), 1) for time, ids in at.items()})
    place: dict[str, tuple[float, float]] = {}
    for time, ids in at.items():
        for k, id in enumerate(ids):
            x = middle[time] + BESIDE * (k - (len(ids) - 1) / 2)
            place[id] = x, -ROW * _depth(time)
    for id, time in below.items():
        x = middle[time] - 0.5 * BESIDE * (sum(t == time for t in below.values()) - 1)
        x += BESIDE * [i for i in below if below[i] == time].index(id)
        place[id] = x, -ROW * (_depth(time) + 1)
    roots = [time for time in positions if _depth(time) == min(map(_depth, positions))]
    top = sum(middle[time] for time in roots) / len(roots)
    above = sorted((v for v in graph.vertices if v.time is None), key=lambda v: order[v.label])
    given = [v.id for v in above if v.kind == "input"]
    for k, v in enumerate([v for v in above if v.id not in given], 1):
        place[v.id] = top, ROW * k
    for k, id in enumerate(given, 1):
        readers = [e.target for e in graph.edges if e.source == id and e.target in place]
        x, y = place[readers[0]] if readers else (top, 0.0)
        if len(readers) > 1:  # what many nodes read, below all of them
            x = sum(place[reader][0] for reader in readers) / len(readers)
            place[id] = x, min(y for _, y in place.values()) - 1.4 * ROW
        else:  # as the target, beside what it is compared with
            place[id] = x + 1.4 * COLUMN * k, y
    colour = colours(graph)
    discs = {v.id: Disc(v, written[v.id], *place[v.id], *size[v.label]) for v in graph.vertices}
    wires = routed(
        [(e, discs[e.source], discs[e.target]) for e in graph.edges], Field(discs.values())
    )
    return Scene(
        tuple(tinted(disc, colour) for disc in discs.values()),
        tuple(inked(wire, discs, colour) for wire in wires),
    )


def _depth(time: Any) -> int:
    return len(time) if isinstance(time, tuple) else 0


def _middles(positions: Iterable[Any], wide: Mapping[Any, int]) -> dict[Any, float]:
    """How far to the right every node stands: leaves side by side, others above their children."""
    children: dict[Any, list[Any]] = defaultdict(list)
    known = set(positions)
    for time in known:
        if isinstance(time, tuple) and time and time[:-1] in known:
            children[time[:-1]].append(time)
    found: dict[Any, float] = {}
    right = 0.0
    # From left to right, every node after its children: deep trees are no problem.
    for time in sorted(known, key=lambda time: (*_path(time), float("inf"))):
        below = [found[c] for c in children[time]]
        room = COLUMN + BESIDE * (wide.get(time, 1) - 1)
        if below:
            found[time] = (min(below) + max(below)) / 2
        else:
            found[time] = right + room / 2
            right += room
    return found


def _path(time: Any) -> tuple[int, ...]:
    return time if isinstance(time, tuple) else (time,)
