"""Which step stands in which column, where a run has several recurrences.

Recurrences that go along with each other share their columns: the two directions of a bidirectional
network, a readout in a pass of its own. One that starts from what another has come to (a decoder
from its encoder's last state, or one that attends to all of its states) stands behind it. A step of
a slow recurrence stands where the last step stands that it waits for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from functools import cache
from typing import Any

from tinyseq.draw.graph import Graph, Step, Time, sortable
from tinyseq.draw.pace import pace
from tinyseq.draw.run import RunGraph
from tinyseq.draw.stages import stages

Columns = tuple[tuple[Step, ...], ...]


def columns(run: RunGraph, initial: Collection[int] = ()) -> Columns:
    """All columns of a run from left to right, each with the steps that stand in it.

    Args:
        run: what was extracted.
        initial: the ids of the initial states that are shown, whose steps have columns too.
    """
    at = pace(run)

    @cache
    def beside(loop: int, own: Time) -> tuple[int, ...]:
        """When a step is made: of a slow recurrence, by the steps of the one that it waits for."""
        return sortable(at.beside(loop, own)[1])

    stage = stages(run, at).depth
    trees = {loop.number for loop in run.loops if loop.is_tree}
    found: dict[Any, dict[Step, None]] = defaultdict(dict)
    for role, members in zip(run.roles, run.members, strict=True):
        if role.kind == "initial":
            members = [k for k in members if k in initial]
        for time, own in dict.fromkeys([(run.times[k], at.times[k]) for k in members]):
            if time is not None and own is not None and role.loop is not None:
                # The nodes of a tree stand together if they are equally far from the root.
                is_tree = role.loop in trees
                key = (-len(time),) if is_tree else beside(role.loop, own)  # type: ignore[arg-type]
                found[stage.get(role.loop, 0), key][role.loop, time] = None
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
