"""``unroll`` of a compiled cell: all steps in one call.

A compiled cell has ``run_steps(xs, state, steps, running, checkpoint_every)`` besides the call of
one step. What is left to do here is what surrounds the loop: the order of time, padding, and
detached parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import is_cupy
from tinyseq.ops import concatenate, unbind
from tinyseq.recurrence.ragged import cleared
from tinyseq.recurrence.steps import (
    batch_size,
    checked_lengths,
    detached,
    initial_state,
    no_outputs,
    stacked,
    steps_of,
)


def runs_at_once(cell: Any, inputs: Any, state: Any) -> bool:
    """Whether a cell is compiled, and its arrays are where its loops run: on the host."""
    if not hasattr(cell, "run_steps"):
        return False
    first = next((parameter for _, parameter in cell.named_parameters()), None)
    arrays = [*structure.leaves(inputs), *structure.leaves(state), first]
    return not any(is_cupy(_raw(a)) for a in arrays)


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
) -> tuple[Any, Any]:
    """``unroll`` of a compiled cell, which runs all steps in one call (of each detached part)."""
    steps = steps_of(None if inputs is None else structure.map(_raw, inputs), length)[1]
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
    given = [a for a in structure.leaves(whole) if a is not None]
    total = len(given[0]) if given else steps
    parts = []
    for start in range(0, steps, every or steps):
        part = slice(start, min(start + (every or steps), steps))
        state = structure.map(detached, state) if start else state
        x = whole
        if x is not None and (reverse or part != slice(0, total)):
            x = structure.map(lambda a, part=part: None if a is None else a[:steps][order][part], x)
        outputs, state = cell.run_steps(
            x,
            state,
            part.stop - start,
            None if running is None else running[part],
            checkpoint_every,
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
