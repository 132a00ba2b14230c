"""The adding task, and the cells that several tests train on it."""

from typing import Any

import numpy as np

from acceptance.training import generators, held_out_loss, mean_loss, train
from tinyseq import nn
from tinyseq.data import tasks

CONSTANT = 1 / 6  # mean squared error of the best constant answer to the adding task


def adding(seed: int, cell: Any, length: int, steps: int, lr: float) -> tuple[int, float]:
    """Steps until the error on 1,000 new sequences is below 0.01, and that error in the end.

    Variant "le": two marked values of U[0, 1], their sum; 64 units.
    """
    rng, data = generators(seed)
    model = nn.SequenceModel(cell(rng, length), nn.Linear(64, 1, seed=rng), nn.mse)
    test = tasks.adding(1000, length, np.random.default_rng(12345))
    taken = train(
        model,
        lambda step: mean_loss(model, tasks.adding(32, length, data)),
        steps,
        lr,
        check_every=100,
        solved=lambda: held_out_loss(model, test) < 0.01,
    )
    return taken, held_out_loss(model, test)


def lstm(forget_bias: Any) -> Any:
    return lambda rng, length: nn.LSTMCell(2, 64, forget_bias=forget_bias, longest=length, seed=rng)


def elman(rng: Any, length: int) -> nn.Cell:
    return nn.ElmanCell(2, 64, seed=rng)
