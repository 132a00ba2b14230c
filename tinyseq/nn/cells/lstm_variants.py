"""LSTMs before and beside the usual one: of 1997, with peepholes, with coupled gates."""

from __future__ import annotations

from typing import Any

from tinyseq.errors import ConfigError
from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import add_gate_parameters, fields, from_input, positive
from tinyseq.nn.cells.lstm import LSTMState
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, sigmoid, split, tanh
from tinyseq.random import Seed, generator


class OriginalLSTMCell(Cell):
    """The LSTM of 1997, without a forget gate (Hochreiter and Schmidhuber 1997, section 4).

        i = sigmoid(U_i x + W_i h + b_i)        g = tanh(U_g x + W_g h + b_g)
        o = sigmoid(U_o x + W_o h + b_o)
        c' = c + i * g                          h' = o * tanh(c')

    The constant error carousel: while the input gate is closed, dc'/dc is exactly 1. What the cell
    has taken up it cannot drop, so a stream without resets makes c grow. The paper squashes the
    candidate to [-2, 2] and the cell to [-1, 1], which ``squash="1997"`` does: g = 2 tanh(a / 2),
    h' = o * tanh(c' / 2). Its truncated gradient is not part of the equations, nor of this cell.

    Shapes: x (N, I), h and c (N, H); returns (h', LSTMState(h', c')).

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        bias: whether there are biases; like PyTorch's, they are two that add up.
        squash: "tanh" or "1997".
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters, gates in the order i, g, o: weight_ih (3H, I) is U, weight_hh (3H, H) is W, bias_ih
    and bias_hh (3H,) are b.
    """

    gates = "igo"
    weight_ih: Parameter | None
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        squash: str = "tanh",
        seed: Seed = None,
    ) -> None:
        (self.hidden_size,) = positive("OriginalLSTMCell", hidden_size)
        if squash not in ("tanh", "1997"):
            raise ConfigError(f"OriginalLSTMCell: squash is 'tanh' or '1997', not {squash!r}")
        self.squash = squash
        add_gate_parameters(self, input_size, 3, bias, seed)

    def init_state(self, batch: int) -> LSTMState:
        """Zeros."""
        return LSTMState(self.zeros(batch), self.zeros(batch))

    def __call__(self, x: Any, state: LSTMState) -> tuple[Any, LSTMState]:
        h, c = fields(state, 2)
        a = from_input(self, x, h) + linear(h, self.weight_hh, self.bias_hh)
        i, g, o = split(a, 3, -1)
        if self.squash == "tanh":
            c = c + sigmoid(i) * tanh(g)
            h = sigmoid(o) * tanh(c)
        else:
            c = c + sigmoid(i) * (2 * tanh(0.5 * g))
            h = sigmoid(o) * tanh(0.5 * c)
        return h, LSTMState(h, c)


class PeepholeLSTMCell(Cell):
    """The LSTM whose gates see the cell (Gers and Schmidhuber 2000; Gers et al. 2002).

        i = sigmoid(U_i x + W_i h + p_i * c + b_i)
        f = sigmoid(U_f x + W_f h + p_f * c + b_f)
        g = tanh(U_g x + W_g h + b_g)
        c' = f * c + i * g
        o = sigmoid(U_o x + W_o h + p_o * c' + b_o)
        h' = o * tanh(c')

    The output gate sees the new cell, the other two the old one. ``peepholes="full"`` has matrices,
    P c in place of p * c: there every gate sees every cell, as where c is concatenated to h and x.

    Shapes: x (N, I), h and c (N, H); returns (h', LSTMState(h', c')).

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        bias: whether there are biases; like PyTorch's, they are two that add up.
        peepholes: "diagonal" or "full".
        forget_bias: the initial value of b_f; None as the others.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters, gates in PyTorch's order i, f, g, o: weight_ih (4H, I) is U, weight_hh (4H, H) is W,
    bias_ih and bias_hh (4H,) are b; weight_ci, weight_cf and weight_co (H,), or (H, H) if full, are
    p, or P.
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
        peepholes: str = "diagonal",
        forget_bias: float | None = None,
        seed: Seed = None,
    ) -> None:
        what = type(self).__name__
        (self.hidden_size,) = positive(what, hidden_size)
        if peepholes not in ("diagonal", "full"):
            raise ConfigError(f"{what}: peepholes is 'diagonal' or 'full', not {peepholes!r}")
        self.peepholes = peepholes
        rng = generator(seed)
        add_gate_parameters(self, input_size, 4, bias, rng)
        if forget_bias is not None:
            set_gate_bias(self, 1, forget_bias)
        shape = (hidden_size,) if peepholes == "diagonal" else (hidden_size, hidden_size)
        symbol = "p" if peepholes == "diagonal" else "P"
        self.weight_ci, self.weight_cf, self.weight_co = (
            Parameter(init.uniform(shape, hidden_size**-0.5, rng), symbol) for _ in range(3)
        )

    def init_state(self, batch: int) -> LSTMState:
        """Zeros."""
        return LSTMState(self.zeros(batch), self.zeros(batch))

    def peep(self, c: Any, weight: Parameter) -> Any:
        """What a gate sees of the cell."""
        return c * weight if self.peepholes == "diagonal" else linear(c, weight)

    def __call__(self, x: Any, state: LSTMState) -> tuple[Any, LSTMState]:
        h, c = fields(state, 2)
        a = from_input(self, x, h) + linear(h, self.weight_hh, self.bias_hh)
        i, f, g, o = split(a, 4, -1)
        i = sigmoid(i + self.peep(c, self.weight_ci))
        f = sigmoid(f + self.peep(c, self.weight_cf))
        c = f * c + i * tanh(g)
        o = sigmoid(o + self.peep(c, self.weight_co))
        h = o * tanh(c)
        return h, LSTMState(h, c)


class CoupledLSTMCell(Cell):
    """The LSTM that takes up as much as it forgets: one gate in place of two.

        f = sigmoid(U_f x + W_f h + b_f),   i = 1 - f        learned="forget"
        i = sigmoid(U_i x + W_i h + b_i),   f = 1 - i        learned="input"  (Greff et al. 2017)
        g = tanh(U_g x + W_g h + b_g)           o = sigmoid(U_o x + W_o h + b_o)
        c' = f * c + i * g                      h' = o * tanh(c')

    The two are one family, since 1 - sigmoid(a) = sigmoid(-a); but a forget bias of 1 is an input
    bias of -1.

    Shapes: x (N, I), h and c (N, H); returns (h', LSTMState(h', c')).

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        bias: whether there are biases; like PyTorch's, they are two that add up.
        learned: "forget" or "input": the gate that the parameters are those of.
        forget_bias: the initial value of b_f, or of -b_i; None as the others.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters, gates in the order f (or i), g, o: weight_ih (3H, I) is U, weight_hh (3H, H) is W,
    bias_ih and bias_hh (3H,) are b.
    """

    gates: str
    weight_ih: Parameter | None
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        learned: str = "forget",
        forget_bias: float | None = None,
        seed: Seed = None,
    ) -> None:
        (self.hidden_size,) = positive("CoupledLSTMCell", hidden_size)
        if learned not in ("forget", "input"):
            raise ConfigError(f"CoupledLSTMCell: learned is 'forget' or 'input', not {learned!r}")
        self.learned = learned
        self.gates = learned[0] + "go"
        add_gate_parameters(self, input_size, 3, bias, seed)
        if forget_bias is not None:
            set_gate_bias(self, 0, forget_bias if learned == "forget" else -forget_bias)

    def init_state(self, batch: int) -> LSTMState:
        """Zeros."""
        return LSTMState(self.zeros(batch), self.zeros(batch))

    def __call__(self, x: Any, state: LSTMState) -> tuple[Any, LSTMState]:
        h, c = fields(state, 2)
        a = from_input(self, x, h) + linear(h, self.weight_hh, self.bias_hh)
        gate, g, o = split(a, 3, -1)
        gate = sigmoid(gate)
        f, i = (gate, 1 - gate) if self.learned == "forget" else (1 - gate, gate)
        c = f * c + i * tanh(g)
        h = sigmoid(o) * tanh(c)
        return h, LSTMState(h, c)


def set_gate_bias(cell: Any, gate: int, value: float) -> None:
    """Start the bias of one gate, given by its place in the order of gates, at the value.

    Of the two biases that add up, one takes it and the other becomes zero.
    """
    if cell.bias_ih is None or cell.bias_hh is None:
        raise ConfigError(f"{type(cell).__name__}: forget_bias without biases")
    rows = slice(gate * cell.hidden_size, (gate + 1) * cell.hidden_size)
    for parameter, start in ((cell.bias_ih, value), (cell.bias_hh, 0.0)):
        bias = parameter.data.copy()
        bias[rows] = start
        parameter.assign(bias)
