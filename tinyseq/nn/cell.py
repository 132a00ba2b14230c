"""Cell: one step of a recurrence, which is all that has to be written.

    class MyCell(nn.Cell):
        def __init__(self, input_size, hidden_size):
            self.hidden_size = hidden_size
            self.U = nn.Parameter(nn.init.xavier((hidden_size, input_size)), "U")
            self.W = nn.Parameter(nn.init.orthogonal((hidden_size, hidden_size)), "W")

        def __call__(self, x, h):
            h = ops.tanh(ops.linear(x, self.U) + ops.linear(h, self.W))
            return h, h

The contract: ``cell(x, state) -> (y, state)``. The state is a Tensor, or a (named) tuple or dict of
them; its field names name the drawn nodes. It is an argument, never hidden in the cell. What meets
the contract can be unrolled, drawn, stacked, run in both directions, and over ragged batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.backend import Array, namespace
from tinyseq.errors import ConfigError
from tinyseq.nn.module import Module


class Cell(Module):
    """The base of all cells: adds a state of zeros to Module.

    A cell whose gates are cut out of one product may name them, ``gates = "ifgo"``, in the order in
    which they are cut; pictures and the source of compiled loops write these letters.
    """

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        """One step: from the input and the state to the output and the next state."""
        raise ConfigError(f"{type(self).__name__} has no __call__(self, x, state) -> (y, state)")

    def init_state(self, batch: int) -> Any:
        """The state before the first step: zeros of shape (batch, hidden_size) by default."""
        return self.zeros(batch)

    def zeros(self, batch: int, size: int | None = None) -> Array:
        """Zeros of shape (batch, size), in the dtype and the array library of the parameters.

        ``size`` is ``self.hidden_size`` if not given.
        """
        if size is None:
            size = getattr(self, "hidden_size", None)
        if size is None:
            raise ConfigError(
                f"{type(self).__name__} has no hidden_size: set it in __init__, or write "
                "init_state(self, batch)"
            )
        first = next((p.data for _, p in self.named_parameters()), None)
        if first is None:
            return np.zeros((batch, size))
        return namespace(first).zeros((batch, size), first.dtype)
