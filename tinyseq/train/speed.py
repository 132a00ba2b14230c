"""What compiling gains on the machine at hand, measured on the model that is to be trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from tinyseq.autograd.engine import backward
from tinyseq.nn import SequenceModel

ROUNDS = 3


@dataclass(frozen=True)
class Speed:
    """Seconds of one pass forward and backward: operation by operation, and as a compiled loop."""

    emitter: str
    literal: float
    compiled: float

    def __str__(self) -> str:
        return (
            f"compiled ({self.emitter}): {1e3 * self.compiled:.0f} ms for a pass forward and "
            f"backward, {self.literal / self.compiled:.1f} times as fast as operation by operation "
            "here"
        )


def measured(
    emitter: str, model: SequenceModel, fast: Any, inputs: np.ndarray, targets: np.ndarray
) -> Speed:
    """The Speed of a model and its compiled twin, in turn, without dropout.

    It leaves nothing behind: no gradients, no random numbers drawn.
    """
    modes = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    times: dict[str, list[float]] = {"literal": [], "compiled": []}
    passes: dict[str, Callable[[], None]] = {
        "literal": lambda: backward(model.loss(inputs, targets, literal=False)[0]),
        "compiled": lambda: backward(fast.loss(inputs, targets, literal=False)[0]),
    }
    try:
        for turn in range(1 + ROUNDS):
            for name, run in passes.items():
                start = perf_counter()
                run()
                if turn:  # not the first, in which the loop is compiled
                    times[name].append(perf_counter() - start)
    finally:
        model.zero_grad()
        for module, training in modes:
            module.training = training
    return Speed(emitter, **{name: median(seconds) for name, seconds in times.items()})
