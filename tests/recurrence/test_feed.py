"""Feeds: teacher forcing, free running, scheduled sampling, and how a token is chosen."""

from math import exp
from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import ConfigError, ShapeError
from tinyseq.recurrence import (
    FreeRunning,
    ScheduledSampling,
    TeacherForcing,
    argmax,
    exponential_decay,
    inverse_sigmoid_decay,
    linear_decay,
    sampler,
)

T, N, K = 12, 6, 5


def language(seed: int = 0) -> Any:
    """A small model of tokens, as one step."""
    model = nn.SequenceModel(
        nn.ElmanCell(4, 4, seed=seed),
        nn.Linear(4, K, seed=seed + 1),
        embed=nn.Embedding(K, 4, seed=seed + 2),
    )
    for parameter in model.parameters():
        parameter.assign(3 * parameter.data)  # far from uniform
    return model


def tokens(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(K, size=(T, N))


def read(feed: Any, inputs: Any = None, model: Any = None, **settings: Any) -> Any:
    """The inputs that the steps really read, (T, N), and the outputs."""
    model = model or language()
    seen: list[np.ndarray] = []

    def step(x: Any, h: Any) -> tuple[Any, Any]:
        seen.append(x.data.copy())
        return model.step(x, h)

    given = tokens() if inputs is None else inputs
    ys, _ = ts.unroll(step, given, model.init_state(N), feed=feed, **settings)
    return np.stack(seen), ys.data


def test_teacher_forcing_is_the_default():
    expected, outputs = read(None)
    np.testing.assert_array_equal(expected, tokens())
    for found in zip(read(TeacherForcing()), (expected, outputs), strict=True):
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("after", [0, 1, 4, T, T + 3])
def test_free_running_reads_a_prompt_and_then_its_own_outputs(after: int):
    seen, outputs = read(FreeRunning(argmax, after))
    first = max(after, 1)  # there is no output yet to read at the first step
    np.testing.assert_array_equal(seen[:first], tokens()[:first])
    np.testing.assert_array_equal(seen[first:], outputs.argmax(-1)[first - 1 : -1])


def test_what_is_given_beyond_the_prompt_does_not_matter():
    given = tokens()
    given[1:] = 0
    np.testing.assert_array_equal(read(FreeRunning(argmax))[1], read(FreeRunning(argmax), given)[1])


def test_a_gradient_flows_through_what_is_fed_back_unless_it_is_a_token():
    """h(t) = h(t-1) / 2 + x(t), x(t) = y(t-1) = h(t-1): h(t) = 1.5^(t-1) h(1)."""

    def step(x: Any, h: Any) -> tuple[Any, Any]:
        h = h * 0.5 + x
        return h, h

    x = ts.tensor(np.ones((4, 1)), requires_grad=True)
    ys, _ = ts.unroll(step, x, np.zeros(1), feed=FreeRunning(lambda y: y))
    np.testing.assert_allclose(ys.data[:, 0], 1.5 ** np.arange(4))
    np.testing.assert_allclose(ts.grad(ys[3].sum(), x)[:, 0], [1.5**3, 0, 0, 0])
    feed = ScheduledSampling(0.0, lambda y: y, seed=0)
    ys, _ = ts.unroll(step, x, np.zeros(1), feed=feed)
    np.testing.assert_allclose(ys.data[:, 0], 1.5 ** np.arange(4))
    np.testing.assert_allclose(ts.grad(ys[3].sum(), x)[:, 0], [0.5**3, 0, 0, 0])


# -- scheduled sampling (Bengio et al. 2015) ------------------------------------------------------


def choices() -> dict[str, Any]:
    return {"argmax": argmax, "sampled": sampler(seed=7)}


@pytest.mark.parametrize("choice", ["argmax", "sampled"])
def test_epsilon_1_is_teacher_forcing_to_the_bit(choice: str):
    feed = ScheduledSampling(1.0, choices()[choice], seed=3)
    for found, expected in zip(read(feed), read(TeacherForcing()), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("choice", ["argmax", "sampled"])
def test_epsilon_0_is_free_running_to_the_bit(choice: str):
    feed = ScheduledSampling(0.0, choices()[choice], seed=3)
    expected = read(FreeRunning(choices()[choice]))
    for found, right in zip(read(feed), expected, strict=True):
        np.testing.assert_array_equal(found, right)
    assert (expected[0][1:] != tokens()[1:]).mean() > 0.5  # it is not teacher forcing


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 0.9])
def test_the_share_of_given_inputs_is_epsilon(epsilon: float):
    """Within three standard deviations, over 2,400 coins."""
    given = np.full((401, N), K)  # a token that is never chosen
    model = nn.SequenceModel(nn.ElmanCell(2, 2, seed=0), nn.Linear(2, K, seed=0))
    model.embed = nn.Embedding(K + 1, 2, seed=0)
    seen, _ = read(ScheduledSampling(epsilon, argmax, seed=0), given, model)
    kept = (seen[1:] == K).mean()
    assert abs(kept - epsilon) < 3 * (epsilon * (1 - epsilon) / (400 * N)) ** 0.5
    assert (seen[0] == K).all()  # there is nothing to choose from at the first step


def test_there_is_a_coin_for_every_sequence_and_step():
    given = np.full((101, N), K)
    model = nn.SequenceModel(nn.ElmanCell(2, 2, seed=0), nn.Linear(2, K, seed=0))
    model.embed = nn.Embedding(K + 1, 2, seed=0)
    seen, _ = read(ScheduledSampling(0.5, argmax, seed=0), given, model)
    kept = seen[1:] == K
    correlations = np.corrcoef(kept.T.astype(float))[np.triu_indices(N, 1)]
    assert abs(correlations).max() < 4 / 100**0.5
    along = np.mean((kept[1:] - 0.5) * (kept[:-1] - 0.5)) / 0.25
    assert abs(along) < 4 / (99 * N) ** 0.5


def test_the_same_seed_gives_the_same_run():
    first = read(ScheduledSampling(0.5, sampler(seed=1), seed=2))
    again = read(ScheduledSampling(0.5, sampler(seed=1), seed=2))
    other = read(ScheduledSampling(0.5, sampler(seed=1), seed=3))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()


def test_epsilon_may_change_between_batches():
    feed = ScheduledSampling(1.0, argmax, seed=0)
    np.testing.assert_array_equal(read(feed)[0], tokens())
    feed.epsilon = 0.0
    np.testing.assert_array_equal(read(feed)[0], read(FreeRunning(argmax))[0])


def test_a_choice_of_another_shape_is_not_broadcast():
    """N tokens beside N one-hot vectors of N classes would fit each other by accident."""
    feed = ScheduledSampling(0.5, argmax, seed=0)
    with pytest.raises(ShapeError, match=r"at step 2: choose gave .* \(5,\) for .* \(5, 5\)"):
        ts.unroll(lambda x, h: (x + h, h), np.ones((3, 5, 5)), np.zeros((5, 5)), feed=feed)


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan")])
def test_epsilon_is_a_probability(epsilon: float):
    with pytest.raises(ConfigError, match="probability"):
        ScheduledSampling(epsilon, argmax)


def test_a_prompt_is_not_negative():
    with pytest.raises(ConfigError, match="after"):
        FreeRunning(argmax, after=-1)


def test_the_three_decays():
    """Bengio et al. 2015, section 2.4: linear, exponential, inverse sigmoid."""
    assert [linear_decay(i, 1.0, 0.25, floor=0.1) for i in range(5)] == [1, 0.75, 0.5, 0.25, 0.1]
    assert [exponential_decay(i, 0.5) for i in range(4)] == [1, 0.5, 0.25, 0.125]
    for i in (0, 1, 50, 200):
        assert inverse_sigmoid_decay(i, 10) == pytest.approx(10 / (10 + exp(i / 10)))
    assert inverse_sigmoid_decay(10**9, 10) < 1e-100  # and no overflow
    for decay in (
        lambda i: linear_decay(i, 1, 0.01),
        lambda i: exponential_decay(i, 0.9),
        lambda i: inverse_sigmoid_decay(i, 5.0),
    ):
        values = [decay(i) for i in range(300)]
        assert all(0 <= b <= a <= 1 for a, b in zip(values, values[1:], strict=False))
    for wrong in (0.0, 1.0, 1.5, -0.5):
        with pytest.raises(ConfigError, match="base"):
            exponential_decay(1, wrong)
    with pytest.raises(ConfigError, match="k is at least 1"):
        inverse_sigmoid_decay(1, 0.5)


# -- choosing -------------------------------------------------------------------------------------


def test_the_sampler_draws_from_the_softmax():
    """40,000 draws against the probabilities: chi-square with 3 degrees of freedom."""
    logits = np.log(np.array([0.1, 0.2, 0.3, 0.4]))
    drawn = sampler(seed=0)(np.broadcast_to(logits, (40_000, 4)))
    counts = np.bincount(drawn, minlength=4)
    expected = 40_000 * np.array([0.1, 0.2, 0.3, 0.4])
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # exceeded once in a thousand


def test_the_temperature_sharpens_or_flattens():
    logits = np.broadcast_to(np.log(np.array([0.2, 0.8])), (40_000, 2))
    for temperature in (0.5, 1.0, 2.0):
        p = 0.8 ** (1 / temperature) / (0.8 ** (1 / temperature) + 0.2 ** (1 / temperature))
        share = sampler(seed=1, temperature=temperature)(logits).mean()
        assert abs(share - p) < 4 * (p * (1 - p) / 40_000) ** 0.5
    for wrong in (0, -1.0):
        with pytest.raises(ConfigError, match="argmax"):
            sampler(temperature=wrong)


def test_the_same_tokens_are_drawn_in_every_array_library(xp: Any):
    logits = np.random.default_rng(0).normal(size=(50, K))
    for choose in (argmax, sampler(seed=4)):
        found = choose(ts.tensor(xp.asarray(logits)))
        assert isinstance(found, xp.ndarray)
        again = argmax if choose is argmax else sampler(seed=4)
        np.testing.assert_array_equal(strict_cupy.to_host(found), again(logits))


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
def test_scheduled_sampling_is_the_same_in_every_array_library(xp: Any, epsilon: float):
    model, on_host = language(), language()
    model.to("numpy" if xp is np else "cupy")
    results = []
    for one, ids in ((model, xp.asarray(tokens())), (on_host, tokens())):
        feed = ScheduledSampling(epsilon, sampler(seed=1), seed=2)
        ys, _ = one(ids, feed=feed)
        results.append(strict_cupy.to_host(ys.data))
    np.testing.assert_allclose(*results, rtol=1e-5)
