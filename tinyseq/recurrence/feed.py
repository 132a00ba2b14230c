"""Feeds: what a step is given to read, as a function of the given input and of the last output.

    unroll(cell, xs)                                       # teacher forcing: the given input
    unroll(cell, xs, feed=FreeRunning(choose))             # only x(1) is given, then choose(o(t-1))
    unroll(cell, xs, feed=ScheduledSampling(0.7, choose))  # a coin for every token

``choose`` turns an output into an input: ``argmax``, ``sampler(rng)``, the identity for real
values, or anything else. The given inputs of a model that reads its own outputs are the targets
moved one step back: x(t) = y(t-1).

These feeds are compiled with a compiled cell, as far as ``choose`` can be: what chance decides is
drawn beforehand. A feed of your own, a function of (count, given, output), may do anything; a
compiled cell then takes its steps one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any, Protocol

import numpy as np

from tinyseq import structure
from tinyseq.autograd.primitive import place
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, namespace
from tinyseq.errors import ConfigError, ShapeError
from tinyseq.ops import astype, where
from tinyseq.ops.elementwise import raw, still
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


class OutputFeed:
    """A feed that reads the given inputs of the first ``after`` steps, and then the last output.

    Two functions say what it reads then. ``draw`` does all that is left to chance, without a look
    at what has been computed; ``mix`` does the rest, with operations alone. So the draws of many
    steps can be made before the first of them.
    """

    after = 1
    beforehand: tuple[str, ...] = ("after",)  # the attributes that ``mix`` does not read

    def __call__(self, count: int, given: Any, output: Any) -> Any:
        if count < self.after or output is None:
            return given
        return self.mix(given, output, self.draw(output))

    def draw(self, output: Any) -> Any:
        """What chance decides for one step, of an output like this: arrays, or None."""
        return None

    def mix(self, given: Any, output: Any, drawn: Any) -> Any:
        """The input of the next step."""
        raise ConfigError(f"{type(self).__name__} has no mix(self, given, output, drawn)")


class FreeRunning(OutputFeed):
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

    def draw(self, output: Any) -> Any:
        """What the choice needs."""
        return draws_of(self.choose, output)

    def mix(self, given: Any, output: Any, drawn: Any) -> Any:
        """What is chosen."""
        return chosen(self.choose, output, drawn)


class ScheduledSampling(OutputFeed):
    """For every sequence and step a coin: the given input with probability epsilon, or the model's.

    Bengio et al. 2015 (arXiv:1506.03099), section 2.4. No gradient flows through what was chosen.
    epsilon = 1 is teacher forcing, epsilon = 0 is free running. It is no consistent estimator of
    the likelihood (Huszar 2015): judge it by free-running quality.

    Args:
        epsilon: the probability of the given input; change it between batches with a schedule.
        choose: from the last output to the next input.
        seed: for the coins.
    """

    beforehand = ("after", "epsilon", "rng")

    def __init__(self, epsilon: float, choose: Choose, seed: Seed = None) -> None:
        if not 0 <= epsilon <= 1:
            raise ConfigError(f"ScheduledSampling: epsilon is a probability, not {epsilon}")
        self.epsilon = epsilon
        self.choose = choose
        self.rng = generator(seed)

    def draw(self, output: Any) -> Any:
        """What the choice needs, and whether it is overruled by what is given: (N,) booleans."""
        first = structure.leaves(output)[0]
        needed = draws_of(self.choose, output)
        coins = self.rng.random(first.shape[:1]) < self.epsilon
        return needed, namespace(raw(first)).asarray(coins)

    def mix(self, given: Any, output: Any, drawn: Any) -> Any:
        """What is given, or what is chosen."""
        needed, keep = drawn
        value = chosen(self.choose, output, needed)
        value = value.detach() if isinstance(value, Tensor) else value
        if given.shape != value.shape:
            raise ShapeError(
                f"ScheduledSampling{place()}: choose gave an array of shape {value.shape} for a "
                f"given input of shape {given.shape}"
            )
        return where(keep.reshape(keep.shape + (1,) * (len(given.shape) - 1)), given, value)


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


class Sampler:
    """Draws a token for each sequence from softmax(logits / temperature); see ``sampler``."""

    def __init__(self, rng: np.random.Generator, temperature: float) -> None:
        self.rng = rng
        self.temperature = temperature

    def __call__(self, logits: Any) -> Array:
        return self.pick(logits, self.draw(logits))

    def draw(self, logits: Any) -> Array:
        """Gumbel noise: the largest of log p + noise is a draw from p."""
        return namespace(raw(logits)).asarray(self.rng.gumbel(size=logits.shape))

    def pick(self, logits: Any, noise: Any) -> Any:
        """The tokens, in double precision."""
        scores = astype(still(logits), np.float64) / self.temperature
        return largest(scores + noise, -1)


def sampler(seed: Seed = None, temperature: float = 1.0) -> Choose:
    """A function that draws a token for each sequence from softmax(logits / temperature).

    The numbers are drawn on the host, so that NumPy and CuPy choose the same tokens.
    """
    if temperature <= 0:
        raise ConfigError(
            f"sampler: the temperature is positive, not {temperature}; for 0 use argmax"
        )
    return Sampler(generator(seed), temperature)


def draws_of(choose: Choose, output: Any) -> Any:
    """What chance decides in one choice, beforehand; None if the choice is a function."""
    return choose.draw(output) if isinstance(choose, Sampler) else None


def chosen(choose: Choose, output: Any, drawn: Any) -> Any:
    """The choice, with what has been drawn for it."""
    return choose.pick(output, drawn) if isinstance(choose, Sampler) else choose(output)
