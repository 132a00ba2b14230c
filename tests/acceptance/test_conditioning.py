"""Outputs that depend on each other given the inputs (book, figure 10.10 and eq. 10.35)."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from acceptance.training import generators, train
from tinyseq import nn
from tinyseq.data import tasks

STEPS = 8


def loss_of_a_sequence(seed: int, feedback: bool) -> float:
    """Nats for each sequence of 8 symbols, on 5,000 new ones, after 800 Adam steps."""
    rng, data = generators(seed)
    if feedback:
        cell: Any = nn.OutputRecurrentCell(2, 32, 2, hidden_recurrence=True, seed=rng)
        model = nn.SequenceModel(cell)
    else:
        model = nn.SequenceModel(nn.ElmanCell(2, 32, seed=rng), nn.Linear(32, 2, seed=rng))

    def loss(batch: tasks.TaskBatch) -> Any:
        inputs = nn.Forced(batch.inputs, batch.targets) if feedback else batch.inputs
        total, _ = model.loss(inputs, batch.targets, literal=False)
        return total * (1 / batch.targets.shape[1])

    train(model, lambda step: loss(tasks.channel(64, STEPS, data)) * (1 / STEPS), 800, lr=5e-3)
    with ts.no_grad():
        return loss(tasks.channel(5000, STEPS, data)).item()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_feeding_the_outputs_back_models_what_they_share(seed: int):
    """y(t) = x(t) xor offset, with one hidden offset for each sequence.

    p(y | x) = prod p(y(t) | x) pays log 2 at every step; prod p(y(t) | x, y(1) ... y(t-1)) pays it
    once, for the offset. The gap is (8 - 1) log 2 nats, within 5%.
    """
    with_edges, without = (loss_of_a_sequence(seed, feedback) for feedback in (True, False))
    assert without - with_edges == pytest.approx((STEPS - 1) * np.log(2), rel=0.05)
    assert without == pytest.approx(STEPS * np.log(2), rel=0.01)
    assert with_edges == pytest.approx(np.log(2), abs=0.1)
