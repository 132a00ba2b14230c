"""Cells for grids: steps of ``unroll_grid``, which read the states of two neighbours."""

from __future__ import annotations

from typing import Any

from tinyseq.backend import Array, namespace
from tinyseq.nn import init
from tinyseq.nn.cells.elman import check_input, fields, positive
from tinyseq.nn.cells.lstm import LSTMState
from tinyseq.nn.module import Module
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, sigmoid, split, tanh
from tinyseq.random import Seed, generator


class MDRNNCell(Module):
    """The plain recurrent cell on a grid (Graves, Fernandez and Schmidhuber 2007).

        h = tanh(b + U x + W h(i-1, j) + Q h(i, j-1))

    Shapes: x (N, I), the states above and on the left (N, H); returns (h, h).

    Args:
        input_size: I.
        hidden_size: H.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters: weight_ih (H, I) is U, weight_above (H, H) is W, weight_left (H, H) is Q, bias (H,)
    is b.
    """

    gates = 1

    def __init__(self, input_size: int, hidden_size: int, seed: Seed = None) -> None:
        what = type(self).__name__
        self.input_size, self.hidden_size = positive(what, input_size, hidden_size)
        rng, bound, rows = generator(seed), hidden_size**-0.5, self.gates * hidden_size
        self.weight_ih = Parameter(init.uniform((rows, input_size), bound, rng), "U")
        self.weight_above = Parameter(init.uniform((rows, hidden_size), bound, rng), "W")
        self.weight_left = Parameter(init.uniform((rows, hidden_size), bound, rng), "Q")
        self.bias = Parameter(init.uniform((rows,), bound, rng), "b")

    def init_state(self, batch: int) -> Any:
        """What lies outside of the grid: zeros."""
        return self._zeros(batch)

    def _zeros(self, batch: int) -> Array:
        bias = self.bias.data
        return namespace(bias).zeros((batch, self.hidden_size), bias.dtype)

    def _map(self, x: Any, above: Any, left: Any) -> Any:
        check_input(x, self.input_size, above)
        a = linear(x, self.weight_ih, self.bias) + linear(above, self.weight_above)
        return a + linear(left, self.weight_left)

    def __call__(self, x: Any, states: tuple[Any, Any]) -> tuple[Any, Any]:
        above, left = fields(states, 2)
        h = tanh(self._map(x, above, left))
        return h, h


class MDLSTMCell(MDRNNCell):
    """The LSTM on a grid, with a forget gate for either neighbour (Graves et al. 2007).

        c = i * g + f * c(i-1, j) + e * c(i, j-1)       h = o * tanh(c)

    i, f, e and o are sigmoid(b + U x + W h(i-1, j) + Q h(i, j-1)), g is tanh of it, with rows of
    the matrices of their own. Without the peepholes of the paper.

    Shapes: x (N, I), the states LSTMState(h, c) of (N, H); returns (h, LSTMState(h, c)).

    Parameters, in the order i, f, e, g, o: weight_ih (5H, I) is U, weight_above (5H, H) is W,
    weight_left (5H, H) is Q, bias (5H,) is b.
    """

    gates = 5

    def init_state(self, batch: int) -> LSTMState:
        """What lies outside of the grid: zeros."""
        return LSTMState(self._zeros(batch), self._zeros(batch))

    def __call__(self, x: Any, states: tuple[Any, Any]) -> tuple[Any, LSTMState]:
        (above, c_above), (left, c_left) = (fields(state, 2) for state in fields(states, 2))
        i, f, e, g, o = split(self._map(x, above, left), 5, -1)
        c = sigmoid(i) * tanh(g) + sigmoid(f) * c_above + sigmoid(e) * c_left
        h = sigmoid(o) * tanh(c)
        return h, LSTMState(h, c)
