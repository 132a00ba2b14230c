"""Tasks that ask for an answer at every step: small automata, echoes and channels.

Every function is ``task(batch, length, rng, ...) -> TaskBatch`` and draws all its random numbers
from ``rng``, a numpy.random.Generator. Raises, all of them: ConfigError for an argument outside its
range or an unknown variant, DTypeError for an ``rng`` of another kind.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyseq.data.checks import whole_number
from tinyseq.data.tasks.batch import (
    IGNORE,
    TaskBatch,
    check,
    choose,
    class_at_the_end,
    classification,
    one_hot,
)
from tinyseq.errors import ConfigError


def binary_addition(
    batch: int,
    length: int,
    rng: np.random.Generator,
    delay: int = 2,
    dtype: Any = np.float32,
) -> TaskBatch:
    """Add two numbers of ``length`` bits, given bit by bit, the lowest first.

    T = ``length`` + 1 + ``delay``. Inputs (T, N, 2) are the two bits of the step, 0 after the
    last; the target at step ``delay`` + k is bit k of the sum, which has ``length`` + 1 bits; there
    is no loss before. Baseline: a coin, ln 2 with accuracy 1/2. A net without memory does hardly
    better: without delay it is right about bit k with probability 1/2 + 2^-(k+1), for the carry
    is 1 with probability (1 - 2^-k) / 2; with a delay it does not see the bits at all.

    Source: Hinton, "Neural networks for machine learning", lecture 7 (three hidden units, an
    answer two steps late).
    """
    batch, length = check("binary_addition", batch, length, rng, dtype, 1, "there is a bit to add")
    delay = whole_number("delay", delay, 0)
    bits = rng.integers(2, size=(length, batch, 2))
    inputs = np.zeros((length + 1 + delay, batch, 2), dtype)
    inputs[:length] = bits
    targets = np.full(inputs.shape[:2], IGNORE)
    carry = np.zeros(batch, dtype=np.int64)
    for k, pair in enumerate(bits.sum(axis=2), start=delay):
        carry, targets[k] = np.divmod(pair + carry, 2)
    targets[-1] = carry
    return classification("binary_addition", inputs, targets, 2, baseline=math.log(2), chance=1 / 2)


def parity(
    batch: int,
    length: int,
    rng: np.random.Generator,
    variant: str = "running",
    dtype: Any = np.float32,
) -> TaskBatch:
    """Is the number of ones so far odd? Inputs (T, N, 1) are random bits, T = ``length``.

    - "running": the target is the parity at every step, y(t) = x(t) xor y(t-1). A network whose
      only recurrence is its output has all the memory that it needs.
    - "final": the target is the parity at the last step.

    Baseline: guessing, ln 2 with accuracy 1/2.
    """
    final = choose("parity variant", variant, {"running": False, "final": True})
    batch, length = check("parity", batch, length, rng, dtype, 1, "there is a bit to count")
    bits = rng.integers(2, size=(length, batch))
    odd = bits.cumsum(axis=0) % 2
    return classification(
        f"parity/{variant}",
        bits[..., None].astype(dtype),
        class_at_the_end(length, odd[-1]) if final else odd,
        2,
        baseline=math.log(2),
        chance=1 / 2,
    )


def latch(
    batch: int,
    length: int,
    rng: np.random.Generator,
    variant: str = "silent",
    dtype: Any = np.float32,
) -> TaskBatch:
    """Keep one bit, seen at the first step, until it is asked for at the last.

    Inputs (T, N, 2), T = ``length``: the first channel is +1 or -1 at the first step; the second
    is 1 at the last step, which asks, and 0 elsewhere. The target is 0 until the last step, where
    it is 1 for +1 and 0 for -1: no target before the last tells anything about the bit, so a
    network whose only recurrence is its output, trained on the targets, cannot keep it.

    - "silent": the first channel is 0 after the first step.
    - "noise": it is N(0, 0.2^2) there, a standard deviation of 0.2.

    Baseline: right about the zeros, guessing at the last step: ln 2 / T, accuracy 1 - 1 / (2 T).
    """
    noise = choose("latch variant", variant, {"silent": 0.0, "noise": 0.2})
    batch, length = check("latch", batch, length, rng, dtype, 2, "the bit is asked for later")
    bit = rng.integers(2, size=batch)
    inputs = np.zeros((length, batch, 2), dtype)
    inputs[1:, :, 0] = noise * rng.standard_normal((length - 1, batch))
    inputs[0, :, 0] = 2 * bit - 1
    inputs[-1, :, 1] = 1
    targets = np.zeros((length, batch), dtype=np.int64)
    targets[-1] = bit
    return classification(
        f"latch/{variant}",
        inputs,
        targets,
        2,
        baseline=math.log(2) / length,
        chance=1 - 1 / (2 * length),
    )


def channel(
    batch: int,
    length: int,
    rng: np.random.Generator,
    symbols: int = 2,
    dtype: Any = np.float32,
) -> TaskBatch:
    """A channel that adds to all symbols of a sequence one offset, drawn once and never shown.

    y(t) = (x(t) + offset) mod K, with K = ``symbols``. Inputs (T, N, K) are one-hot, T =
    ``length``. Given x, the outputs depend on each other: a model of p(y(t) | x) pays ln K at
    every step (the baseline, accuracy 1/K), one of p(y(t) | x, y(1), ..., y(t-1)) only at the
    first, ln K / T on average (``best``).
    """
    symbols = whole_number("symbols", symbols, 2)
    batch, length = check("channel", batch, length, rng, dtype, 1, "there is a symbol to send")
    ids = rng.integers(symbols, size=(length, batch))
    return classification(
        "channel",
        one_hot(ids, symbols, dtype),
        (ids + rng.integers(symbols, size=batch)) % symbols,
        symbols,
        baseline=math.log(symbols),
        chance=1 / symbols,
        best=math.log(symbols) / length,
    )


def echo(
    batch: int,
    length: int,
    rng: np.random.Generator,
    delay: int = 3,
    symbols: int = 4,
    dtype: Any = np.float32,
) -> TaskBatch:
    """Repeat the symbol of ``delay`` steps ago. Inputs (T, N, ``symbols``) are one-hot.

    T = ``length``; there is no loss in the first ``delay`` steps. Cut a long one into chunks to see
    what truncated back-propagation can learn. Baseline: guessing, ln K with accuracy 1/K.
    """
    delay, symbols = whole_number("delay", delay, 0), whole_number("symbols", symbols, 2)
    batch, length = check(
        "echo", batch, length, rng, dtype, delay + 1, f"the first echo comes after {delay} steps"
    )
    ids = rng.integers(symbols, size=(length, batch))
    targets = np.full((length, batch), IGNORE)
    targets[delay:] = ids[: length - delay]
    return classification(
        "echo",
        one_hot(ids, symbols, dtype),
        targets,
        symbols,
        baseline=math.log(symbols),
        chance=1 / symbols,
    )


def cyclic_grammar(
    batch: int,
    length: int,
    rng: np.random.Generator,
    symbols: int = 5,
    noise: float = 0.1,
    dtype: Any = np.float32,
) -> TaskBatch:
    """Predict the next symbol of a cycle 0, 1, ..., K - 1, 0, ... seen through noise.

    A phase, random at first, moves on by one at each step. The symbol shown is the phase, or, with
    probability ``noise``, another symbol at random. Inputs (T, N, K) are one-hot, T = ``length``;
    the target is the symbol of the next step.

    With q = noise / (K - 1), the next symbol minus the shown one, minus 1, is 0 with probability
    (1 - noise)^2 + (K - 1) q^2 and any other value with 2 (1 - noise) q + (K - 2) q^2. Baseline:
    knowing the shown symbol alone, the entropy of that, and its largest probability. ``best``:
    knowing the phase, -(1 - noise) ln(1 - noise) - noise ln q.
    """
    symbols = whole_number("symbols", symbols, 2)
    if not 0 <= noise < 1:
        raise ConfigError(f"noise is a probability below 1, not {noise!r}.")
    batch, length = check("cyclic_grammar", batch, length, rng, dtype, 1, "a symbol is shown")
    phase = rng.integers(symbols, size=batch) + np.arange(length + 1)[:, None]
    wrong = rng.random((length + 1, batch)) < noise
    ids = (phase + wrong * rng.integers(1, symbols, size=(length + 1, batch))) % symbols
    q = noise / (symbols - 1)
    right = (1 - noise) ** 2 + (symbols - 1) * q**2
    other = 2 * (1 - noise) * q + (symbols - 2) * q**2
    return classification(
        "cyclic_grammar",
        one_hot(ids[:-1], symbols, dtype),
        ids[1:],
        symbols,
        baseline=_entropy(right, *[other] * (symbols - 1)),
        chance=max(right, other),
        best=_entropy(1 - noise, *[q] * (symbols - 1)),
    )


def _entropy(*probabilities: float) -> float:
    return -sum(p * math.log(p) for p in probabilities if p > 0)
