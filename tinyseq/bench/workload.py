"""What is run: a cell over a sequence, forward and backward, with the gradients by all weights.

The loss is the sum of the squares of all outputs. Inputs are numbers, not parameters: none of the
contenders works out a gradient by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinyseq import nn, ops, structure
from tinyseq.autograd.tensor import Tensor


class PhaseCell(nn.Cell):
    """A cell that no library has: p' = f * p + tanh(n), put out as sin(p')."""

    def __init__(self, input_size: int, hidden_size: int, seed: Any = None) -> None:
        self.hidden_size = hidden_size
        rng = np.random.default_rng(seed)
        self.U = nn.Parameter(nn.init.xavier((2 * hidden_size, input_size), seed=rng), "U")
        self.W = nn.Parameter(nn.init.xavier((2 * hidden_size, hidden_size), seed=rng), "W")

    def __call__(self, x: Any, p: Any) -> tuple[Any, Any]:
        f, n = ops.split(ops.linear(x, self.U) + ops.linear(ops.sin(p), self.W), 2, -1)
        p = ops.sigmoid(f) * p + ops.tanh(n)
        return ops.sin(p), p


CELLS: dict[str, Callable[[int], nn.Cell]] = {
    "LSTM": lambda size: nn.LSTMCell(size, size, seed=0),
    "GRU": lambda size: nn.GRUCell(size, size, seed=0),
    "tanh RNN": lambda size: nn.ElmanCell(size, size, seed=0),
    "peephole LSTM": lambda size: nn.PeepholeLSTMCell(size, size, seed=0),
    "GRU, reset before": lambda size: nn.GRUCell(size, size, reset="before", seed=0),
    "MUT1": lambda size: nn.MUT1Cell(size, size, seed=0),
    "phase cell": lambda size: PhaseCell(size, size, seed=0),
}


@dataclass(frozen=True)
class Workload:
    """A cell of CELLS with as many inputs as units, over T steps of a batch, in float32."""

    cell: str
    steps: int
    batch: int
    size: int

    def __str__(self) -> str:
        return f"{self.cell}, T{self.steps} B{self.batch} H{self.size}"

    def make_cell(self) -> nn.Cell:
        """The cell, with the same weights every time."""
        return CELLS[self.cell](self.size)

    @cached_property
    def inputs(self) -> np.ndarray:
        """(T, B, H) normal numbers."""
        rng = np.random.default_rng(0)
        return rng.standard_normal((self.steps, self.batch, self.size), np.float32)

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """The cell's parameters by name."""
        return self.make_cell().state_dict()

    @cached_property
    def state(self) -> tuple[np.ndarray, ...]:
        """The initial state, a tuple of arrays of zeros."""
        state = self.make_cell().init_state(self.batch)
        return tuple(a.data if isinstance(a, Tensor) else a for a in structure.leaves(state))


def lstm(name: str) -> Workload:
    """An LSTM of one of four sizes: a common one, a tiny one, a wide one, and a long one."""
    sizes = {"a": (100, 32, 128), "b": (100, 1, 32), "c": (50, 64, 256), "d": (512, 16, 512)}
    return Workload("LSTM", *sizes[name])


def at_a(cell: str) -> Workload:
    """Any cell at size a: T100 B32 H128."""
    return Workload(cell, 100, 32, 128)
