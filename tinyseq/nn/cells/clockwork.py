"""The clockwork network: groups of units that each compute at a pace of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyseq.errors import ConfigError
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.constant import constant
from tinyseq.nn.cells.elman import add_gate_parameters, fields, from_input, positive
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, tanh, where
from tinyseq.random import Seed


class ClockworkState(NamedTuple):
    """The hidden units, and how many steps each still waits before it computes again."""

    h: Any
    clock: Any


class ClockworkCell(Cell):
    """The clockwork network (Koutnik et al. 2014).

        v = tanh(U x + (M * W) h + b)
        h'_k = v_k where t mod T_k = 0, else h_k          t = 0, 1, 2 ...

    Unit k belongs to a module of period T_k. A module reads modules as slow as itself or slower,
    M_kj = 1 if T_k <= T_j else 0, so M * W is block upper triangular. All compute at t = 0. Between
    its ticks a module is frozen, to the bit, and so is the gradient on its way back.

    The time is part of the state: every unit counts down from T - 1 to 0 and computes at 0. Each
    step has the same operations, and a batch may hold sequences of different age.

    Shapes: x (N, I), h and clock (N, H); returns (h', ClockworkState(h', clock')).

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H, divided evenly among the modules.
        periods: T of each module, positive integers that do not fall: from fast to slow. The paper
            has powers of 2.
        bias: whether there are biases; like PyTorch's, they are two that add up.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters: weight_ih (H, I) is U, weight_hh (H, H) is W, of which the lower blocks are never
    read, bias_ih and bias_hh (H,) are b.
    """

    weight_ih: Parameter | None
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        periods: Sequence[int] = (1, 2, 4, 8),
        bias: bool = True,
        seed: Seed = None,
    ) -> None:
        (self.hidden_size,) = positive("ClockworkCell", hidden_size)
        self.periods = positive("ClockworkCell: periods", *periods)
        if not periods or list(periods) != sorted(periods):
            raise ConfigError(
                f"ClockworkCell: periods go from the fastest module to the slowest, not {periods}"
            )
        if hidden_size % len(periods):
            raise ConfigError(
                f"ClockworkCell: {hidden_size} units cannot be divided evenly among "
                f"{len(periods)} modules"
            )
        add_gate_parameters(self, input_size, 1, bias, seed)
        period = np.repeat(np.array(periods, np.float32), hidden_size // len(periods))
        self.wait = period - 1
        self.mask = (period[:, None] <= period[None, :]).astype(np.float32)

    def init_state(self, batch: int) -> ClockworkState:
        """Zeros: every unit is due."""
        return ClockworkState(self.zeros(batch), self.zeros(batch))

    def __call__(self, x: Any, state: ClockworkState) -> tuple[Any, ClockworkState]:
        h, clock = fields(state, 2)
        weight = self.weight_hh * constant(self.mask, h)
        v = tanh(from_input(self, x, h) + linear(h, weight, self.bias_hh))
        due = clock < 0.5
        h = where(due, v, h)
        clock = where(due, constant(self.wait, h), clock - 1)
        return h, ClockworkState(h, clock)
