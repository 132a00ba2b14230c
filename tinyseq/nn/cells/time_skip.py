"""Connections that skip time steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tinyseq.autograd.primitive import place
from tinyseq.errors import ConfigError, ShapeError
from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.elman import check_input, checked_input_size, fields, positive
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, tanh
from tinyseq.random import Seed, generator


class TimeSkipState(NamedTuple):
    """The last h, and the ones before it that are still to be read, the latest first."""

    h: Any
    past: tuple


class TimeSkipCell(Cell):
    """Hidden units that also read themselves as they were d steps ago (book, section 10.9.1).

        h(t) = tanh(b + U x(t) + sum over d in delays of W_d h(t-d))

    ``delays=(1, d)`` adds the skip connection to the usual one (Lin et al. 1996), ``delays=(d,)``
    has it in place of the usual one (book, section 10.9.3). Gradients along the skips vanish by
    tau / d factors in place of tau (they may still explode). ``delays=(1,)`` is the Elman cell.

    Shapes: x (N, I), every h (N, H); returns (h', TimeSkipState(h', past)): the state holds the
    last max(delays) values of h.

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        delays: different positive integers.
        bias: whether there is a bias.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters: weight_ih (H, I) is U, weight_hh.D (H, H) is W_D for every delay D (W for 1), bias
    (H,) is b.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        delays: Sequence[int] = (1, 10),
        bias: bool = True,
        seed: Seed = None,
    ) -> None:
        (self.hidden_size,) = positive("TimeSkipCell", hidden_size)
        self.input_size = checked_input_size("TimeSkipCell", input_size)
        self.delays = positive("TimeSkipCell: delays", *delays)
        if not delays or len(set(delays)) < len(delays):
            raise ConfigError(f"TimeSkipCell: delays are at least one and different, not {delays}")
        rng, bound = generator(seed), hidden_size**-0.5

        def uniform(*shape: int, symbol: str) -> Parameter:
            return Parameter(init.uniform(shape, bound, rng), symbol)

        if input_size:
            self.weight_ih = uniform(hidden_size, input_size, symbol="U")
        self.weight_hh = {
            str(d): uniform(hidden_size, hidden_size, symbol="W" if d == 1 else f"W{d}")
            for d in delays
        }
        self.bias = uniform(hidden_size, symbol="b") if bias else None

    def init_state(self, batch: int) -> TimeSkipState:
        """Zeros."""
        past = tuple(self.zeros(batch) for _ in range(max(self.delays) - 1))
        return TimeSkipState(self.zeros(batch), past)

    def __call__(self, x: Any, state: TimeSkipState) -> tuple[Any, TimeSkipState]:
        h, past = fields(state, 2)
        before = (h, *fields(past, max(self.delays) - 1))
        check_input(x, self.input_size, h)
        if any(older.shape != h.shape for older in before):
            shapes = sorted({tuple(older.shape) for older in before})
            raise ShapeError(f"the states{place()} have different shapes, {shapes}")
        recurrent = [linear(before[d - 1], self.weight_hh[str(d)]) for d in self.delays]
        a = linear(x, self.weight_ih, self.bias) if self.input_size else self.bias
        for part in recurrent:
            a = part if a is None else a + part
        h = tanh(a)
        return h, TimeSkipState(h, before[:-1])
