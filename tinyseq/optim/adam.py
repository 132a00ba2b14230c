"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

from tinyseq.backend import Array, namespace
from tinyseq.nn.parameter import Parameter
from tinyseq.optim.optimizer import Memory, Optimizer, slot


class Adam(Optimizer):
    """Steps of about lr for every weight, whatever the scale of its gradient.

    m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2
    theta <- theta - lr m^ / (sqrt(v^) + eps),   m^ = m / (1 - beta1^t),   v^ = v / (1 - beta2^t)

    (Kingma and Ba 2015, algorithm 1; ``amsgrad``: Reddi, Kale and Kumar 2018, algorithm 2.)
    Signature, defaults and numbers are PyTorch's; t counts the steps in which the parameter had a
    gradient.

    Args:
        params: the parameters.
        lr: learning rate.
        betas: beta1 and beta2, each in [0, 1).
        eps: keeps the division finite.
        weight_decay: adds weight_decay * theta to the gradient.
        amsgrad: divide by the largest v so far.
    """

    limits = Optimizer.limits | {"beta1": 1.0, "beta2": 1.0, "eps": inf}
    beta1: float
    beta2: float
    eps: float
    amsgrad: bool
    decoupled = False

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
    ) -> None:
        beta1, beta2 = betas
        super().__init__(
            params,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
        )

    def update(self, values: Array, g: Array, memory: Memory) -> Any:
        xp = namespace(values)
        if self.weight_decay and self.decoupled:
            values = values * (1 - self.lr * self.weight_decay)
        elif self.weight_decay:
            g = g + self.weight_decay * values
        memory["t"] = t = memory.get("t", 0) + 1
        m, v = slot(memory, "m", values), slot(memory, "v", values)
        m *= self.beta1
        m += (1 - self.beta1) * g
        v *= self.beta2
        v += (1 - self.beta2) * (g * g)
        if self.amsgrad:
            largest = slot(memory, "largest_v", values)
            v = xp.maximum(largest, v, out=largest)
        scale = xp.sqrt(v)
        scale /= (1 - self.beta2**t) ** 0.5
        scale += self.eps
        return values - (self.lr / (1 - self.beta1**t)) * (m / scale)


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights themselves: theta <- (1 - lr weight_decay) theta.

    The gradient, and so m and v, know nothing of it (Loshchilov and Hutter 2019, algorithm 2).
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)
