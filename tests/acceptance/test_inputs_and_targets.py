"""The ways to specify inputs and targets of a recurrent network (Hinton, lecture 7).

Inputs: the initial states of all units or of some, or the states of the same units at every step.
Targets: the final states of all units, their states in the last few steps, or the states of some
units at every step.
"""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from acceptance.training import generators, train
from tinyseq import nn

# -- targets at the end, or in the last few steps -------------------------------------------------

STEPS, UNITS, COPIES = 15, 48, 8


def drift(seed: int, last: int) -> float:
    """How far the states move in 50 free steps after the ones that were trained.

    Two noisy initial states are to become two patterns, the targets of all units in the last
    ``last`` of 15 steps, without any other input; 800 Adam steps.
    """
    rng, data = generators(seed)
    model = nn.SequenceModel(nn.ElmanCell(0, UNITS, seed=rng), loss=nn.mse)
    start = np.repeat(data.choice([-0.7, 0.7], (2, UNITS)), COPIES, axis=0)
    pattern = np.repeat(data.choice([-0.7, 0.7], (2, UNITS)), COPIES, axis=0)
    targets = np.broadcast_to(pattern, (STEPS, *pattern.shape)).astype("f4")
    counted = np.arange(STEPS) >= STEPS - last

    def noisy() -> np.ndarray:
        return (start + 0.2 * data.normal(size=start.shape)).astype("f4")

    def loss(step: int) -> ts.Tensor:
        total, _ = model.loss(None, targets, noisy(), mask=counted, literal=False)
        return total * (1 / (last * pattern.size))

    train(model, loss, 800, lr=5e-3)
    with ts.no_grad():
        states, _ = ts.unroll(model.cell, None, noisy(), length=STEPS + 50)
    assert abs(states.data[STEPS - 1] - pattern).max() < 0.1  # the targets were learned
    return float(abs(states.data[STEPS + 49] - states.data[STEPS - 1]).max())


def test_targets_in_the_last_few_steps_train_an_attractor():
    """Where the last 5 steps were specified, the states stay: no unit moves by 0.05, in 3 of 3.

    Where the final step alone was, networks tend to pass through their target: on average they move
    five times as far at least.
    """
    few, one = ([drift(seed, last) for seed in (0, 1, 2)] for last in (5, 1))
    assert max(few) < 0.05
    assert np.mean(one) > 5 * np.mean(few)


def test_specifying_units_adds_error_derivatives_there_alone():
    """dL/dh(t) of a unit without a target has no part of its own, only what later steps send."""
    mask = np.random.default_rng(0).random((4, 1, 6)) < 0.4
    cell = nn.ElmanCell(0, 6, seed=0).to(np.float64)
    cell.weight_hh.assign(np.zeros((6, 6)))  # nothing is sent back through time
    state = ts.tensor(np.full((1, 6), 0.1), requires_grad=True)
    seen: dict[int, np.ndarray] = {}

    def watch(node: Any, g: Any) -> None:
        if node.label == "o":  # h(t), which is the output here
            scope = node.scope
            while scope.index is None:
                scope = scope.parent
            seen[scope.index] = g

    model = nn.SequenceModel(cell, loss=nn.mse)
    loss, _ = model.loss(None, np.ones((4, 1, 6)), state, mask=mask)
    loss.backward(observe=watch)
    for t in range(4):
        np.testing.assert_array_equal(seen[t + 1] != 0, mask[t])


# -- inputs by initial states ---------------------------------------------------------------------

N, T, K = 8, 10, 8


def patterns(seed: int) -> np.ndarray:
    """Eight sequences of ten symbols, which differ from the first one on."""
    ids = np.random.default_rng(seed).integers(K, size=(T, N))
    ids[0] = np.arange(N)
    return ids


def recall(seed: int, learned: bool) -> tuple[float, float]:
    """How many of the sequences come out whole, and the loss, after 600 Adam steps."""
    rng, _ = generators(seed)
    model = nn.SequenceModel(nn.ElmanCell(0, 32, seed=rng), nn.Linear(32, K, seed=rng))
    model.start = nn.Parameter(0.1 * rng.normal(size=(N, 32)).astype("f4"), "h(0)")
    if not learned:
        model.start.assign(np.zeros((N, 32)))
        model.start.requires_grad_(False)
    ids = patterns(seed)
    train(model, lambda step: model.loss(None, ids, model.start, literal=False)[0], 600, lr=1e-2)
    with ts.no_grad():
        outputs, _ = model(None, model.start, length=T)
        loss, _ = model.loss(None, ids, model.start)
    whole = (outputs.data.argmax(-1) == ids).all(axis=0)
    return float(whole.mean()), loss.item()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_initial_state_of_its_own_is_enough_to_recall_a_sequence(seed: int):
    """Eight learned initial states, no input at all: all eight sequences, to the last symbol.

    From one and the same initial state there is one distribution for all of them. The least loss is
    then the entropy of their mixture at every step, log 8 for each sequence at the first one.
    """
    share, loss = recall(seed, learned=True)
    assert share == 1.0 and loss < 1.0
    counts = np.stack([np.bincount(row, minlength=K) for row in patterns(seed)]) / N
    logs = np.log(counts, out=np.zeros_like(counts), where=counts > 0)
    mixture = -N * float((counts * logs).sum())
    assert mixture >= N * np.log(8)
    share, loss = recall(seed, learned=False)
    assert share <= 1 / N
    assert mixture < loss < 1.01 * mixture


@pytest.mark.parametrize("learned", [False, True])
def test_a_shared_initial_state_is_a_guess_at_the_first_symbol(learned: bool):
    """Without biases and input, h(0) = 0 stays 0 and all symbols are equally probable for ever."""
    p = np.array([0.7, 0.2, 0.1])
    ids = np.repeat(np.arange(3), (700, 200, 100))[None]
    cell: nn.Cell = nn.ElmanCell(0, 8, bias=False, seed=0)
    if learned:
        cell = nn.LearnedInitialState(cell)
        cell.initial["h"].assign(np.full((1, 8), 0.1))
    model = nn.SequenceModel(cell, nn.Linear(8, 3, bias=False, seed=1))

    def loss(step: int) -> ts.Tensor:
        return model.loss(None, ids, literal=False)[0] * (1 / ids.size)

    train(model, loss, 200, lr=2e-2)
    entropy = -float((p * np.log(p)).sum())
    assert loss(0).item() == pytest.approx(entropy if learned else np.log(3), abs=1e-3)


def test_holding_some_units_at_every_step_is_an_input_like_any_other():
    """Clamped units of a network without input read x as well as input weights would."""
    steps, batch, hidden, size = 6, 3, 5, 2
    rng = np.random.default_rng(0)
    held = np.array([True] * size + [False] * hidden)
    plain = nn.ElmanCell(size, hidden, seed=1).to(np.float64)
    inner = nn.ElmanCell(0, size + hidden, seed=2).to(np.float64)
    w = np.zeros((size + hidden, size + hidden))
    w[size:, :size], w[size:, size:] = plain.weight_ih.data, plain.weight_hh.data
    inner.weight_hh.assign(w)
    for name in ("bias_ih", "bias_hh"):
        bias = np.concatenate([np.zeros(size), getattr(plain, name).data])
        getattr(inner, name).assign(bias)
    xs = rng.normal(size=(steps, batch, size))
    wide = np.concatenate([xs, np.zeros((steps, batch, hidden))], axis=-1)
    expected, _ = ts.unroll(plain, xs)
    found, _ = ts.unroll(nn.Clamped(inner, held), wide)
    np.testing.assert_allclose(found.data[..., size:], expected.data, rtol=1e-13, atol=1e-14)
