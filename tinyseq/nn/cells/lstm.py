"""The long short-term memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinyseq.errors import ConfigError
from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import add_gate_parameters, fields, from_input, positive
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, sigmoid, split, tanh
from tinyseq.random import Seed, generator


class LSTMState(NamedTuple):
    """The state of an LSTM: what it shows (h) and what it keeps (c)."""

    h: Any
    c: Any


class LSTMCell(Cell):
    """The LSTM with a forget gate (Gers et al. 2000; book, eqs. 10.40 to 10.44).

        i = sigmoid(U_i x + W_i h + b_i)        f = sigmoid(U_f x + W_f h + b_f)
        g = tanh(U_g x + W_g h + b_g)           o = sigmoid(U_o x + W_o h + b_o)
        c' = f * c + i * g                      h' = o * tanh(c')

    The book squashes the candidate g with a sigmoid (eq. 10.41); ``candidate="sigmoid"`` does that.

    Shapes: x (N, I), h and c (N, H); returns (h', LSTMState(h', c')).

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        bias: whether there are biases; like PyTorch's, they are two that add up.
        forget_bias: the initial value of b_f: a number (1 is recommended: Jozefowicz et al. 2015);
            "chrono", for spans up to ``longest`` steps (Tallec and Ollivier 2018); None as PyTorch.
        longest: the longest span to remember, for "chrono". A bias of 1 forgets in about 3 steps.
        candidate: "tanh" or "sigmoid".
        seed: for the initial values, uniform in +-1/sqrt(H) as in PyTorch.

    Parameters, gates in PyTorch's order i, f, g, o: weight_ih (4H, I) is U, weight_hh (4H, H) is W,
    bias_ih and bias_hh (4H,) are b.
    """

    gates = "ifgo"
    weight_ih: Parameter | None
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        forget_bias: float | str | None = None,
        longest: int | None = None,
        candidate: str = "tanh",
        seed: Seed = None,
    ) -> None:
        (self.hidden_size,) = positive("LSTMCell", hidden_size)
        if candidate not in ("tanh", "sigmoid"):
            raise ConfigError(f"LSTMCell: candidate is 'tanh' or 'sigmoid', not {candidate!r}")
        self.candidate = candidate
        rng = generator(seed)
        add_gate_parameters(self, input_size, 4, bias, rng)
        if forget_bias is not None:
            self._set_forget_bias(forget_bias, longest, rng)

    def _set_forget_bias(self, value: float | str, longest: int | None, rng: Any) -> None:
        """Of the two biases that add up, one takes the value and the other becomes zero."""
        if self.bias_ih is None or self.bias_hh is None:
            raise ConfigError("LSTMCell: forget_bias without biases")
        bias, other = self.bias_ih.data.copy(), self.bias_hh.data.copy()
        rows = np.split(np.arange(4 * self.hidden_size), 4)
        other[rows[1]] = 0
        if value == "chrono":
            if longest is None:
                raise ConfigError("LSTMCell: forget_bias='chrono' wants longest=, the longest span")
            bias[rows[1]], bias[rows[0]] = init.chrono(self.hidden_size, longest, rng)
            other[rows[0]] = 0
        elif isinstance(value, str):
            raise ConfigError(f"LSTMCell: forget_bias is a number or 'chrono', not {value!r}")
        else:
            bias[rows[1]] = value
        self.bias_ih.assign(bias)
        self.bias_hh.assign(other)

    def init_state(self, batch: int) -> LSTMState:
        """Zeros."""
        return LSTMState(self.zeros(batch), self.zeros(batch))

    def __call__(self, x: Any, state: LSTMState) -> tuple[Any, LSTMState]:
        h, c = fields(state, 2)
        a = from_input(self, x, h) + linear(h, self.weight_hh, self.bias_hh)
        i, f, g, o = split(a, 4, -1)
        squash = tanh if self.candidate == "tanh" else sigmoid
        c = sigmoid(f) * c + sigmoid(i) * squash(g)
        h = sigmoid(o) * tanh(c)
        return h, LSTMState(h, c)
