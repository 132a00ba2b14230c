"""A gated unit with a single gate."""

from __future__ import annotations

from typing import Any

from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import add_gate_parameters, from_input, positive
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, sigmoid, split, tanh
from tinyseq.random import Seed


class MGUCell(Cell):
    """The minimal gated unit (Zhou et al. 2016).

        f = sigmoid(U_f x + W_f h + b_f)
        n = tanh(U_n x + W_n (f * h) + b_n)
        h' = (1 - f) * h + f * n

    It is the GRU of ``reset="before", update="new"`` whose two gates are one.

    Shapes: x (N, I), h (N, H); returns (h', h').

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether there are biases; like PyTorch's, they are two that add up.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters, in the order f, n: weight_ih (2H, I) is U, weight_hh (2H, H) is W, bias_ih and
    bias_hh (2H,) are b.
    """

    gates = "fn"
    weight_ih: Parameter | None
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, seed: Seed = None
    ) -> None:
        _, self.hidden_size = positive("MGUCell", input_size, hidden_size)
        add_gate_parameters(self, input_size, 2, bias, seed)

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        xf, xn = split(from_input(self, x, h), 2, -1)
        gate, new = split(self.weight_hh, 2, 0)
        bf, bn = (None, None) if self.bias_hh is None else split(self.bias_hh, 2, 0)
        f = sigmoid(xf + linear(h, gate, bf))
        n = tanh(xn + linear(f * h, new, bn))
        h = (1 - f) * h + f * n
        return h, h
