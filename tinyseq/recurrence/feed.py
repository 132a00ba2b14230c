"""Feeds: what a step is given to read, as a function of the given input and of the last output.

    unroll(cell, xs)                                       # teacher forcing: the given input
    unroll(cell, xs, feed=FreeRunning(choose))             # only x(1) is given, then choose(o(t-1))
    unroll(cell, xs, feed=ScheduledSampling(0.7, choose))  # a coin for every token

``choose`` turns an output into an input: ``argmax``, ``sampler(rng)``, the identity for real
values, or anything else. The given inputs of a model that reads its own outputs are the targets
moved one step back: x(t) = y(t-1).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any, Protocol

import numpy as np

from tinyseq.autograd.primitive import place
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, namespace, to_numpy
from tinyseq.errors import ConfigError, ShapeError
from tinyseq.ops import where
from tinyseq.ops.reduce import argmax as largest
from tinyseq.random import Seed, generator

Choose = Callable[[Any], Any]


class Feed(Protocol):
    """``feed(count, given, output)``: the input of the step number ``count`` (0 is the first)."""

    def __call__(self, count: int, given: Any, output: Any) -> Any: ...


class TeacherForcing:
    """The given input, whatever the model put out (book, section 10.2.1)."""

    def __call__(self, count: int, given: Any, output: Any) -> Any:
        return given


class FreeRunning:
    """The given input for the first ``after`` steps; from then on the model reads its own outputs.

    Args:
        choose: from the last output to the next input.
        after: how many given inputs are read first: 1, or the length of a prompt.
    """

    def __init__(self, choose: Choose, after: int = 1) -> None:
        if after < 0:
            raise ConfigError(f"FreeRunning: after={after} is negative")
        self.choose = choose
        self.after = after

    def __call__(self, count: int, given: Any, output: Any) -> Any:
        return given if count < self.after or output is None else self.choose(output)


class ScheduledSampling:
    """For every sequence and step a coin: the given input with probability epsilon, or the model's.

    Bengio et al. 2015 (arXiv:1506.03099), section 2.4. No gradient flows through what was chosen.
    epsilon = 1 is teacher forcing, epsilon = 0 is free running. It is no consistent estimator of
    the likelihood (Huszar 2015): judge it by free-running quality.

    Args:
        epsilon: the probability of the given input; change it between batches with a schedule.
        choose: from the last output to the next input.
        seed: for the coins.
    """

    def __init__(self, epsilon: float, choose: Choose, seed: Seed = None) -> None:
        if not 0 <= epsilon <= 1:
            raise ConfigError(f"ScheduledSampling: epsilon is a probability, not {epsilon}")
        self.epsilon = epsilon
        self.choose = choose
        self.rng = generator(seed)

    def __call__(self, count: int, given: Any, output: Any) -> Any:
        if output is None:
            return given
        chosen = self.choose(output)
        chosen = chosen.detach() if isinstance(chosen, Tensor) else chosen
        array = given.data if isinstance(given, Tensor) else given
        if array.shape != chosen.shape:
            raise ShapeError(
                f"ScheduledSampling{place()}: choose gave an array of shape {chosen.shape} for a "
                f"given input of shape {array.shape}"
            )
        keep = self.rng.random(array.shape[:1]) < self.epsilon
        mask = namespace(array).asarray(keep.reshape((-1,) + (1,) * (array.ndim - 1)))
        return where(mask, given, chosen)


def linear_decay(step: int, start: float, slope: float, floor: float = 0.0) -> float:
    """epsilon_i = max(floor, start - slope i)."""
    return max(floor, start - slope * step)


def exponential_decay(step: int, base: float) -> float:
    """epsilon_i = base^i, with base < 1."""
    if not 0 < base < 1:
        raise ConfigError(f"exponential_decay: the base lies between 0 and 1, not {base}")
    return base**step


def inverse_sigmoid_decay(step: int, k: float) -> float:
    """epsilon_i = k / (k + exp(i / k)), with k >= 1."""
    if k < 1:
        raise ConfigError(f"inverse_sigmoid_decay: k is at least 1, not {k}")
    return k / (k + exp(min(step / k, 700.0)))


def argmax(logits: Any) -> Array:
    """The most probable token of each sequence: (N, K) -> (N,) integers."""
    return largest(logits, -1)


def sampler(seed: Seed = None, temperature: float = 1.0) -> Choose:
    """A function that draws a token for each sequence from softmax(logits / temperature).

    The numbers are drawn on the host, so that NumPy and CuPy choose the same tokens.
    """
    if temperature <= 0:
        raise ConfigError(
            f"sampler: the temperature is positive, not {temperature}; for 0 use argmax"
        )
    rng = generator(seed)

    def choose(logits: Any) -> Array:
        array = logits.data if isinstance(logits, Tensor) else logits
        scores = to_numpy(array).astype(np.float64) / temperature
        # the largest of log p + Gumbel noise is a draw from p
        scores += rng.gumbel(size=scores.shape)
        return namespace(array).asarray(scores.argmax(-1))

    return choose
