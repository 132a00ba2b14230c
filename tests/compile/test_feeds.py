"""Feeds of a compiled cell: the last output is part of the state, what chance decides is drawn."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, results
from tinyseq import nn, ops
from tinyseq.errors import CompileError, ShapeError
from tinyseq.recurrence import FreeRunning, ScheduledSampling, TeacherForcing, argmax, sampler
from tinyseq.recurrence.feed import OutputFeed

T, N, K, H = 11, 3, 5, 4


class Speaker(nn.Cell):
    """Tokens in, logits out: an embedding, a gated cell, a readout."""

    hidden_size = H

    def __init__(self) -> None:
        self.embed = nn.Embedding(K, H, seed=0)
        self.cell = nn.LSTMCell(H, H, seed=1)
        self.readout = nn.Linear(H, K, seed=2)

    def init_state(self, batch: int) -> Any:
        return self.cell.init_state(batch)

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        y, state = self.cell(self.embed(x), state)
        return self.readout(y), state


class Writer(nn.Cell):
    """Numbers in, numbers out."""

    hidden_size = H

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.U = nn.Parameter(rng.normal(size=(H, 2)))
        self.W = nn.Parameter(rng.normal(size=(H, H)))
        self.V = nn.Parameter(rng.normal(size=(2, H)))

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        h = ops.tanh(ops.linear(x, self.U) + ops.linear(h, self.W))
        return ops.linear(h, self.V), h


def tokens() -> Any:
    cell = Speaker().to(np.float64)
    return cell, np.random.default_rng(3).integers(K, size=(T, N)), cell.init_state(N)


def numbers() -> Any:
    rng = np.random.default_rng(4)
    return Writer(), rng.normal(size=(T, N, 2)), rng.normal(size=(N, H))


def same(y: Any) -> Any:
    """The last output itself, through which gradients flow."""
    return y


CASES = {
    "teacher forcing": (tokens, TeacherForcing),
    "most probable": (tokens, lambda: FreeRunning(argmax)),
    "after a prompt": (tokens, lambda: FreeRunning(argmax, after=4)),
    "after more than there is": (tokens, lambda: FreeRunning(argmax, after=T + 3)),
    "sampled": (tokens, lambda: FreeRunning(sampler(7, 1.5), after=2)),
    "scheduled": (tokens, lambda: ScheduledSampling(0.4, argmax, seed=1)),
    "scheduled, sampled": (tokens, lambda: ScheduledSampling(0.4, sampler(2), seed=1)),
    "always the model's": (tokens, lambda: ScheduledSampling(0.0, argmax, seed=1)),
    "numbers": (numbers, lambda: FreeRunning(same)),
    "a function of numbers": (numbers, lambda: FreeRunning(lambda y: ops.tanh(y) * 0.5, after=0)),
    "scheduled numbers": (numbers, lambda: ScheduledSampling(0.6, same, seed=1)),
}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"lengths": [T, 1, 6]},
    {"reverse": True},
    {"detach_every": 3},
    {"reverse": True, "lengths": [4, 0, T], "detach_every": 4},
    {"checkpoint_every": 3},
    {"length": 5},
]


@pytest.mark.parametrize("make, feed", CASES.values(), ids=CASES)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_values_and_gradients_are_those_of_unroll(make: Any, feed: Any, settings: Any):
    cell, xs, state = make()
    fast = ts.compile(cell)
    plain = {name: value for name, value in settings.items() if name != "checkpoint_every"}
    expected = results(cell, xs, state, feed=feed(), **plain)
    assert_same(results(fast, xs, state, feed=feed(), **settings), expected)
    assert fast.literal is None


def test_both_draw_the_same_numbers_run_after_run():
    """A feed that is used again goes on where it was; both in the same order."""
    cell, xs, state = tokens()
    fast, rng, other = ts.compile(cell), np.random.default_rng(0), np.random.default_rng(0)
    a = [ScheduledSampling(0.5, sampler(rng), rng) for _ in range(2)]
    b = [ScheduledSampling(0.5, sampler(other), other) for _ in range(2)]
    for k in (0, 1, 0):
        found, expected = (
            ts.unroll(runs, xs, state, feed=feed[k])[0].data
            for runs, feed in ((fast, a), (cell, b))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert rng.random() == other.random()


def test_a_feed_made_anew_for_every_batch_needs_no_new_loop():
    cell, xs, state = numbers()
    fast = ts.compile(cell)
    counts = []
    for k in range(4):
        scale = ts.tensor(np.array(0.1 * k), requires_grad=True)
        feed = scaled(scale)
        found = ts.unroll(fast, xs, state, feed=feed)[0]
        expected = ts.unroll(cell, xs, state, feed=feed)[0]
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-10)
        for a, b in zip(
            *(ts.grad(y.sum(), [scale, cell.W]) for y in (found, expected)), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-9)
        counts.append(len(fast.loops))
    assert counts[0] == counts[-1]


def scaled(scale: Any) -> FreeRunning:
    """A feed with a Tensor of its own."""
    return FreeRunning(lambda y: y * scale)


def test_choices_of_the_same_text_that_do_not_do_the_same():
    """Told apart by what is around them, by their defaults, and by whose methods they are."""
    cell, xs, state = numbers()
    fast = ts.compile(cell)

    def around(function: Any) -> Any:
        return lambda y: function(y)

    class Scales:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        def choose(self, y: Any) -> Any:
            return y * self.scale

        def __call__(self, y: Any) -> Any:
            return y * self.scale

    for choose in (
        around(ops.tanh), around(ops.sigmoid), lambda y: y * 0.5, lambda y: y * 0.25,
        *(lambda y, scale=scale: y * scale for scale in (0.1, 0.2)),
        *(lambda y, scale=scale: y * scale for scale in np.array([[0.1], [0.2]])),
        *(Scales(scale) for scale in (0.3, 0.4)), *(Scales(scale).choose for scale in (0.3, 0.4)),
    ):  # fmt: skip
        feed: Any = FreeRunning(choose)
        found, expected = (ts.unroll(runs, xs, state, feed=feed)[0] for runs in (fast, cell))
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-10)


def test_a_method_needs_no_new_loop_in_every_run():
    cell, xs, state = numbers()
    fast, holder = ts.compile(cell), Noisy(0.5, 0)
    for _ in range(3):
        ts.unroll(fast, xs, state, feed=FreeRunning(holder.halved))
    assert len(fast.loops) == 2


def test_epsilon_changes_from_batch_to_batch():
    cell, xs, state = tokens()
    fast = ts.compile(cell)
    for epsilon in (1.0, 0.5, 0.0):
        a, b = (ScheduledSampling(epsilon, argmax, seed=0) for _ in range(2))
        found, expected = ts.unroll(fast, xs, state, feed=a), ts.unroll(cell, xs, state, feed=b)
        np.testing.assert_allclose(found[0].data, expected[0].data, rtol=1e-10)
    assert len(fast.loops) == 2, "one for the first step, one for the others"


def test_the_temperature_is_part_of_the_loop():
    cell, xs, state = tokens()
    fast = ts.compile(cell)
    for temperature in (0.5, 3.0):
        a, b = (FreeRunning(sampler(0, temperature)) for _ in range(2))
        found, expected = ts.unroll(fast, xs, state, feed=a), ts.unroll(cell, xs, state, feed=b)
        np.testing.assert_allclose(found[0].data, expected[0].data, rtol=1e-10)


class Noisy(OutputFeed):
    """A feed as a user writes it: the output and noise, weighed against what is given."""

    def __init__(self, weight: float, seed: int) -> None:
        self.weight = weight
        self.rng = np.random.default_rng(seed)

    def draw(self, output: Any) -> Any:
        return self.rng.normal(size=output.shape)

    def halved(self, output: Any) -> Any:
        return output * 0.5

    def mix(self, given: Any, output: Any, drawn: Any) -> Any:
        return self.weight * given + (1 - self.weight) * (output + drawn)


def test_a_feed_of_ones_own_that_says_what_it_draws():
    cell, xs, state = numbers()
    fast = ts.compile(cell)
    for weight in (0.3, 0.8):
        expected = results(cell, xs, state, feed=Noisy(weight, 5))
        assert_same(results(fast, xs, state, feed=Noisy(weight, 5)), expected)
    assert fast.literal is None


def test_any_other_feed_runs_step_by_step_and_that_is_told():
    cell, xs, state = numbers()
    fast = ts.compile(cell)

    def growing(count: int, given: Any, output: Any) -> Any:
        return given * count if output is None else output * count

    assert_same(results(fast, xs, state, feed=growing), results(cell, xs, state, feed=growing))
    assert "function" in fast.literal and "OutputFeed" in fast.literal
    assert fast.explain() == f"step by step, as the cell is written: {fast.literal}"
    ts.unroll(fast, xs, state)
    assert fast.literal is None and "loop:" in fast.explain()


def test_a_choice_that_looks_at_values_is_refused():
    cell, xs, state = numbers()

    def looks(y: Any) -> Any:
        return y if y.data.sum() > 0 else -y

    ts.unroll(cell, xs, state, feed=FreeRunning(looks))
    with pytest.raises(CompileError, match="looks at a value"):
        ts.unroll(ts.compile(cell), xs, state, feed=FreeRunning(looks))


def test_a_choice_of_another_shape_is_refused_as_by_unroll():
    cell, xs, state = numbers()
    for runs in (cell, ts.compile(cell)):
        with pytest.raises(ShapeError, match="choose gave an array of shape"):
            ts.unroll(runs, xs, state, feed=ScheduledSampling(0.5, lambda y: y.sum(-1)))


def test_without_given_inputs():
    """A cell that reads nothing in its first step, and then its own output."""

    class Dreamer(Writer):
        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            return super().__call__(np.zeros((h.shape[0], 2)) if x is None else x, h)

    cell, state = Dreamer(), np.ones((N, H))
    settings = {"length": T, "feed": FreeRunning(same)}
    assert_same(
        results(ts.compile(cell), None, state, **settings), results(cell, None, state, **settings)
    )
