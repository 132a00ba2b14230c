"""LSTM layers whose cells are linked, through a gate, from each layer to the one above."""

from __future__ import annotations

from typing import Any

from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import fields, from_input, positive
from tinyseq.nn.cells.lstm import LSTMState
from tinyseq.nn.cells.lstm_variants import PeepholeLSTMCell
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, sigmoid, split, tanh
from tinyseq.random import Seed, generator


class DepthGatedLSTMCell(Cell):
    """The depth-gated LSTM (Yao et al. 2015): peephole LSTMs on top of each other, and between them

        d = sigmoid(U_d h_below + w_c * c + w_l * c_below + b_d)
        c' = d * c_below + f * c + i * g

    where h_below and c_below are what the layer below has just computed, and c is this layer's own
    cell of the step before. All else is as in PeepholeLSTMCell; so is the lowest layer. With d = 0
    it is a stack of those.

    Shapes: x (N, I), h and c of every layer (N, H); returns (h' of the top layer, a tuple of
    LSTMState from the bottom up).

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H, of every layer.
        num_layers: how many.
        bias: whether there are biases.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters: ``layers.K.NAME`` as PeepholeLSTMCell has them, and above the lowest also weight_xd
    (H, H), which is U_d, weight_cd and weight_ld (H,), which are w_c and w_l, and bias_d (H,).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 2,
        bias: bool = True,
        seed: Seed = None,
    ) -> None:
        self.hidden_size, num_layers = positive("DepthGatedLSTMCell", hidden_size, num_layers)
        rng = generator(seed)
        lowest = PeepholeLSTMCell(input_size, hidden_size, bias, seed=rng)
        above = [UpperLayer(hidden_size, bias, rng) for _ in range(num_layers - 1)]
        self.layers = [lowest, *above]

    def init_state(self, batch: int) -> tuple:
        """Zeros, for each layer."""
        return tuple(layer.init_state(batch) for layer in self.layers)

    def __call__(self, x: Any, state: tuple) -> tuple[Any, tuple]:
        new: list[LSTMState] = []
        for layer, before in zip(self.layers, fields(state, len(self.layers)), strict=True):
            h, after = layer(new[-1] if new else x, before)
            new.append(after)
        return h, tuple(new)


class UpperLayer(PeepholeLSTMCell):
    """A layer with a depth gate; it reads the whole state of the layer below, nothing else."""

    def __init__(self, hidden_size: int, bias: bool, seed: Seed) -> None:
        rng = generator(seed)
        super().__init__(hidden_size, hidden_size, bias, seed=rng)

        def uniform(*shape: int, symbol: str) -> Parameter:
            return Parameter(init.uniform(shape, hidden_size**-0.5, rng), symbol)

        self.weight_xd = uniform(hidden_size, hidden_size, symbol="U")
        self.weight_cd = uniform(hidden_size, symbol="w")
        self.weight_ld = uniform(hidden_size, symbol="w")
        self.bias_d = uniform(hidden_size, symbol="b") if bias else None

    def __call__(self, below: LSTMState, state: LSTMState) -> tuple[Any, LSTMState]:
        x, c_below = below
        h, c = fields(state, 2)
        a = from_input(self, x, h) + linear(h, self.weight_hh, self.bias_hh)
        i, f, g, o = split(a, 4, -1)
        i = sigmoid(i + self.peep(c, self.weight_ci))
        f = sigmoid(f + self.peep(c, self.weight_cf))
        depth = linear(x, self.weight_xd, self.bias_d) + c * self.weight_cd
        d = sigmoid(depth + c_below * self.weight_ld)
        c = d * c_below + f * c + i * tanh(g)
        o = sigmoid(o + self.peep(c, self.weight_co))
        h = o * tanh(c)
        return h, LSTMState(h, c)
