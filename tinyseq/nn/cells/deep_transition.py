"""Deep in one step: layers between h(t-1) and h(t), and between h(t) and the output."""

from __future__ import annotations

from typing import Any

from tinyseq.autograd.tensor import label
from tinyseq.errors import ConfigError
from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import ACTIVATIONS, checked_input_size, from_input, positive
from tinyseq.nn.linear import Linear
from tinyseq.nn.module import Module
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear
from tinyseq.random import Seed, generator


class DeepTransitionCell(Cell):
    """The deep transition, DT, or with a skip connection DT(S) (Pascanu et al. 2014; figure 10.13).

        z_1 = tanh(U x + W_1 h + b_1)
        z_k = tanh(W_k z_(k-1) + b_k)                     k = 2 ... n-1
        h' = tanh(W_n z_(n-1) + b_n [+ S h])

    From h to h' it is n layers, so tau steps are n tau layers for a gradient; with ``skip`` the
    shortest way is one layer a step. With n = 1 it is the Elman cell. Deep outputs are
    DeepOutputCell around this one (DOT, DOT(S)) or around any other (DO), or a readout that is
    ``nn.MLP``; recurrent layers on top of each other (sRNN) are Stacked.

    Shapes: x (N, I), h (N, H), every z (N, K); returns (h', h').

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        depth: n, how many layers.
        skip: whether there is S.
        transition_size: K; H by default.
        nonlinearity: "tanh" or "relu".
        seed: for the initial values, uniform in +-1/sqrt(inputs of the layer), of U as of W_1.

    Parameters: weight_ih (K, I) is U, weight_hh (K, H) is W_1, bias_ih (K,) is b_1;
    layers.0.weight, layers.1.weight ... are W_2, W_3 ..., (K, K) and the last one (H, K), with a
    bias each; weight_skip (H, H) is S. With n = 1, K is H.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        depth: int = 2,
        skip: bool = False,
        transition_size: int | None = None,
        nonlinearity: str = "tanh",
        seed: Seed = None,
    ) -> None:
        what = "DeepTransitionCell"
        between = hidden_size if transition_size is None or depth == 1 else transition_size
        self.hidden_size, depth, between = positive(what, hidden_size, depth, between)
        self.input_size = checked_input_size(what, input_size)
        if nonlinearity not in ACTIVATIONS:
            raise ConfigError(f"{what}: nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
        self.nonlinearity, self.skip = nonlinearity, skip
        rng, bound = generator(seed), hidden_size**-0.5

        def uniform(*shape: int, symbol: str) -> Parameter:
            return Parameter(init.uniform(shape, bound, rng), symbol)

        if input_size:
            self.weight_ih = uniform(between, input_size, symbol="U")
        self.weight_hh = uniform(between, hidden_size, symbol="W" if depth == 1 else "W1")
        self.bias_ih = uniform(between, symbol="b")
        sizes = [between] * (depth - 1) + [hidden_size]
        self.layers = [
            Linear(sizes[k], sizes[k + 1], symbol=f"W{k + 2}", bias_symbol="b", seed=rng)
            for k in range(depth - 1)
        ]
        if skip:
            self.weight_skip = uniform(hidden_size, hidden_size, symbol="S")

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        act = ACTIVATIONS[self.nonlinearity]
        a = from_input(self, x, h) + linear(h, self.weight_hh)
        for k, layer in enumerate(self.layers):
            a = layer(label(act(a), f"z{k + 1}"))
        if self.skip:
            a = a + linear(h, self.weight_skip)
        h = act(a)
        return h, h


class DeepOutputCell(Cell):
    """A cell with layers between its output and what it puts out (Pascanu et al. 2014, DO).

        y' = readout(y)

    Args:
        cell: any cell.
        readout: any module; ``nn.MLP((H, K, O))`` for a deep output.
    """

    def __init__(self, cell: Cell, readout: Module) -> None:
        self.cell = cell
        self.readout = readout

    def init_state(self, batch: int) -> Any:
        """The cell's own."""
        return self.cell.init_state(batch)

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        y, state = self.cell(x, state)
        return self.readout(y), state
