"""Leaky units: each keeps a share of its value, and so has a time scale of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ConfigError
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells.constant import constant
from tinyseq.nn.cells.elman import add_gate_parameters, from_input, positive
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, relu, sigmoid, tanh
from tinyseq.random import Seed

ACTIVATIONS = {"tanh": tanh, "relu": relu, "identity": lambda a: a}

# What the literature writes, as the share a of the new value: h' = (1 - a) h + a v.
CONVENTIONS = {
    "new": lambda a: a,  # Jaeger et al. 2007, "leaking rate": small is slow
    "keep": lambda alpha: 1 - alpha,  # Mozer 1992; book, section 10.9.2: near 1 is slow
    "time constant": lambda tau: 1 / tau,  # large is slow
}


class LeakyCell(Cell):
    """Leaky units (Mozer 1992; Jaeger et al. 2007; book, section 10.9.2).

        v = tanh(U x + W h + b)
        h' = (1 - a) h + a v

    Without input the linear part fades as (1 - a)^t: the time constant is -1 / ln(1 - a) steps. A
    unit of a = 1 does not leak: it is an Elman unit. There are three ways to write the same thing:

        h' = (1 - a) h + a v               "new"             0 < a <= 1      Jaeger et al. 2007
        h' = alpha h + (1 - alpha) v       "keep"            0 <= alpha < 1  Mozer 1992, the book
        h' = (1 - 1/tau) h + (1/tau) v     "time constant"   1 <= tau        Euler steps of length 1

    The book's running average, mu' = alpha mu + (1 - alpha) v, is W = 0 with "identity".

    Shapes: x (N, I), h (N, H); returns (h', h').

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        leak: a number for all units, or one for each (H,), written as ``convention`` says.
        convention: "new", "keep" or "time constant".
        learned: whether a is learned, a = sigmoid(raw_leak), from ``leak`` on.
        bias: whether there are biases; like PyTorch's, they are two that add up.
        nonlinearity: "tanh", "relu" or "identity".
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters: weight_ih (H, I) is U, weight_hh (H, H) is W, bias_ih and bias_hh (H,) are b; if
    learned, raw_leak (H,) is the logit of a.
    """

    weight_ih: Parameter | None
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        leak: Any = 0.5,
        convention: str = "new",
        learned: bool = False,
        bias: bool = True,
        nonlinearity: str = "tanh",
        seed: Seed = None,
    ) -> None:
        (self.hidden_size,) = positive("LeakyCell", hidden_size)
        if nonlinearity not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ConfigError(f"LeakyCell: nonlinearity is one of {known}, not {nonlinearity!r}")
        self.nonlinearity, self.learned = nonlinearity, learned
        rate = share_of_the_new(leak, convention)
        if rate.shape not in ((), (hidden_size,)):
            raise ConfigError(
                f"LeakyCell: leak is one number or one for each of {hidden_size} units, not an "
                f"array of shape {rate.shape}"
            )
        if learned and (rate == 1).any():
            raise ConfigError("LeakyCell: a learned leak starts below 1, the end of its range")
        add_gate_parameters(self, input_size, 1, bias, seed)
        self.rate = np.broadcast_to(rate, (hidden_size,)).astype(np.float64)
        if learned:
            raw = np.log(self.rate / (1 - self.rate)).astype(np.float32)
            self.raw_leak = Parameter(raw, "a")

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        v = from_input(self, x, h) + linear(h, self.weight_hh, self.bias_hh)
        a = sigmoid(self.raw_leak) if self.learned else constant(self.rate, h)
        h = (1 - a) * h + a * ACTIVATIONS[self.nonlinearity](v)
        return h, h


def share_of_the_new(leak: Any, convention: str = "new") -> np.ndarray:
    """The a of h' = (1 - a) h + a v, from any way to write it: "new", "keep", "time constant".

    Raises:
        ConfigError: an unknown convention, or a that is not in (0, 1].
    """
    if convention not in CONVENTIONS:
        known = ", ".join(map(repr, CONVENTIONS))
        raise ConfigError(f"leak: convention is one of {known}, not {convention!r}")
    given = np.asarray(leak, np.float64)
    if convention == "time constant" and not (given >= 1).all():
        raise ConfigError(f"leak: a time constant is at least 1 step, not {leak!r}")
    rate = CONVENTIONS[convention](given)
    if not ((rate > 0) & (rate <= 1)).all():
        raise ConfigError(
            f"leak: {leak!r} by the convention {convention!r} makes the share of the new value "
            f"{rate.tolist()}, which should be above 0 and at most 1"
        )
    return rate


class LeakyIntegratorCell(Cell):
    """The leaky integrator whose two shares do not add up to 1 (Jaeger 2001, eq. 21).

        h' = (1 - delta C a) h + delta C tanh(U x + W h + b)

    An Euler step of length delta of  h. = C (-a h + tanh(...)). With a = 1 it is the LeakyCell of
    leak delta C.

    Shapes: x (N, I), h (N, H); returns (h', h').

    Args:
        input_size: I; 0 for a network that runs without input.
        hidden_size: H.
        time_constant: C, which despite its name in the paper is a speed; positive.
        decay: a, not negative; 0 integrates.
        step: delta; positive.
        bias: whether there are biases; like PyTorch's, they are two that add up.
        seed: for the initial values, uniform in +-1/sqrt(H).

    Parameters: weight_ih (H, I) is U, weight_hh (H, H) is W, bias_ih and bias_hh (H,) are b.

    Raises:
        ConfigError: delta C a above 1, where the step is too long for the equation.
    """

    weight_ih: Parameter | None
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        time_constant: float = 0.44,
        decay: float = 0.9,
        step: float = 1.0,
        bias: bool = True,
        seed: Seed = None,
    ) -> None:
        (self.hidden_size,) = positive("LeakyIntegratorCell", hidden_size)
        if not (time_constant > 0 and step > 0 and 0 <= step * time_constant * decay <= 1):
            raise ConfigError(
                "LeakyIntegratorCell: time_constant C and step delta are positive, decay a is not "
                f"negative and delta C a is at most 1; these are C={time_constant}, "
                f"delta={step}, a={decay}"
            )
        self.new = step * time_constant
        self.keep = 1 - self.new * decay
        add_gate_parameters(self, input_size, 1, bias, seed)

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        v = from_input(self, x, h) + linear(h, self.weight_hh, self.bias_hh)
        h = self.keep * h + self.new * tanh(v)
        return h, h
