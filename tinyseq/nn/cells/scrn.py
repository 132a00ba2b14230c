"""A recurrent network with slow context units beside the fast ones."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinyseq.errors import ConfigError
from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import check_input, fields, positive
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import concatenate, linear, sigmoid
from tinyseq.random import Seed, generator


class SCRNState(NamedTuple):
    """The state of an SCRN: fast hidden units h, slow context units s."""

    h: Any
    s: Any


class SCRNCell(Cell):
    """The structurally constrained recurrent network (Mikolov et al. 2015).

        s' = (1 - alpha) B x + alpha s
        h' = sigmoid(P s' + A x + R h)
        y = [h', s']

    The context is a bag of the words so far in which a word fades by alpha at each step. The paper
    puts out f(U h' + V s'): a linear readout of y has U and V side by side. There are no biases.

    Shapes: x (N, I), h (N, H), s (N, S); returns y (N, H + S) and SCRNState(h', s').

    Args:
        input_size: I.
        hidden_size: H.
        context_size: S.
        alpha: how much of the context is kept at each step, in [0, 1); the paper has 0.95.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters: weight_ih (H, I) is A, weight_hh (H, H) is R, weight_is (S, I) is B, weight_sh
    (H, S) is P.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        context_size: int,
        alpha: float = 0.95,
        seed: Seed = None,
    ) -> None:
        self.input_size, self.hidden_size, self.context_size = positive(
            "SCRNCell", input_size, hidden_size, context_size
        )
        if not 0 <= alpha < 1:
            raise ConfigError(f"SCRNCell: alpha lies in [0, 1), not {alpha}")
        self.alpha = alpha
        rng, bound = generator(seed), hidden_size**-0.5

        def weight(rows: int, columns: int, symbol: str) -> Parameter:
            return Parameter(init.uniform((rows, columns), bound, rng), symbol)

        self.weight_ih = weight(hidden_size, input_size, "A")
        self.weight_hh = weight(hidden_size, hidden_size, "R")
        self.weight_is = weight(context_size, input_size, "B")
        self.weight_sh = weight(hidden_size, context_size, "P")

    def init_state(self, batch: int) -> SCRNState:
        """Zeros."""
        return SCRNState(self.zeros(batch), self.zeros(batch, self.context_size))

    def __call__(self, x: Any, state: SCRNState) -> tuple[Any, SCRNState]:
        h, s = fields(state, 2)
        check_input(x, self.input_size, h)
        s = (1 - self.alpha) * linear(x, self.weight_is) + self.alpha * s
        a = linear(s, self.weight_sh) + linear(x, self.weight_ih) + linear(h, self.weight_hh)
        h = sigmoid(a)
        return concatenate([h, s], -1), SCRNState(h, s)
