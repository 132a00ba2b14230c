"""Cells made of cells: stacked, with a learned initial state, with units held to given values.

Each is a cell again, so that everything that works for a cell works for the composition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.primitive import place
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import namespace
from tinyseq.errors import ConfigError, ShapeError, StructureError
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import fields
from tinyseq.nn.linear import Dropout
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import broadcast_to, where
from tinyseq.random import Seed
from tinyseq.recurrence.steps import no_pair


class Stacked(Cell):
    """Cells on top of each other: each reads the output of the one below, at the same time step.

    Book, figure 10.13a. The state is the tuple of the cells' states, from the bottom up; the output
    is the top one's.

    Args:
        cells: from the bottom up.
        dropout: between the layers, in training.
        seed: for the dropout.
    """

    def __init__(self, cells: Sequence[Cell], dropout: float = 0.0, seed: Seed = None) -> None:
        if not cells:
            raise ConfigError("Stacked: no cells")
        self.cells = list(cells)
        self.dropout = Dropout(dropout, seed)

    def init_state(self, batch: int) -> tuple:
        """The cells' initial states."""
        return tuple(cell.init_state(batch) for cell in self.cells)

    def __call__(self, x: Any, state: tuple) -> tuple[Any, tuple]:
        new = []
        states = fields(state, len(self.cells))
        for k, (cell, before) in enumerate(zip(self.cells, states, strict=True)):
            result = cell(self.dropout(x) if k else x, before)
            if not isinstance(result, tuple) or len(result) != 2:
                raise no_pair(result, f"layer {k}{place()}")
            x, after = result
            new.append(after)
        return x, tuple(new)


class LearnedInitialState(Cell):
    """A cell whose initial state is a parameter, the same for every sequence (Hinton, lecture 7).

    Args:
        cell: any cell whose state can be made for a batch of one.
        units: of the last axis, which ones are learned: a boolean array; the others stay as the
            cell's own initial state has them. All by default.

    Parameters: ``initial.NAME`` for every array of the state, of shape (1, ...).
    """

    def __init__(self, cell: Cell, units: Any = None) -> None:
        self.cell = cell
        template = cell.init_state(1)
        names = structure.names(template, "h")
        values = [a.data if isinstance(a, Tensor) else a for a in structure.leaves(template)]
        self.initial = {name: Parameter(value) for name, value in zip(names, values, strict=True)}
        self.units = None if units is None else np.asarray(units, bool)
        for name, value in zip(names, values, strict=True):
            if self.units is not None and self.units.shape != value.shape[-1:]:
                raise ShapeError(
                    f"LearnedInitialState: units of shape {self.units.shape} for the state {name} "
                    f"of shape {value.shape}"
                )

    def init_state(self, batch: int) -> Any:
        """The parameters, once for each sequence of the batch."""
        fixed = self.cell.init_state(batch)
        learned = iter(self.initial.values())

        def initial(value: Any) -> Any:
            parameter = next(learned)
            wide = broadcast_to(parameter, (batch, *parameter.shape[1:]))
            if self.units is None:
                return wide
            return where(namespace(parameter.data).asarray(self.units), wide, value)

        return structure.map(initial, fixed)

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        return self.cell(x, state)


class Clamped(Cell):
    """A cell some of whose units are held to given values in every step (Hinton, lecture 7).

    The way to put in a sequence by "specifying the states of the same subset of the units at every
    time step": the input *is* the value of those units. The state must be one array (N, H).

    Args:
        cell: a cell whose state is one array.
        units: boolean array (H,), which units are held.
    """

    def __init__(self, cell: Cell, units: Any) -> None:
        self.cell = cell
        self.units = np.asarray(units, bool)

    def init_state(self, batch: int) -> Any:
        """The cell's own."""
        return self.cell.init_state(batch)

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        if structure.is_container(state):
            found = structure.skeleton(state)
            raise StructureError(f"the state{place()} is {found}, not one array")
        array = state.data if isinstance(state, Tensor) else state
        given = None if x is None else tuple(x.shape)
        if array.shape[-1:] != self.units.shape or given != tuple(array.shape):
            raise ShapeError(
                f"x(t){place()} {given} and the state {tuple(array.shape)} should both be "
                f"(batch, {self.units.size})"
            )
        held = where(namespace(array).asarray(self.units), x, state)
        y, new = self.cell(None, held)
        return y, new
