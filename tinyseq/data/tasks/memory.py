"""The long time lag benchmarks: remember a few things over many steps.

Every function is ``task(batch, length, rng, ...) -> TaskBatch`` and draws all its random numbers
from ``rng``, a numpy.random.Generator. The published versions of a task differ in ranges, lengths
and targets, hence in their baselines: quote the variant, which is in the batch's ``name``, with
every number.

Raises, all of them: ConfigError for a batch below 1, a length without room for the markers or an
unknown variant (known ones are listed), DTypeError for an ``rng`` of another kind.

Sources: Hochreiter and Schmidhuber (1997), "Long short-term memory", section 5; Martens and
Sutskever (2011), "Learning recurrent neural networks with Hessian-free optimization", and Pascanu,
Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks", with its
published generators; Arjovsky, Shah and Bengio (2016), "Unitary evolution recurrent neural
networks"; Le, Jaitly and Hinton (2015), "A simple way to initialize recurrent networks".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyseq.data.checks import whole_number
from tinyseq.data.tasks.batch import (
    TaskBatch,
    check,
    choose,
    class_at_the_end,
    classification,
    one_hot,
    regression_at_the_end,
)


def adding(
    batch: int,
    length: int,
    rng: np.random.Generator,
    variant: str = "le",
    dtype: Any = np.float32,
) -> TaskBatch:
    """Add the two values that are marked. Inputs (T, N, 2): a value and a marker at each step.

    - "hochreiter": values U[-1, 1]; T drawn from ``length`` to ``length`` + a tenth; one marker in
      the first ten steps, one more in the first ``length`` / 2 - 1; the markers of the first and
      the last step are -1, and a first step that is drawn counts as 0; target
      0.5 + (x1 + x2) / 4.
    - "martens" (also Pascanu's): values U[0, 1]; T from ``length`` to below ``length`` + a tenth;
      one marker in the first tenth, one from there to the half; target (x1 + x2) / 2.
    - "le" (also Arjovsky's): values U[0, 1]; T = ``length``; one marker in each half; target
      x1 + x2.

    T is drawn once for the whole batch. The loss is at the last step. Baseline: the mean squared
    error of the best constant, the target's variance: 1/24 (a little less for "hochreiter", by
    the first steps that are drawn), 1/24 and 1/6.
    """
    inputs, counted, first_drawn = _marked_values("adding", batch, length, rng, variant, dtype)
    total = (inputs[..., 0] * counted).sum(axis=0)
    values, baseline = {
        "hochreiter": (0.5 + total / 4, (2 - first_drawn) / 48),
        "martens": (total / 2, 1 / 24),
        "le": (total, 1 / 6),
    }[variant]
    return regression_at_the_end(f"adding/{variant}", inputs, values, baseline)


def multiplication(
    batch: int,
    length: int,
    rng: np.random.Generator,
    variant: str = "martens",
    dtype: Any = np.float32,
) -> TaskBatch:
    """Multiply the two values that are marked; inputs, lengths and markers as in :func:`adding`.

    Values are U[0, 1] in all variants ("hochreiter", "martens", "le"), the target is x1 x2, and in
    "hochreiter" a first step that is drawn counts as 1. Baseline: the target's variance, 7/144
    (a mixture with the variance of one value for "hochreiter").
    """
    inputs, counted, first_drawn = _marked_values(
        "multiplication", batch, length, rng, variant, dtype, lowest=0
    )
    product = np.where(counted, inputs[..., 0], 1).prod(axis=0)
    mean = (1 - first_drawn) / 4 + first_drawn / 2
    mean_square = (1 - first_drawn) / 9 + first_drawn / 3
    return regression_at_the_end(
        f"multiplication/{variant}", inputs, product, mean_square - mean**2
    )


def _marked_values(
    task: str,
    batch: int,
    length: int,
    rng: np.random.Generator,
    variant: str,
    dtype: Any,
    lowest: float = -1,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Inputs (T, N, 2), which values count (T, N), and the probability that the first is drawn."""
    shortest = choose(f"{task} variant", variant, {"hochreiter": 22, "martens": 10, "le": 2})
    batch, length = check(task, batch, length, rng, dtype, shortest, "the markers need room")
    first_drawn = 0.0
    if variant == "hochreiter":
        steps = length + int(rng.integers(length // 10 + 1))
        half = length // 2 - 1
        one = rng.integers(10, size=batch)
        two = rng.integers(half - 1, size=batch)
        two += two >= one  # one of the steps that are still unmarked
        first_drawn = 1 / 10 + 9 / 10 / (half - 1)
    elif variant == "martens":
        steps = length + int(rng.integers(max(length // 10, 1)))
        one = rng.integers(steps // 10, size=batch)
        two = rng.integers(4 * steps // 10, size=batch) + steps // 10
    else:
        steps = length
        one = rng.integers(length // 2, size=batch)
        two = rng.integers(length // 2, length, size=batch)
    inputs = np.zeros((steps, batch, 2), dtype)
    inputs[..., 0] = rng.uniform(lowest if variant == "hochreiter" else 0, 1, (steps, batch))
    inputs[one, np.arange(batch), 1] = 1
    inputs[two, np.arange(batch), 1] = 1
    if variant == "hochreiter":
        inputs[[0, -1], :, 1] = -1
    return inputs, inputs[..., 1] == 1, first_drawn


def temporal_order(
    batch: int,
    length: int,
    rng: np.random.Generator,
    variant: str = "pascanu",
    bits: int = 2,
    dtype: Any = np.float32,
) -> TaskBatch:
    """Tell in which order two (or three) special symbols, A or B, came among distractors.

    - "pascanu": 6 symbols, T = ``length``. In tenths of T, the special ones are in [1, 2) and
      [5, 6); with ``bits=3`` in [1, 2), [3, 4) and [6, 7).
    - "hochreiter": 8 symbols, the last two being the first and the last of every sequence; T drawn
      from ``length`` to ``length`` + a tenth, once for the batch. For length 100 the special ones
      are in 10..20 and 50..60; with ``bits=3`` in 10..20, 33..43 and 66..76.

    Positions are counted from 0. Inputs are one-hot: A, B, four distractors (and two ends). The
    class, at the last step, is the sum of 2^k over the special symbols k = 0, 1, (2) that are B.
    Baseline: guessing, ln 4 with accuracy 1/4, or ln 8 with 1/8.
    """
    windows = choose(
        "temporal_order variant",
        variant,
        {
            "pascanu": {2: (10, 50), 3: (10, 30, 60)},
            "hochreiter": {2: (10, 50), 3: (10, 33, 66)},
        },
    )
    starts = choose("temporal_order number of bits", bits, windows)
    batch, length = check(
        "temporal_order", batch, length, rng, dtype, 10, "the special symbols need room"
    )
    ends = variant == "hochreiter"
    steps = length + (int(rng.integers(length // 10 + 1)) if ends else 0)
    ids = rng.integers(2, 6, size=(steps, batch))
    special = rng.integers(2, size=(bits, batch))
    for start, symbol in zip(starts, special, strict=True):
        positions = start * length // 100 + rng.integers(length // 10 + ends, size=batch)
        ids[positions, np.arange(batch)] = symbol
    if ends:
        ids[0], ids[-1] = 6, 7
    classes = 2**bits
    order = (special * 2 ** np.arange(bits)[:, None]).sum(axis=0)
    return classification(
        f"temporal_order/{variant}/{bits} bits",
        one_hot(ids, 8 if ends else 6, dtype),
        class_at_the_end(steps, order),
        classes,
        baseline=math.log(classes),
        chance=1 / classes,
    )


def copy_memory(
    batch: int,
    length: int,
    rng: np.random.Generator,
    variant: str = "arjovsky",
    dtype: Any = np.float32,
) -> TaskBatch:
    """Read some symbols, wait ``length`` steps, then give them back in order.

    - "arjovsky": 10 of 8 symbols; the delimiter is at step ``length`` + 9, before the answer.
    - "pascanu": 10 of 5 symbols; the delimiter is at step ``length`` + 10, with the first answer.
      It is the noiseless "20-bit" memorisation.
    - "pascanu-5bit": the same with 5 of 2 symbols.

    With S of K symbols, T = ``length`` + 2 S. Inputs (T, N, K + 2) are one-hot: the symbols, blank,
    delimiter. The target is blank (class K) until the last S steps; the loss is at every step.
    Baseline: the memoryless predictor that says blank in time and then guesses, S ln K / T (that
    is, 10 ln 8 / (length + 20)), with accuracy (length + S + S / K) / T.
    """
    symbols, count, delimiter = choose(
        "copy_memory variant",
        variant,
        {"arjovsky": (8, 10, 9), "pascanu": (5, 10, 10), "pascanu-5bit": (2, 5, 5)},
    )
    batch, length = check("copy_memory", batch, length, rng, dtype, 1, "the delimiter needs room")
    steps = length + 2 * count
    message = rng.integers(symbols, size=(count, batch))
    ids = np.full((steps, batch), symbols)
    ids[:count] = message
    ids[length + delimiter] = symbols + 1
    targets = np.full((steps, batch), symbols)
    targets[-count:] = message
    return classification(
        f"copy_memory/{variant}",
        one_hot(ids, symbols + 2, dtype),
        targets,
        symbols + 1,
        baseline=count * math.log(symbols) / steps,
        chance=(length + count + count / symbols) / steps,
    )


def permutation(
    batch: int,
    length: int,
    rng: np.random.Generator,
    symbols: int = 100,
    dtype: Any = np.float32,
) -> TaskBatch:
    """Recall the first symbol, which is 0 or 1, after a random sequence of the others.

    Inputs (T, N, ``symbols``) are one-hot, T = ``length``; the loss is at the last step, over all
    ``symbols`` classes. Pascanu's generator. Baseline: guessing between the two, ln 2 with
    accuracy 1/2.
    """
    batch, length = check(
        "permutation", batch, length, rng, dtype, 2, "the symbol is recalled later"
    )
    symbols = whole_number("symbols", symbols, 3)
    ids = rng.integers(2, symbols, size=(length, batch))
    ids[0] = rng.integers(2, size=batch)
    return classification(
        "permutation",
        one_hot(ids, symbols, dtype),
        class_at_the_end(length, ids[0]),
        symbols,
        baseline=math.log(2),
        chance=1 / 2,
    )
