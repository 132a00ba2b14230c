"""A cell of one's own: multiplicative integration, written as anyone would write it."""

from __future__ import annotations

from typing import Any

from tinyseq import ops
from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import check_input, positive
from tinyseq.nn.parameter import Parameter
from tinyseq.random import Seed, generator


class MultiplicativeCell(Cell):
    """Multiplicative integration (Wu et al. 2016): input and state also multiply each other.

        h' = tanh(alpha * (U x) * (W h) + beta_1 * (W h) + beta_2 * (U x) + b)

    Without alpha, and with ones for the betas, it is the Elman cell.

    Shapes: x (N, I), h (N, H); returns (h', h').

    Args:
        input_size: I.
        hidden_size: H.
        seed: for the initial values of U (Xavier) and W (orthogonal); alpha and the betas are 1.

    Parameters: weight_ih (H, I) is U, weight_hh (H, H) is W, alpha, beta_1, beta_2 and bias (H,).
    """

    def __init__(self, input_size: int, hidden_size: int, seed: Seed = None) -> None:
        self.input_size, self.hidden_size = positive("MultiplicativeCell", input_size, hidden_size)
        rng = generator(seed)
        self.weight_ih = Parameter(init.xavier((hidden_size, input_size), seed=rng), "U")
        self.weight_hh = Parameter(init.orthogonal((hidden_size, hidden_size), seed=rng), "W")
        self.alpha, self.beta_1, self.beta_2 = (
            Parameter(init.zeros((hidden_size,)) + 1, symbol) for symbol in ("α", "β1", "β2")
        )
        self.bias = Parameter(init.zeros((hidden_size,)), "b")

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        check_input(x, self.input_size, h)
        u, w = ops.linear(x, self.weight_ih), ops.linear(h, self.weight_hh)
        h = ops.tanh(self.alpha * u * w + self.beta_1 * w + self.beta_2 * u + self.bias)
        return h, h
