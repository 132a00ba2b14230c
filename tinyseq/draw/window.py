"""Which steps of a run a picture shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from tinyseq.draw.columns import sortable
from tinyseq.draw.graph import Time
from tinyseq.draw.relative import around
from tinyseq.draw.run import RunGraph
from tinyseq.draw.tree_layout import is_tree
from tinyseq.errors import DrawError

ALL_SHOWN = 12  # steps; of longer runs the first FIRST and the last LAST are shown
FIRST, LAST = 3, 2


def times_shown(run: RunGraph, window: Any) -> Collection[Time] | None:
    """The times that a window shows; None means all.

    Args:
        run: what was extracted.
        window: as for ``draw.unrolled``. The first and last steps are those of every recurrence.

    Raises:
        DrawError: a window that is none of these, or that shows nothing.
    """
    of_loop = _times(run)
    times = sorted({time for own in of_loop for time in own}, key=sortable)
    if isinstance(window, str) and window == "t":
        return set(around(times))
    if window == "all" or (window is None and is_tree(times)):
        return None
    if window is None:
        if len(times) <= ALL_SHOWN:
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
            shown.update(own[:first] + own[max(len(own) - last, 0) :])
    elif isinstance(window, Iterable) and not isinstance(window, str):
        shown = set(window) & set(times)
    else:
        raise DrawError(f"window is 'all', a pair (first, last), or times, not {window!r}")
    if times and not shown:
        raise DrawError(f"window={window!r}: the run has steps {times[0]} to {times[-1]}")
    if times and (times[0] in shown or times[-1] in shown):
        shown |= _before(run, times)
    return shown


def _times(run: RunGraph) -> list[list[Time]]:
    """The times of every recurrence, in rising order."""
    found: dict[int | None, set[Time]] = defaultdict(set)
    for role, members in zip(run.roles, run.members, strict=True):
        if role.kind in ("variable", "input"):
            there = (run.times[k] for k in members)
            found[role.loop].update(time for time in there if time is not None)
    return [sorted(own, key=sortable) for own in found.values()]


def _before(run: RunGraph, times: Sequence[Time]) -> set[Time]:
    """The times of initial states that lie before the first step."""
    kinds = [role.kind for role in run.roles]
    initial = {run.times[k] for k, role in enumerate(run.role) if kinds[role] == "initial"}
    return {time for time in initial if time is not None} - set(times)
