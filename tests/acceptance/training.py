"""Training for the tests here: a loop, and the accuracy of a model on a task."""

from collections.abc import Callable
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq import nn, optim
from tinyseq.data.tasks import TaskBatch


def train(
    model: nn.Module,
    loss: Callable[[int], Any],
    steps: int,
    lr: float,
    clip: float | None = 1.0,
    check_every: int = 50,
    solved: Callable[[], bool] | None = None,
) -> int:
    """Adam on ``loss(step)``, which makes a batch; gives the number of steps that were taken.

    Every ``check_every`` steps it is asked whether the task is ``solved``; then the training ends.
    """
    optimizer = optim.Adam(model.parameters(), lr=lr)
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss(step).backward()
        if clip is not None:
            optim.clip_grad_norm(model.parameters(), clip)
        optimizer.step()
        if solved is not None and step % check_every == 0 and solved():
            return step
    return steps


def mean_loss(model: nn.SequenceModel, batch: TaskBatch) -> Any:
    """The mean over what the mask counts, all steps at once."""
    total, _ = model.loss(batch.inputs, batch.targets, mask=batch.mask, literal=False)
    return total * (1 / int(batch.mask.sum()))


def accuracy(model: nn.SequenceModel, batch: TaskBatch) -> float:
    """The share of right classes among those that the mask counts."""
    with ts.no_grad():
        outputs, _ = model(batch.inputs)
    right = outputs.data.argmax(-1) == batch.targets
    return float(right[batch.mask].mean())


def held_out_loss(model: nn.SequenceModel, batch: TaskBatch) -> float:
    """``mean_loss`` as a number."""
    with ts.no_grad():
        return float(mean_loss(model, batch))


def generators(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """Independent streams for the model and for the data."""
    model, data = np.random.default_rng(seed).spawn(2)
    return model, data
