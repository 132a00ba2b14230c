"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

from tinyseq.backend import Array
from tinyseq.errors import ConfigError
from tinyseq.nn.parameter import Parameter
from tinyseq.optim.optimizer import Memory, Optimizer, slot


class SGD(Optimizer):
    """theta <- theta - lr v, with v the gradient, or its running sum if there is momentum.

    v <- momentum v + (1 - dampening) g, beginning with v = g. With ``nesterov`` the step is along
    g + momentum v: Nesterov's method in the form of Bengio, Boulanger-Lewandowski and Pascanu
    (2013, arXiv:1212.0901, section 3.5). Signature, defaults and numbers are PyTorch's.

    Args:
        params: the parameters.
        lr: learning rate.
        momentum: the part of v that stays from step to step.
        dampening: the part of the gradient that v does not get.
        weight_decay: adds weight_decay * theta to the gradient.
        nesterov: look ahead along v; wants momentum and no dampening.
    """

    limits = Optimizer.limits | {"momentum": inf, "dampening": inf}
    momentum: float
    dampening: float
    nesterov: bool

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )
        if nesterov and (momentum == 0 or dampening != 0):
            raise ConfigError("SGD: nesterov wants momentum > 0 and dampening = 0")

    def update(self, values: Array, g: Array, memory: Memory) -> Any:
        if self.weight_decay:
            g = g + self.weight_decay * values
        if self.momentum:
            first = "velocity" not in memory
            v = slot(memory, "velocity", values)
            v *= self.momentum
            v += g if first else (1 - self.dampening) * g
            g = g + self.momentum * v if self.nesterov else v
        return values - self.lr * g
