"""What a network knows of its past if only its output recurs (book, figures 10.4 and 10.6).

With teacher forcing the steps are independent of each other, and what the targets do not reveal is
lost: "strictly less powerful", as the book says, than a recurrence between hidden units.
"""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from acceptance.training import accuracy, generators, mean_loss, train
from tinyseq import nn, ops
from tinyseq.data import tasks

T, I, H, O = 6, 3, 5, 2  # noqa: E741


def jacobians(hidden_recurrence: bool, forced: bool) -> tuple[np.ndarray, np.ndarray]:
    """Whether o(t) depends on x(s), and on the y(s) that is fed back; two (T, T) tables."""
    rng = np.random.default_rng(0)
    cell = nn.OutputRecurrentCell(I, H, O, hidden_recurrence, seed=0).to(np.float64)
    x = ts.tensor(rng.normal(size=(T, 1, I)), requires_grad=True)
    y = ts.tensor(rng.normal(size=(T, 1, O)), requires_grad=True)
    outputs, _ = ts.unroll(cell, nn.Forced(x, y) if forced else x)
    tables = np.zeros((2, T, T), bool)
    for t in range(T):
        o = (outputs[t] * outputs[t]).sum()
        found = ts.grad(o, [x, y], allow_unused=True, retain_graph=True)
        for table, g in zip(tables, found, strict=True):
            if g is not None:
                table[t] = (g != 0).any(axis=(1, 2))
    return tables[0], tables[1]


def test_with_teacher_forcing_each_step_stands_alone():
    """dL(t)/dx(s) is exactly 0 but for s = t, and dL(t)/dy(s), as an input, but for s = t - 1."""
    by_x, by_y = jacobians(hidden_recurrence=False, forced=True)
    np.testing.assert_array_equal(by_x, np.eye(T, dtype=bool))
    np.testing.assert_array_equal(by_y, np.eye(T, k=-1, dtype=bool))


def test_hidden_recurrence_or_its_own_output_brings_the_past_back():
    everything = np.tri(T, dtype=bool)
    by_x, by_y = jacobians(hidden_recurrence=True, forced=True)
    np.testing.assert_array_equal(by_x, everything)
    np.testing.assert_array_equal(by_y, np.tri(T, k=-1, dtype=bool))
    by_x, by_y = jacobians(hidden_recurrence=False, forced=False)
    np.testing.assert_array_equal(by_x, everything)
    assert not by_y.any()


class ForcedModel(nn.SequenceModel):
    """A model whose cell is given the targets to feed back."""

    def loss(self, inputs: Any, targets: Any, *args: Any, **settings: Any) -> Any:
        return super().loss(nn.Forced(inputs, targets), targets, *args, **settings)


def one_hot_of_largest(o: Any) -> Any:
    """What the model takes for y(t) when it runs by itself."""
    array = o.data if isinstance(o, ts.Tensor) else o
    return np.eye(O, dtype=array.dtype)[array.argmax(-1)]


def answers(model: nn.SequenceModel, batch: tasks.TaskBatch, forced: bool) -> float:
    """Accuracy at the last step, where the bit is asked for."""
    inputs = nn.Forced(batch.inputs, batch.targets) if forced else batch.inputs
    with ts.no_grad():
        outputs, _ = model(inputs)
    return float((outputs.data[-1].argmax(-1) == batch.targets[-1]).mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_only_hidden_recurrence_keeps_a_bit_that_no_output_shows(seed: int):
    """Recall after 10 steps: at least 99% with hidden recurrence, chance with output recurrence.

    The targets are 0 until the last step, so what is fed back reveals nothing of the bit. 400 Adam
    steps for either; the network of figure 10.4 is run with the targets and with its own choices.
    """
    rng, data = generators(seed)
    test = tasks.latch(2000, 10, data)

    def learn(model: nn.SequenceModel) -> nn.SequenceModel:
        train(model, lambda step: mean_loss(model, tasks.latch(64, 10, data)), 400, lr=1e-2)
        return model

    hidden = learn(nn.SequenceModel(nn.ElmanCell(2, 16, seed=rng), nn.Linear(16, O, seed=rng)))
    assert accuracy(hidden, test) > 0.99
    assert answers(hidden, test, forced=False) >= 0.99
    cell = nn.OutputRecurrentCell(2, 16, O, feedback=one_hot_of_largest, seed=rng)
    output = learn(ForcedModel(cell))
    for forced in (True, False):
        assert abs(answers(output, test, forced) - 0.5) < 0.05
    # it has learned all that can be known: 0 before the question, a coin for the answer
    assert accuracy_before(output, test) > 0.99


def accuracy_before(model: nn.SequenceModel, batch: tasks.TaskBatch) -> float:
    with ts.no_grad():
        outputs, _ = model(nn.Forced(batch.inputs, batch.targets))
    return float((outputs.data[:-1].argmax(-1) == batch.targets[:-1]).mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_output_recurrence_is_enough_where_the_output_is_the_state(seed: int):
    """Running parity, y(t) = x(t) xor y(t-1): trained with y, run with its own outputs."""
    rng, data = generators(seed)
    cell = nn.OutputRecurrentCell(1, 16, O, feedback=one_hot_of_largest, seed=rng)
    model = ForcedModel(cell)
    train(model, lambda step: mean_loss(model, tasks.parity(64, 10, data)), 400, lr=1e-2)
    longer = tasks.parity(500, 100, data)
    assert accuracy(model, longer) >= 0.99


def test_a_softmax_may_be_what_is_fed_back():
    cell = nn.OutputRecurrentCell(I, H, O, feedback=ops.softmax, seed=0)
    _, state = ts.unroll(cell, np.zeros((3, 2, I), "f4"))
    np.testing.assert_allclose(state.o.data.sum(-1), 1, rtol=1e-6)
