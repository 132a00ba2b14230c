"""unroll_grid: apply one step at every place of a grid, from corner to corner.

    outputs, state = unroll_grid(cell, xs)                      # place by place
    outputs, state = unroll_grid(cell, xs, by_diagonal=True)    # all of an anti-diagonal at once

A recurrence along two axes (multi-dimensional recurrent networks: Graves, Fernandez and Schmidhuber
2007). The step is that of ``unroll``, but for the states that it gets: ``cell(x, (above, left)) ->
(y, state)``, the states of the two places that were left behind, one along each axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.engine import paused_gc
from tinyseq.autograd.node import Scope, current_scope
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, namespace
from tinyseq.errors import ShapeError, StructureError
from tinyseq.ops import concatenate, reshape, take
from tinyseq.recurrence.labels import called
from tinyseq.recurrence.steps import initial_state, no_pair, stacked, steps_of

GridStep = Callable[[Any, tuple[Any, Any]], tuple[Any, Any]]


def unroll_grid(
    cell: GridStep,
    inputs: Any,
    border: Any = None,
    *,
    reverse: tuple[bool, bool] = (False, False),
    by_diagonal: bool = False,
    names: dict[str, str] | None = None,
) -> tuple[Any, Any]:
    """Run a recurrence over a grid: y(i,j), s(i,j) = cell(x(i,j), (s(i-1,j), s(i,j-1))).

    Place by place, row after row, each place runs in a scope of its own with the index (i, j), from
    (1, 1) to (R, C), and what it reads, its state and its output are labelled x, h and o there. By
    diagonal, all places with the same i + j are one call, on a batch that is so much larger: the
    same numbers, but for the last bits, and faster.

    Args:
        cell: one step, ``cell(x, (above, left)) -> (y, state)``.
        inputs: (R, C, N, ...), rows and columns of inputs of a step, or a structure of such arrays.
        border: the state that stands for what lies outside of the grid. None asks
            ``cell.init_state(batch)``.
        reverse: whether to run from the last row to the first, and from the last column to the
            first: the state "above" is then that of the row below. Four runs with all four pairs,
            put together, see the whole grid from every place.
        by_diagonal: whether to run all places of an anti-diagonal at once.
        names: what to call x, the states and o in the pictures: {"h": "g"}.

    Returns:
        The outputs (R, C, N, ...), in each array of the output's structure, and the state of the
        last place, the corner that everything else has led to.

    Raises:
        ShapeError: inputs that are no grid, an empty grid, or arrays of different grids.
        StructureError: a step that does not return (y, state), or changes the state's structure.
    """
    xs, (rows, columns) = _places(inputs)
    batch = next(iter(structure.leaves(xs[0][0]))).shape[0]
    state = initial_state(cell, batch) if border is None else border
    run = _by_diagonal if by_diagonal else _by_place
    down = range(rows - 1, -1, -1) if reverse[0] else range(rows)
    across = range(columns - 1, -1, -1) if reverse[1] else range(columns)
    outer = current_scope.get()
    token = current_scope.set(outer)
    try:
        with paused_gc():
            return run(cell, xs, state, down, across, names or {}, outer)
    finally:
        current_scope.reset(token)


def _by_place(
    cell: GridStep,
    xs: list[list[Any]],
    border: Any,
    down: range,
    across: range,
    names: dict[str, str],
    outer: Scope | None,
) -> tuple[Any, Any]:
    outputs: list[list[Any]] = [[None] * len(across) for _ in down]
    above = [border] * len(across)  # the states of the row before, by column
    left = border
    for i in down:
        left = border
        for j in across:
            current_scope.set(Scope(outer, "step", (i + 1, j + 1)))
            x = called(xs[i][j], "x", names)
            y, left = _step(cell, x, (above[j], left), border, (i + 1, j + 1))
            above[j] = left = called(left, "h", names)
            outputs[i][j] = called(y, "o", names)
    current_scope.set(outer)
    return stacked([stacked(row) for row in outputs]), left


def _by_diagonal(
    cell: GridStep,
    xs: list[list[Any]],
    border: Any,
    down: range,
    across: range,
    names: dict[str, str],
    outer: Scope | None,
) -> tuple[Any, Any]:
    """The states of a diagonal are one batch, those of a row before those of the next."""
    rows, columns = len(down), len(across)
    batch = structure.leaves(border)[0].shape[0]
    parts: list[Any] = []
    place: dict[tuple[int, int], int] = {}  # where in the outputs of all diagonals
    state = None
    for d in range(rows + columns - 1):
        first, last = max(0, d - columns + 1), min(d, rows - 1)
        if state is not None:
            # A place of the first row, or of the first column, has the border on one side.
            edges = ([border] if first == 0 else []), ([border] if last == d else [])
            line = structure.map(lambda *a: concatenate(a), *edges[0], state, *edges[1])
        else:
            line = structure.map(lambda a: concatenate([a, a]), border)
        count = last - first + 1
        above = structure.map(lambda a, n=count: a[: n * batch], line)
        left = structure.map(lambda a, n=count: a[batch : (n + 1) * batch], line)
        current_scope.set(Scope(outer, "diagonal", d + 1))
        there = [(down[i], across[d - i]) for i in range(first, last + 1)]
        x = structure.map(lambda *a: concatenate(a), *(xs[i][j] for i, j in there))
        y, state = _step(cell, called(x, "x", names), (above, left), border, f"diagonal {d + 1}")
        state = called(state, "h", names)
        parts.append(called(y, "o", names))
        place |= {at: len(place) + k for k, at in enumerate(there)}
    current_scope.set(outer)
    if parts[0] is None:
        return None, state
    order = [place[i, j] for i in range(rows) for j in range(columns)]

    def together(*arrays: Any) -> Any:
        whole = concatenate(arrays)
        by_place = reshape(whole, (rows * columns, batch, *whole.shape[1:]))
        xp = namespace(whole.data if isinstance(whole, Tensor) else whole)
        sorted_ = take(by_place, xp.asarray(np.asarray(order)))
        return reshape(sorted_, (rows, columns, batch, *whole.shape[1:]))

    return structure.map(together, *parts), state


def _places(inputs: Any) -> tuple[list[list[Any]], tuple[int, int]]:
    """The input of every place, and how many rows and columns there are."""
    if isinstance(inputs, list):
        raise StructureError("unroll_grid: inputs are arrays (rows, columns, batch, ...), no lists")
    arrays = [a if isinstance(a, Tensor) else as_array(a) for a in structure.leaves(inputs)]
    if any(a.ndim < 3 for a in arrays):
        shapes = ", ".join(str(tuple(a.shape)) for a in arrays)
        raise ShapeError(f"unroll_grid: inputs are (rows, columns, batch, ...), not {shapes}")
    grids = sorted({tuple(a.shape[:2]) for a in arrays})
    if len(grids) != 1:
        raise ShapeError(f"unroll_grid: the inputs are of different grids, {grids}")
    ((rows, columns),) = grids
    if not rows * columns:
        raise ShapeError(f"unroll_grid: there are no places in a grid of {rows} x {columns}")
    return [steps_of(row)[0] for row in steps_of(inputs)[0]], (rows, columns)


def _step(
    cell: GridStep, x: Any, states: tuple[Any, Any], border: Any, where: object
) -> tuple[Any, Any]:
    """One step, whose result is checked to be (y, state) with a state like that of the border."""
    result = cell(x, states)
    if not isinstance(result, tuple) or len(result) != 2:
        raise no_pair(result, f"unroll_grid at {where}")
    if not structure.alike(result[1], border):
        raise StructureError(
            f"unroll_grid at {where}: the state is {structure.skeleton(result[1])}, but "
            f"{structure.skeleton(border)} outside of the grid"
        )
    return result
