"""Where a compiled cell runs its steps literally after all, and where it says that it cannot."""

from collections import deque
from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from compile.checks import assert_same, of_case, results
from nn.registry import CELLS, case
from tinyseq import nn, ops, structure
from tinyseq.errors import GraphError, NonFiniteError
from tinyseq.recurrence import FreeRunning, ScheduledSampling, TeacherForcing, argmax

LSTM = next(entry for entry in CELLS if entry.name == "lstm")
OUTPUT = next(entry for entry in CELLS if entry.name == "output recurrence, o to h alone")


def compiled_run() -> tuple[ts.Tensor, ts.Tensor]:
    c = case(LSTM, 5, 3)
    xs = ts.tensor(c.inputs, requires_grad=True)
    return xs, ts.unroll(ts.compile(c.cell), xs, c.state)[0]


# -- a compiled loop has first derivatives, backwards -------------------------------------------


def test_a_second_derivative_points_to_unroll():
    xs, ys = compiled_run()
    with pytest.raises(GraphError, match="second derivative of a compiled loop.*unroll"):
        ts.grad((ys * ys).sum(), [xs], create_graph=True)
    with pytest.raises(GraphError, match="second derivative of a compiled loop.*unroll"):
        (ys * ys).sum().backward(create_graph=True)


def test_products_with_the_hessian_point_to_unroll():
    c = case(LSTM, 3, 2)
    fast = ts.compile(c.cell)
    with pytest.raises(GraphError, match="compiled loop.*unroll"):
        ts.hvp(lambda x: ts.unroll(fast, x, c.state)[0].sum(), [c.inputs], [c.inputs])


def test_forward_mode_points_to_unroll():
    xs, ys = compiled_run()
    with pytest.raises(GraphError, match="forward mode through a compiled loop.*unroll"):
        ts.push_forward([ys], [xs], [np.ones(xs.shape)])
    c = case(LSTM, 3, 2)
    fast = ts.compile(c.cell)
    with pytest.raises(GraphError, match="forward mode through a compiled loop.*unroll"):
        ts.jvp(lambda x: ts.unroll(fast, x, c.state)[0], [c.inputs], [c.inputs])


def test_a_second_derivative_around_a_loop_is_none_of_its_business():
    """What does not pass through the loop can be differentiated twice in the same graph."""
    _, ys = compiled_run()
    a = ts.tensor(np.array([2.0]), requires_grad=True)
    loss = (a * a * a).sum() + 0.0 * ys.sum()
    (g,) = ts.grad((a * a * a).sum(), [a], create_graph=True)
    np.testing.assert_allclose(ts.grad(g.sum(), [a])[0], [12.0])
    np.testing.assert_allclose(ts.grad(loss, [a])[0], [12.0])


def test_the_original_is_still_there_for_all_of_it():
    c = case(LSTM, 3, 2)
    fast = ts.compile(c.cell)
    ts.unroll(fast, c.inputs, c.state)
    xs = ts.tensor(c.inputs, requires_grad=True)
    ys, _ = ts.unroll(c.cell, xs, c.state)
    (g,) = ts.grad((ys * ys).sum(), [xs], create_graph=True)
    assert np.abs(ts.grad((g * g).sum(), [xs])[0]).max() > 0


# -- step by step -------------------------------------------------------------------------------


def test_a_compiled_cell_is_a_cell():
    c = case(LSTM, 1, 3)
    fast = ts.compile(c.cell)
    (y, state), (found, after) = c.cell(c.at(0), c.state), fast(c.at(0), c.state)
    for a, b in zip([found, *after], [y, *state], strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    for a, b in zip(fast.init_state(4), c.cell.init_state(4), strict=True):
        np.testing.assert_array_equal(a, b)


def test_searching_for_nan_names_the_step_and_the_operation():
    c = case(LSTM, 5, 3)
    fast = ts.compile(c.cell)
    ts.unroll(fast, c.inputs, c.state)
    with ts.detect_nonfinite():
        assert_same(of_case(fast, c), of_case(c.cell, c))
    c.inputs[3, 1, 0] = np.nan
    with ts.detect_nonfinite(), pytest.raises(NonFiniteError, match="linear in .* at step 4"):
        ts.unroll(fast, c.inputs, c.state)


def test_nan_passes_through_as_it_does_uncompiled():
    c = case(LSTM, 5, 3)
    c.inputs[2, 1, 0] = np.nan
    fast = ts.compile(c.cell)
    found, expected = ts.unroll(fast, c.inputs, c.state), ts.unroll(c.cell, c.inputs, c.state)
    np.testing.assert_array_equal(np.isnan(found[0].data), np.isnan(expected[0].data))
    np.testing.assert_allclose(found[0].data, expected[0].data, rtol=1e-10)


class Count:
    """A feed that doubles what is given, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, count: int, given: Any, last: Any) -> Any:
        self.calls += 1
        return given if last is None else given + 0.1 * last[:, :1]


def test_a_feed_decides_every_input():
    c = case(OUTPUT, 5, 3)
    feed = Count()
    found = results(ts.compile(c.cell), c.inputs, c.state, feed=feed)
    assert feed.calls == 5
    assert_same(found, results(c.cell, c.inputs, c.state, feed=Count()))


@pytest.mark.parametrize(
    "feed",
    [TeacherForcing, lambda: FreeRunning(argmax), lambda: ScheduledSampling(0.5, argmax, seed=0)],
)
def test_models_of_language_with_every_feed(feed: Any):
    model = nn.SequenceModel(
        nn.GRUCell(4, 4, seed=0), nn.Linear(4, 5, seed=1), embed=nn.Embedding(5, 4, seed=2)
    )
    fast, tokens = ts.compile(model), np.random.default_rng(0).integers(5, size=(7, 3))
    for a, b in zip(
        [fast.loss(tokens, tokens, feed=feed())[0], fast(tokens, feed=feed())[0]],
        [model.loss(tokens, tokens, feed=feed())[0], model(tokens, feed=feed())[0]],
        strict=True,
    ):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-5)


def test_arrays_of_a_gpu_run_step_by_step(monkeypatch: pytest.MonkeyPatch):
    cupy = strict_cupy.install(monkeypatch)
    c = case(LSTM, 4, 2, dtype=np.float32)
    expected = of_case(c.cell, c)
    c.cell.to("cupy")
    inputs, state = cupy.asarray(c.inputs), structure.map(cupy.asarray, c.state)
    fast = ts.compile(c.cell)
    xs = ts.tensor(inputs, requires_grad=True)
    ys, last = ts.unroll(fast, xs, state)
    assert isinstance(ys.data, strict_cupy.ndarray)
    np.testing.assert_allclose(strict_cupy.to_host(ys.data), expected["output 0"], rtol=1e-5)
    loss = (ys * ys).sum() + last.c.sum()
    on_gpu = [strict_cupy.to_host(g) for g in ts.grad(loss, [xs, *c.cell.parameters()])]
    c.cell.to("numpy")
    xs = ts.tensor(c.inputs, requires_grad=True)
    ys, last = ts.unroll(fast, xs, c.state)  # the same compiled cell, back on the host
    loss = (ys * ys).sum() + last.c.sum()
    for a, b in zip(on_gpu, ts.grad(loss, [xs, *c.cell.parameters()]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_inside_other_cells_a_compiled_cell_takes_steps():
    inner = nn.LSTMCell(3, 4, seed=0).to(np.float64)
    outer = nn.GRUCell(4, 2, seed=1).to(np.float64)
    plain, mixed = nn.Stacked([inner, outer]), nn.Stacked([ts.compile(inner), outer])
    xs, state = np.random.default_rng(0).normal(size=(4, 2, 3)), plain.init_state(2)
    expected = ts.unroll(plain, xs, state)[0].data
    np.testing.assert_allclose(ts.unroll(mixed, xs, state)[0].data, expected, rtol=1e-12)
    fast = ts.compile(mixed)
    np.testing.assert_allclose(ts.unroll(fast, xs, state)[0].data, expected, rtol=1e-10)


def test_a_trial_of_one_step_does_not_reach_the_tape():
    """The step that is run to see its shapes leaves no gradients and no graph behind."""
    seen: deque[Any] = deque()  # a list that grows would be another setting in every run

    class Watched(nn.Cell):
        hidden_size = 2

        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            seen.append(isinstance(h, ts.Tensor))
            h = ops.tanh(h + x)
            return h, h

    fast = ts.compile(Watched())
    ts.unroll(fast, np.ones((4, 3, 2)))
    ran = len(seen)
    ts.unroll(fast, np.ones((4, 3, 2)))
    assert len(seen) == ran, "the second run has no step of Python"
    assert all(seen), "a step is always given Tensors"
