"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

from tinyseq.backend import Array, namespace
from tinyseq.nn.parameter import Parameter
from tinyseq.optim.optimizer import Memory, Optimizer, slot


class RMSprop(Optimizer):
    """The gradient divided by the root of its mean square (Hinton 2012, lecture 6e).

    v <- alpha v + (1 - alpha) g^2,   theta <- theta - lr g / (sqrt(v) + eps)

    ``centered`` divides by the standard deviation instead, sqrt(v - a^2), a the mean gradient
    (Graves 2013, arXiv:1308.0850, eqs. 38 to 40, but for the place of eps). With ``momentum``,
    u <- momentum u + g / (...), and the step is -lr u. Signature, defaults and numbers are
    PyTorch's.

    Args:
        params: the parameters.
        lr: learning rate.
        alpha: what the averages keep from step to step.
        eps: keeps the division finite.
        weight_decay: adds weight_decay * theta to the gradient.
        momentum: what u keeps from step to step.
        centered: take the mean gradient off the mean square.
    """

    limits = Optimizer.limits | {"alpha": 1.0, "eps": inf, "momentum": inf}
    alpha: float
    eps: float
    momentum: float
    centered: bool

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    def update(self, values: Array, g: Array, memory: Memory) -> Any:
        xp = namespace(values)
        if self.weight_decay:
            g = g + self.weight_decay * values
        v = slot(memory, "v", values)
        v *= self.alpha
        v += (1 - self.alpha) * (g * g)
        if self.centered:
            mean = slot(memory, "mean", values)
            mean += (1 - self.alpha) * (g - mean)
            v = xp.maximum(v - mean * mean, 0)  # rounding may leave it below zero
        step = g / (xp.sqrt(v) + self.eps)
        if self.momentum:
            u = slot(memory, "velocity", values)
            u *= self.momentum
            u += step
            step = u
        return values - self.lr * step
