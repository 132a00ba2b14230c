"""What several time scales, and a short way through a deep step, are good for: trained, compared.

Each test trains a baseline as well, that has the same task, optimiser and number of steps (or more)
and must stay behind. Every number is from seeds 0, 1 and 2.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, optim
from tinyseq.data import tasks

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("seed", [0, 1, 2])]


def train(
    model: nn.SequenceModel,
    batch: Callable[[], tuple[Any, Any, Any]],
    steps: int,
    lr: float,
    every: int | None = None,
    done: Callable[[], bool] = lambda: False,
) -> int:
    """Adam on the mean loss of ``batch() -> (inputs, targets, mask)``, norms clipped to 1.

    Gives the number of steps: less than ``steps`` if ``done()``, asked every so often, was true.
    """
    optimizer = optim.Adam(model.parameters(), lr=lr)
    for step in range(1, steps + 1):
        inputs, targets, mask = batch()
        loss, _ = model.loss(inputs, targets, mask=mask, literal=False)
        (loss / mask.sum()).backward()
        optim.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if every and step % every == 0 and done():
            return step
    return steps


def steps_to_latch(cell: nn.Cell, length: int, seed: int, lr: float, most: int) -> int | None:
    """Adam steps until a bit, seen through noise, is recalled in 99.5% of 1000 new sequences."""
    rng = np.random.default_rng(seed)
    model = nn.SequenceModel(cell, nn.Linear(32, 2, seed=seed))
    fresh = tasks.latch(1000, length, np.random.default_rng(99), "noise")

    def batch() -> tuple[Any, Any, Any]:
        b = tasks.latch(32, length, rng, "noise")
        return b.inputs, b.targets, np.arange(length)[:, None] == np.full((1, 32), length - 1)

    def recalled() -> bool:
        with ts.no_grad():
            outputs, _ = model(fresh.inputs)
        return (outputs.data[-1].argmax(-1) == fresh.targets[-1]).mean() >= 0.995

    steps = train(model, batch, most, lr, every=25, done=recalled)
    return steps if steps < most or recalled() else None


def test_skips_through_time_recall_a_bit_sooner(seed: int):
    """100 steps through noise: with a delay of 25 within 100 updates, without not in 400.

    (Given longer, a plain network gets there too.)
    """
    skip, plain = (nn.TimeSkipCell(2, 32, delays, seed=seed) for delays in ((1, 25), (1,)))
    assert steps_to_latch(skip, 101, seed, 3e-3, 100) is not None
    assert steps_to_latch(plain, 101, seed, 3e-3, 400) is None


def test_a_deep_transition_learns_sooner_with_a_skip(seed: int):
    """20 steps through a transition of three layers: with the skip within 100 updates, without not
    in three times as many.
    """
    cells = [nn.DeepTransitionCell(2, 32, 3, skip, seed=seed) for skip in (True, False)]
    skip = steps_to_latch(cells[0], 21, seed, 1e-2, 100)
    assert skip is not None
    assert steps_to_latch(cells[1], 21, seed, 1e-2, 3 * skip) is None


def test_leaky_units_learn_a_running_mean(seed: int):
    """The mean of the last 50 inputs, 300 updates: leaks spread over time scales of 1 to 100 steps
    leave at most 0.4 of the squared error of plain units.
    """
    steps, horizon = 150, 50
    scored = np.arange(steps)[:, None] >= np.full((1, 32), horizon)

    def data(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(steps, count, 1)).astype("f4")
        sums = np.concatenate([np.zeros((horizon, count, 1), "f4"), x.cumsum(0, dtype=float)])
        return x, ((sums[horizon:] - sums[:-horizon]) / horizon).astype("f4")

    def error(cell: nn.Cell) -> float:
        rng = np.random.default_rng(seed)
        model = nn.SequenceModel(cell, nn.Linear(16, 1, seed=seed), nn.mse)
        train(model, lambda: (*data(rng, 32), scored), 300, 5e-3)
        x, y = data(np.random.default_rng(99), 500)
        with ts.no_grad():
            outputs, _ = model(x)
        return ((outputs.data - y)[horizon:] ** 2).mean()

    leaks = np.exp(np.random.default_rng(seed).uniform(np.log(0.01), 0, 16))
    leaky, plain = (
        error(nn.LeakyCell(1, 16, leaks, seed=seed)),
        error(nn.ElmanCell(1, 16, seed=seed)),
    )
    variance = 1 / horizon  # of the target: the error of saying zero
    assert leaky < 0.4 * plain and leaky < 0.1 * variance


@pytest.mark.parametrize("nonlinearity, within", [("identity", 0.01), ("tanh", 0.05)])
def test_a_leak_is_learned_from_what_it_does(seed: int, nonlinearity: str, within: float):
    """A unit's outputs give its leak away; with the wrong one fixed the error stays."""
    rng = np.random.default_rng(seed)
    xs, true = rng.normal(size=(60, 16, 1)), 0.08

    def unit(leak: float, learned: bool = False) -> Any:
        cell = nn.LeakyCell(1, 1, leak, learned=learned, bias=False, nonlinearity=nonlinearity)
        cell.weight_ih.assign(np.ones((1, 1)))
        cell.weight_hh.assign(np.full((1, 1), 0.5))
        for name in ("weight_ih", "weight_hh"):
            if learned:
                getattr(cell, name).requires_grad_(False)
        return cell.to(float)

    targets, _ = ts.unroll(unit(true), xs)
    learner = unit(0.5, learned=True)
    everywhere = np.ones((60, 16), bool)
    model = nn.SequenceModel(learner, None, nn.mse)
    train(model, lambda: (xs, targets.data, everywhere), 300, 0.05)
    found = 1 / (1 + np.exp(-learner.raw_leak.data[0]))
    assert found == pytest.approx(true, rel=within)
    wrong, _ = ts.unroll(unit(0.5), xs)
    right, _ = ts.unroll(learner, xs)
    errors = [((ys.data - targets.data) ** 2).mean() for ys in (right, wrong)]
    assert errors[0] < 1e-3 * errors[1]


def test_the_clockwork_generates_a_sum_of_sines(seed: int):
    """192 samples from no input, out of a learned initial state, about 1,550 parameters each: after
    400 updates the clockwork errs by less than a hundredth of the variance, and a plain network
    after 2,000 still by more than half of it.
    """
    t, rng = np.arange(192) / 192, np.random.default_rng(seed)
    waves = zip(rng.uniform(1, 20, 5), rng.uniform(0, 2 * np.pi, 5), strict=True)
    wave = sum(np.sin(2 * np.pi * f * t + phase) for f, phase in waves)
    target = (wave / abs(wave).max()).astype("f4")[:, None, None]

    def error(cell: nn.Cell, size: int, updates: int) -> float:
        started = nn.LearnedInitialState(cell)
        model = nn.SequenceModel(started, nn.Linear(size, 1, seed=seed), nn.mse)
        train(model, lambda: (None, target, np.ones((192, 1), bool)), updates, 5e-3)
        return model.loss(None, target, literal=False)[0].item() / 192

    clock = nn.ClockworkCell(0, 49, (1, 2, 4, 8, 16, 32, 64), seed=seed)
    plain = nn.ElmanCell(0, 38, seed=seed)
    weights = int(clock.mask.sum()), plain.weight_hh.size
    assert weights[0] < weights[1] < 1.1 * weights[0]
    clockwork_error, plain_error = error(clock, 49, 400), error(plain, 38, 2000)
    assert clockwork_error < 0.01 * target.var()
    assert plain_error > 0.5 * target.var()
