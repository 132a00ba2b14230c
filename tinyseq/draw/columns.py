"""Which step stands in which column, where a run has several recurrences.

Recurrences that go along with each other share their columns: the two directions of a bidirectional
network, a readout in a pass of its own. One that starts from what another has come to (a decoder
from its encoder's last state, or one that attends to all of its states) stands behind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from tinyseq.draw.extract import RunGraph
from tinyseq.draw.graph import Graph, Step, Time

Columns = tuple[tuple[Step, ...], ...]


def columns(run: RunGraph, initial: Collection[int] = ()) -> Columns:
    """All columns of a run from left to right, each with the steps that stand in it.

    Args:
        run: what was extracted.
        initial: the ids of the initial states that are shown, whose steps have columns too.
    """
    stage = _stages(run)
    trees = {
        loop.number
        for loop in run.loops
        if len({len(time) for time in loop.times if isinstance(time, tuple)}) > 1
    }
    found: dict[Any, dict[Step, None]] = defaultdict(dict)
    for v in run.vertices:
        if v.time is not None and (v.kind != "initial" or v.id in initial):
            # The nodes of a tree stand together if they are equally far from the root.
            key = (-len(v.time),) if v.loop in trees else sortable(v.time)  # type: ignore[arg-type]
            found[stage.get(v.loop, 0), key][v.loop, v.time] = None
    return tuple(tuple(found[key]) for key in sorted(found))


def shown_columns(graph: Graph) -> list[tuple[Step, ...] | int]:
    """The columns of a graph in which something is shown, and how many are hidden between them."""
    shown = {(v.loop, v.time) for v in graph.vertices if v.time is not None}
    found: list[tuple[Step, ...] | int] = []
    hidden = 0
    for column in (*graph.columns, ()):
        if column and not shown.intersection(column):
            hidden += 1
            continue
        found += [hidden] * (hidden > 0)
        found += [column] * bool(column)
        hidden = 0
    return found


def behind(column: tuple[Step, ...], before: tuple[Step, ...]) -> bool:
    """Whether a column belongs to recurrences that follow those of the column before it."""
    return not {loop for loop, _ in column} & {loop for loop, _ in before} and (
        sortable(column[0][1]) <= sortable(before[0][1])
    )


def sortable(time: Time) -> tuple[int, ...]:
    """A time as it is sorted: steps inside a step follow it."""
    return (time,) if isinstance(time, int) else tuple(time)


def _stages(run: RunGraph) -> dict[int | None, int]:
    """For every recurrence how many others stand before it, one behind the other."""
    delays, read, follows = _reading(run)
    group: dict[int | None, int | None] = {loop.number: loop.number for loop in run.loops}
    steps = {loop.number: loop.times for loop in run.loops}
    for (a, b), times in read.items():
        if len(delays[a, b]) < len(times) or (len(steps[a]) == 1 and steps[a] == steps[b]):
            joined = group[b]
            group = {loop: group[a] if g == joined else g for loop, g in group.items()}
    depth = dict.fromkeys(group.values(), 0)
    for _ in depth:  # the longest way to each; in a circle (of chunks that alternate), enough
        for a, b in follows:
            if group[a] != group[b]:
                depth[group[b]] = max(depth[group[b]], min(depth[group[a]] + 1, len(depth) - 1))
    return {loop: depth[group[loop]] for loop in group}


def _reading(run: RunGraph) -> tuple[dict[Any, set[Any]], dict[Any, set[Any]], set[Any]]:
    """Which recurrence reads which: with which delays, at which times, and at all.

    The last also through values that belong to no step.
    """
    delays: dict[Any, set[Any]] = defaultdict(set)
    read: dict[Any, set[Any]] = defaultdict(set)
    follows: set[Any] = set()
    behind: list[frozenset[Any]] = []  # of values outside: the recurrences they come from
    nothing: frozenset[Any] = frozenset()
    for v in run.vertices:
        here = nothing
        for p in v.parents:
            s = None if p is None else run.vertices[p]
            if s is None or s.kind == "parameter":
                continue
            loops = behind[s.id] if s.time is None else frozenset([s.loop])
            if v.time is None:
                here |= loops
                continue
            follows.update((loop, v.loop) for loop in loops if loop != v.loop)
            if s.time is not None and s.loop != v.loop and v.kind != "initial":
                delays[s.loop, v.loop].add(_difference(v.time, s.time))
                read[s.loop, v.loop].add(v.time)
        behind.append(here)
    return delays, read, follows


def _difference(later: Time, earlier: Time) -> Any:
    if isinstance(later, int) and isinstance(earlier, int):
        return later - earlier
    return later == earlier or (later, earlier)
