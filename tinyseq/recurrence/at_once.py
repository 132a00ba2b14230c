"""``unroll`` of a compiled cell: all steps in one call.

A compiled cell has ``run_steps(xs, state, steps, running, checkpoint_every, feed)`` besides the
call of one step. What is left to do here is what surrounds the loop: the order of time, padding,
detached parts, and the steps before a feed reads an output.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.primitive import recording
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import namespace
from tinyseq.ops import concatenate, unbind
from tinyseq.recurrence.feed import OutputFeed
from tinyseq.recurrence.ragged import cleared
from tinyseq.recurrence.steps import (
    batch_size,
    checked_lengths,
    detached,
    initial_state,
    no_outputs,
    number_of_steps,
    stacked,
)


def because(cell: Any, feed: Any) -> str | None:
    """Why a compiled cell takes the steps of this run one by one; None if it does not."""
    if recording.get() not in (True, False):
        return "detect_nonfinite() looks at every operation of every step"
    if feed is not None and not isinstance(feed, OutputFeed):
        return f"the feed, {type(feed).__name__}, may do anything; an OutputFeed is compiled"
    if feed is not None and not cell.takes_feeds:
        return "there is dropout between its cells, and the last output is fed to the first"
    return None


def at_once(
    cell: Any,
    inputs: Any,
    state: Any,
    length: int | None,
    lengths: Any,
    reverse: bool,
    every: int | None,
    checkpoint_every: int | str | None,
    as_list: bool,
    feed: Any,
) -> tuple[Any, Any]:
    """``unroll`` of a compiled cell, which runs all steps in one call (of each detached part).

    ``feed`` is an OutputFeed, or None.
    """
    steps = number_of_steps(inputs, length)
    batch = batch_size(inputs, state)
    ends = checked_lengths(lengths, batch, steps)
    state = initial_state(cell, batch) if state is None else state
    if not steps:
        return no_outputs(cell, inputs, state, as_list), state
    whole = stacked(inputs) if isinstance(inputs, list) else inputs
    order = slice(None, None, -1) if reverse else slice(None)
    running = None
    if ends is not None:
        running = ends > np.arange(steps)[order, None]
        whole = structure.map(lambda a: None if a is None else a[:steps], whole)
        whole = cleared(running[order], whole)
        running = namespace(*map(_raw, structure.leaves(state))).asarray(running)
    given = [a for a in structure.leaves(whole) if a is not None]
    total = len(given[0]) if given else steps
    parts: list[Any] = []
    first_fed = steps if feed is None else max(feed.after, 1)
    starts = sorted({*range(0, steps, every or steps), min(first_fed, steps)} - {steps})
    for start, stop in zip(starts, [*starts[1:], steps], strict=True):
        part = slice(start, stop)
        state = structure.map(detached, state) if every and start and not start % every else state
        x = whole
        if x is not None and (reverse or part != slice(0, total)):
            x = structure.map(lambda a, part=part: None if a is None else a[:steps][order][part], x)
        now = None if running is None else running[part]
        if feed is None or start < first_fed:
            outputs, state = cell.run_steps(x, state, stop - start, now, checkpoint_every)
        else:
            last = structure.map(lambda y: y[-1], parts[-1])
            drawn = stacked([feed.draw(last) for _ in range(start, stop)])
            outputs, (state, _) = cell.run_steps(
                (x, drawn), (state, last), stop - start, now, checkpoint_every, feed
            )
        parts.append(outputs)
    joined = parts[0]
    if len(parts) > 1:
        joined = structure.map(lambda *pieces: concatenate(pieces), *parts)
    joined = structure.map(lambda a: a[order], joined) if reverse else joined
    if as_list:
        columns = [unbind(a) for a in structure.leaves(joined)]
        rows = [iter(row) for row in zip(*columns, strict=True)]
        return [structure.map(lambda _, row=row: next(row), joined) for row in rows], state
    return joined, state


def _raw(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value
