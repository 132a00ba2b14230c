"""Which steps of a run a picture shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from tinyseq.draw.columns import sortable
from tinyseq.draw.graph import Time
from tinyseq.draw.pace import pace
from tinyseq.draw.relative import around
from tinyseq.draw.run import RunGraph
from tinyseq.draw.tree_layout import is_tree
from tinyseq.errors import DrawError

ALL_SHOWN = 12  # steps; of longer runs the first FIRST and the last LAST are shown
ALL_ALONG = 8  # rows or columns, of a recurrence along two axes
FIRST, LAST = 3, 2


def times_shown(run: RunGraph, window: Any) -> Collection[Time] | None:
    """The times that a window shows; None means all.

    Args:
        run: what was extracted.
        window: as for ``draw.unrolled``. The first and last steps are those of every recurrence;
            over a grid, the first and last rows and columns.

    Raises:
        DrawError: a window that is none of these, or that shows nothing.
    """
    at = pace(run)
    by_loop = _times(run)
    of_loop = list(by_loop.values())
    times = sorted({time for own in of_loop for time in own}, key=sortable)
    if isinstance(window, str) and window == "t":
        return set(around(times))
    if window == "all" or (window is None and is_tree(times)):
        return None
    grid = _axes(times) if at.grids else None
    if window is None:
        slow = {loop for loop, _ in at.rates}  # a step of which has no column of its own
        counted = {time for loop, own in by_loop.items() if loop not in slow for time in own}
        if grid and max(map(len, grid)) <= ALL_ALONG or len(counted) <= ALL_SHOWN:
            return None
        window = (FIRST, LAST)
    if isinstance(window, tuple) and len(window) == 2:
        first, last = window
        if not (isinstance(first, int) and isinstance(last, int)) or min(first, last) < 0:
            raise DrawError(
                f"window={window!r}: a pair says how many first and how many last steps"
            )
        if first + last == 0:
            raise DrawError("window=(0, 0) shows nothing")
        shown: set[Time] = set()
        for own in of_loop:
            shown.update(_ends(own, first, last))
        if grid:
            rows, columns = (_ends(axis, first, last) for axis in grid)
            shown = {time for time in times if _in_grid(time, rows, columns)}
    elif isinstance(window, Iterable) and not isinstance(window, str):
        shown = set(window) & set(times)
    else:
        raise DrawError(f"window is 'all', a pair (first, last), or times, not {window!r}")
    if times and not shown:
        raise DrawError(f"window={window!r}: the run has steps {times[0]} to {times[-1]}")
    if times and (times[0] in shown or times[-1] in shown):
        shown |= _before(run, times)
    return shown


def _ends(own: Sequence[Any], first: int, last: int) -> list[Any]:
    return [*own[:first], *own[max(len(own) - last, 0) :]]


def _axes(times: Sequence[Time]) -> list[list[int]]:
    """The rows and the columns of a grid."""
    pairs = [time for time in times if isinstance(time, tuple)]
    return [sorted({pair[axis] for pair in pairs}) for axis in (0, 1)]


def _in_grid(time: Time, rows: Collection[int], columns: Collection[int]) -> bool:
    return not isinstance(time, tuple) or (time[0] in rows and time[1] in columns)


def _times(run: RunGraph) -> dict[int | None, list[Time]]:
    """The times of every recurrence, in rising order."""
    found: dict[int | None, set[Time]] = defaultdict(set)
    for role, members in zip(run.roles, run.members, strict=True):
        if role.kind in ("variable", "input"):
            there = (run.times[k] for k in members)
            found[role.loop].update(time for time in there if time is not None)
    return {loop: sorted(own, key=sortable) for loop, own in found.items()}


def _before(run: RunGraph, times: Sequence[Time]) -> set[Time]:
    """The times of initial states that lie before the first step."""
    kinds = [role.kind for role in run.roles]
    initial = {run.times[k] for k, role in enumerate(run.role) if kinds[role] == "initial"}
    return {time for time in initial if time is not None} - set(times)
