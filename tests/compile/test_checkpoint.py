"""checkpoint_every of compiled loops: the same numbers, in less memory."""

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, differences, of_case, results
from nn.checks import every_cell
from nn.registry import CELLS, Case, Entry, case
from tinyseq import nn, ops
from tinyseq.errors import ConfigError, GraphError
from tinyseq.recurrence import FreeRunning, ScheduledSampling

LSTM = next(entry for entry in CELLS if entry.name == "lstm")


@every_cell
@pytest.mark.parametrize("every", [1, 2, 5, 9, "sqrt"])
def test_of_every_cell(entry: Entry, every: Any):
    c = case(entry, 5, 3)
    fast = ts.compile(c.cell, checkpoint_every=every)
    for how in ({}, {"reverse": True}, {"lengths": [4, 2, 5]}, {"detach_every": 3}):
        assert_same(of_case(fast, c, **how), of_case(c.cell, c, **how))


@every_cell
def test_for_one_run(entry: Entry):
    """``unroll`` has the last word, and both kinds of loop are kept."""
    c = case(entry, 5, 2)
    fast = ts.compile(c.cell, checkpoint_every=4)
    expected = of_case(c.cell, c)
    for every in (None, 2, None, 5):
        assert_same(of_case(fast, c, checkpoint_every=every), expected)
    assert len(fast.loops) == 3


@pytest.mark.parametrize("steps", [1, 2, 10, 16, 17])
def test_segments_of_all_lengths(steps: int):
    c = case(LSTM, steps, 2)
    expected = of_case(c.cell, c)
    for every in (*range(1, steps + 2), "sqrt"):
        assert_same(of_case(ts.compile(c.cell, checkpoint_every=every), c), expected)


def test_layers_and_models():
    xs = np.random.default_rng(0).normal(size=(9, 2, 3))
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True, seed=0).to(np.float64)
    model = nn.SequenceModel(nn.GRUCell(3, 4, seed=0), nn.Linear(4, 5, seed=1)).to(np.float64)
    targets = np.random.default_rng(1).integers(5, size=(9, 2))

    def of_layer(layer: Any) -> list[np.ndarray]:
        ys, _ = layer(xs, lengths=[9, 5])
        return [ys.data, *ts.grad((ys * ys).sum(), layer.parameters())]

    def of_model(model: Any) -> list[np.ndarray]:
        loss, _ = model.loss(xs, targets, literal=False)
        return [loss.data, *ts.grad(loss, model.parameters())]

    for run, module in ((of_layer, layer), (of_model, model)):
        fast = ts.compile(module, checkpoint_every=4)
        for a, b in zip(run(fast), run(module), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


class Attends(nn.Cell):
    """Reads an encoder's states: a tensor from outside, and another one handed on in the state."""

    def __init__(self) -> None:
        self.inner = nn.ElmanCell(3, 4, seed=0).to(np.float64)
        self.context = ts.tensor(np.random.default_rng(3).normal(size=(2, 4)), requires_grad=True)

    def __call__(self, x: Any, state: Any) -> Any:
        h, memory = state
        weights = ops.softmax((memory * ops.expand_dims(h, 1)).sum(-1))
        read = (memory * ops.expand_dims(weights, 2)).sum(1)
        h = self.inner(x, h + read * self.context)[1]
        return h, (h, memory)


@pytest.mark.parametrize("every", [1, 2, 6, "sqrt"])
def test_what_all_steps_read(every: Any):
    rng = np.random.default_rng(0)
    cell, xs = Attends(), rng.normal(size=(5, 2, 3))
    start = rng.normal(size=(2, 4)), rng.normal(size=(2, 6, 4))

    def found(cell: Any, **settings: Any) -> list[np.ndarray]:
        h, memory = (ts.tensor(s, requires_grad=True) for s in start)
        ys, (h_end, _) = ts.unroll(cell, xs, (h, memory), **settings)
        wanted = [h, memory, cell.context, *cell.parameters()]
        return [ys.data, *ts.grad((ys * ys).sum() + h_end.sum(), wanted)]

    expected = found(cell)
    for other in (found(cell, checkpoint_every=every),
                  found(ts.compile(cell, checkpoint_every=every))):  # fmt: skip
        for a, b in zip(other, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("every", [1, 2, 3, 7])
@pytest.mark.parametrize("reverse", [False, True])
def test_outputs_that_are_read(every: int, reverse: bool):
    """Free running and coins: the last output goes from segment to segment, too."""
    cell = nn.Stacked([nn.GRUCell(3, 3, seed=0), nn.ElmanCell(3, 3, seed=1)]).to(np.float64)
    c = Case(cell, np.random.default_rng(0).normal(size=(7, 4, 3)), cell.init_state(4), 7)
    for make in (
        lambda: FreeRunning(lambda o: o, 2),
        lambda: ScheduledSampling(0.5, lambda o: o, 1),
    ):
        found = of_case(ts.compile(cell), c, feed=make(), checkpoint_every=every, reverse=reverse)
        assert_same(found, of_case(cell, c, feed=make(), reverse=reverse))


def test_passes_in_turn_use_their_own_memory():
    """Forward passes whose backward passes come later, and one that never comes."""
    cell = LSTM.make(0).to(np.float64)
    fast = ts.compile(cell, checkpoint_every=2)
    cases = [case(LSTM, 5, 3, seed) for seed in range(3)]
    runs = []
    for c in cases:
        x = ts.tensor(c.inputs, requires_grad=True)
        runs.append((c, x, ts.unroll(fast, x, c.state)[0]))
    del runs[1]
    gc.collect()
    for c, x, ys in (runs[1], runs[0]):
        expected = ts.tensor(c.inputs, requires_grad=True)
        other = ts.unroll(cell, expected, c.state)[0]
        (a,), (b,) = ts.grad((ys * ys).sum(), [x]), ts.grad((other * other).sum(), [expected])
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_backward_twice_and_the_second_derivative():
    c = case(LSTM, 5, 2)
    fast = ts.compile(c.cell, checkpoint_every=2)
    ys, _ = ts.unroll(fast, c.inputs, c.state)
    loss = (ys * ys).sum()
    first = ts.grad(loss, c.cell.parameters(), retain_graph=True)
    with pytest.raises(GraphError, match="second derivative of a compiled loop"):
        ts.grad(loss, c.cell.parameters(), create_graph=True)
    for a, b in zip(ts.grad(loss, c.cell.parameters()), first, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_source_is_that_of_a_segment():
    c = case(LSTM, 50, 2)
    fast = ts.compile(c.cell, checkpoint_every=8)
    ts.unroll(fast, c.inputs, c.state)
    assert "T = 8" in fast.source and "T = 50" not in fast.source


@pytest.mark.parametrize("every", [0, -2, 1.5, "all", True])
def test_a_length_that_is_none(every: Any):
    with pytest.raises(ConfigError, match="checkpoint_every"):
        ts.compile(nn.LSTMCell(2, 3), checkpoint_every=every)


def test_without_gradients_there_is_less_memory_too():
    cell = nn.LSTMCell(8, 32, seed=0)
    xs = np.random.default_rng(0).normal(size=(400, 8, 8)).astype(np.float32)

    def peak(every: Any) -> int:
        fast = ts.compile(cell, checkpoint_every=every)
        with ts.no_grad():
            ts.unroll(fast, xs[:20])  # what tracing takes is not what is asked for
            tracemalloc.start()
            ts.unroll(fast, xs)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak("sqrt") < 0.5 * peak(None)


def test_memory_is_that_of_a_segment_and_the_outputs():
    cell = nn.LSTMCell(8, 32, seed=0)
    xs = np.random.default_rng(0).normal(size=(1000, 8, 8)).astype(np.float32)

    def peak(every: Any) -> int:
        fast = ts.compile(cell, checkpoint_every=every)
        tracemalloc.start()
        ys, _ = ts.unroll(fast, xs)
        ys.sum().backward()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    outputs = 1000 * 8 * 32 * 4
    assert peak("sqrt") < min(0.4 * peak(None), 4 * outputs)


def test_a_wrong_gradient_would_be_seen():
    """The comparison of these tests tells apart a run whose gradient stops between segments."""
    c = case(LSTM, 6, 2)
    expected = of_case(c.cell, c)
    cut = results(ts.compile(c.cell, checkpoint_every=3), c.inputs, c.state, detach_every=3)
    assert differences(cut, expected)
