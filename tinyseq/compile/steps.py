"""Steps that are compiled in place of a cell's own: in a ragged batch."""

from __future__ import annotations

from typing import Any

from tinyseq import structure
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array
from tinyseq.errors import ShapeError
from tinyseq.nn.cell import Cell
from tinyseq.ops import where


class Ragged:
    """A step in which sequences that have ended stay as they are, as ``unroll`` has it."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def __call__(self, pair: Any, state: Any) -> tuple[Any, Any]:
        x, running = pair
        y, new = self.cell(x, state)
        held = structure.map(lambda a, before: _held(running, a, before), new, state)
        return structure.map(lambda a: _held(running, a, 0.0), y), held


def _held(running: Any, value: Any, before: Any) -> Any:
    if value is before:
        return value
    array = value if isinstance(value, Tensor) else as_array(value)
    if array.shape[:1] != running.shape:
        raise ShapeError(
            "unroll: with lengths, inputs, states and outputs are (batch, ...), not "
            f"{tuple(array.shape)}"
        )
    return where(running.reshape(running.shape + (1,) * (array.ndim - 1)), value, before)
