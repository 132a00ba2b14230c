"""How good a model is: the mean loss of a prediction, over batches that it does not learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.autograd.primitive import no_grad
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, namespace
from tinyseq.data.tasks.batch import TaskBatch
from tinyseq.errors import ConfigError, DataError
from tinyseq.nn.module import Module
from tinyseq.train.batches import Batches

# (model, batch, carried state) -> (sum of the losses, number of predictions, state to carry on).
# The state is None at the start of an epoch.
LossOf = Callable[[Any, Any, Any], tuple[Tensor, int, Any]]


def text_loss(model: Any, batch: Any, state: Any) -> tuple[Tensor, int, Any]:
    """Of a language model on (inputs, targets), each (T, N); the state is carried on."""
    inputs, targets = _moved(model, *batch)
    loss, state = model.loss(inputs, targets, state, literal=False)
    return loss, targets.size, state


def task_loss(model: Any, batch: TaskBatch, state: Any) -> tuple[Tensor, int, Any]:
    """Of a sequence model on a generated task, where its mask is; nothing is carried on."""
    mask = batch.mask.reshape(batch.mask.shape + (1,) * (batch.targets.ndim - batch.mask.ndim))
    inputs, targets = _moved(model, batch.inputs, np.where(mask, batch.targets, 0))
    loss, _ = model.loss(inputs, targets, mask=_moved(model, batch.mask)[0], literal=False)
    return loss, int(batch.mask.sum()), None


def _moved(model: Module, *arrays: np.ndarray) -> list[Array]:
    """Arrays from the host in the array library of the model."""
    xp = namespace(model.parameters()[0].data)
    return [xp.asarray(array) for array in arrays]


def evaluate(model: Module, batches: Batches, loss_of: LossOf = text_loss) -> float:
    """The mean loss of a prediction over one epoch, in evaluation mode and without a graph.

    The state is carried from batch to batch. The batches are put back to where they were, so that
    every evaluation sees the same ones.

    Raises:
        ConfigError: the batches are in the middle of an epoch.
        DataError: there is nothing to predict.
    """
    if batches.position:
        raise ConfigError(
            f"evaluate: these batches are at position {batches.position} of an epoch. Give batches "
            "of their own, which nothing else iterates over."
        )
    start = batches.state_dict()
    modes = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    total, predictions, state = 0.0, 0, None
    try:
        with no_grad():
            for batch in batches:
                loss, count, state = loss_of(model, batch, state)
                total += float(loss)
                predictions += count
    finally:
        batches.load_state_dict(start)
        for module, training in modes:
            module.training = training
    if not predictions:
        raise DataError("evaluate: there is nothing to predict")
    return total / predictions
