"""What a task hands out, and the pieces that the generators share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from tinyseq.data.checks import generator, whole_number
from tinyseq.errors import ConfigError, DTypeError

IGNORE = -100  # the class that cross entropy leaves out, as in PyTorch

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class TaskBatch:
    """One batch of a task, time first.

    - ``inputs`` (T, N, I), float.
    - ``targets``: (T, N) int64 classes, or (T, N, 1) floats for a regression.
    - ``mask`` (T, N): True where the loss is. Elsewhere a class is -100 (``IGNORE``) and a
      regression target is NaN, so that a loss that forgets the mask does not go unnoticed.
    - ``kind`` is "classification" (cross entropy in nats) or "regression" (squared error).
    - ``classes``: number of classes, 1 for a regression: the width of the output layer.
    - ``baseline``: expected loss, a mean over the mask, of a predictor that has not solved the
      task (the function that made the batch says which), and ``chance`` its accuracy.
    - ``best``: the lowest expected loss that any predictor can reach.
    """

    name: str
    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray
    kind: Literal["classification", "regression"]
    classes: int
    baseline: float
    chance: float | None = None
    best: float = 0.0

    def __repr__(self) -> str:
        return (
            f"TaskBatch({self.name}, inputs {self.inputs.shape}, targets {self.targets.shape}, "
            f"{self.kind}, baseline {self.baseline:.4g})"
        )


def classification(
    name: str,
    inputs: np.ndarray,
    targets: np.ndarray,
    classes: int,
    baseline: float,
    chance: float,
    best: float = 0.0,
) -> TaskBatch:
    """A batch with targets (T, N), the loss being where they are not IGNORE."""
    mask = targets != IGNORE
    return TaskBatch(name, inputs, targets, mask, "classification", classes, baseline, chance, best)


def regression_at_the_end(
    name: str, inputs: np.ndarray, values: np.ndarray, baseline: float
) -> TaskBatch:
    """A batch with one real target (N,) for each sequence, at its last step."""
    targets = np.full((*inputs.shape[:2], 1), np.nan, inputs.dtype)
    targets[-1, :, 0] = values
    return TaskBatch(name, inputs, targets, ~np.isnan(targets[..., 0]), "regression", 1, baseline)


def class_at_the_end(steps: int, values: np.ndarray) -> np.ndarray:
    """Targets (T, N) with the class (N,) at the last step and IGNORE before it."""
    targets = np.full((steps, len(values)), IGNORE)
    targets[-1] = values
    return targets


def one_hot(ids: np.ndarray, symbols: int, dtype: Any) -> np.ndarray:
    """Ids (T, N) as inputs (T, N, symbols) that are 1 at the id and 0 elsewhere."""
    return np.eye(symbols, dtype=dtype)[ids]


def choose(what: str, name: Any, known: Mapping[Any, _Value]) -> _Value:
    """The entry of that name; ConfigError listing the known ones if there is none."""
    if name not in known:
        raise ConfigError(f"unknown {what} {name!r}; known are {', '.join(map(str, known))}.")
    return known[name]


def check(
    task: str, batch: int, length: int, rng: Any, dtype: Any, shortest: int, why: str
) -> tuple[int, int]:
    """The batch and the length, once all that every task is given has been checked."""
    generator(rng)
    if np.dtype(dtype).kind != "f":
        raise DTypeError(f"the inputs of {task} are floats; dtype cannot be {np.dtype(dtype)}.")
    batch, length = whole_number("batch", batch, 1), whole_number("length", length, 0)
    if length < shortest:
        raise ConfigError(f"{task} needs a length of at least {shortest}, not {length}: {why}.")
    return batch, length
