"""Compiled cells, layers and models as modules: names, weights, copies, training."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, of_case, results
from nn.checks import every_cell
from nn.registry import CELLS, Entry, case
from tinyseq import nn, ops, optim
from tinyseq.errors import CompileError

LSTM = next(entry for entry in CELLS if entry.name == "lstm")


@every_cell
def test_the_parameters_are_the_originals_under_their_names(entry: Entry):
    cell = entry.make(0)
    names = [(name, id(p), p.name) for name, p in cell.named_parameters()]
    fast = ts.compile(cell)
    assert [(name, id(p), p.name) for name, p in fast.named_parameters()] == names
    assert [(name, id(p), p.name) for name, p in cell.named_parameters()] == names
    assert list(fast.state_dict()) == list(cell.state_dict())
    assert list(fast.state_dict()) == list(entry.make(0).state_dict())


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.RNN(3, 4, num_layers=2, nonlinearity="relu", seed=0),
        lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True, seed=0),
        lambda: nn.GRU(3, 4, batch_first=True, reset="before", seed=0),
        lambda: nn.GRU(3, 4, num_layers=2, dropout=0.5, seed=0),
    ],
    ids=["RNN", "LSTM", "GRU", "dropout"],
)
@pytest.mark.parametrize("lengths", [None, [5, 1, 4, 0, 3, 2]])
def test_layers(make: Any, lengths: Any):
    layer = make().to(np.float64).eval()
    fast = ts.compile(layer)
    assert list(fast.state_dict()) == list(layer.state_dict())
    xs = np.random.default_rng(0).normal(size=(5, 6, 3))
    if layer.batch_first:
        xs = xs.swapaxes(0, 1)

    def found(module: Any) -> list[np.ndarray]:
        x = ts.tensor(xs, requires_grad=True)
        ys, state = module(x, lengths=lengths)
        ends = [ys, *(state if isinstance(state, tuple) else (state,))]
        grads = ts.grad(sum((a * a).sum() for a in ends), [x, *layer.parameters()])
        return [a.data for a in ends] + grads

    for a, b in zip(found(fast), found(layer), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_dropout_between_layers_is_outside_of_the_loops():
    """Where the layers themselves drop out, they do so between the compiled loops."""
    xs = np.random.default_rng(0).normal(size=(5, 6, 3))

    def run(compiled: bool) -> np.ndarray:
        layer = nn.LSTM(3, 4, num_layers=2, dropout=0.5, seed=3).to(np.float64)
        return (ts.compile(layer) if compiled else layer)(xs)[0].data

    np.testing.assert_allclose(run(True), run(False), rtol=1e-10)


def test_a_sequence_model_done_at_once():
    model = nn.SequenceModel(
        nn.LSTMCell(3, 4, seed=0), nn.Linear(4, 5, seed=1), embed=nn.Embedding(5, 3, seed=2)
    ).to(np.float64)
    fast, rng = ts.compile(model), np.random.default_rng(0)
    assert list(fast.state_dict()) == list(model.state_dict())
    tokens, targets = rng.integers(5, size=(2, 7, 3))
    mask = rng.random((7, 3)) < 0.7
    for settings in ({}, {"mask": mask}, {"detach_every": 2}):
        grads = []
        for module, literal in ((model, True), (model, False), (fast, False), (fast, True)):
            loss, _ = module.loss(tokens, targets, literal=literal, **settings)
            grads.append([loss.data, *ts.grad(loss, model.parameters())])
        for other in grads[1:]:
            for a, b in zip(other, grads[0], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("lengths", [None, [7, 1, 4]])
def test_a_sequence_model_itself_is_compiled(lengths: Any):
    """Embedding and readout are part of its step, and so of the loop or around it."""
    model = nn.SequenceModel(
        nn.LSTMCell(3, 4, seed=0), nn.Linear(4, 5, seed=1), embed=nn.Embedding(5, 3, seed=2)
    ).to(np.float64)
    fast, tokens = ts.compile(model), np.random.default_rng(0).integers(5, size=(7, 3))
    found = []
    for module in (fast, model):
        ys, state = module(tokens, lengths=lengths)
        loss = (ys * ys).sum() + state.c.sum()
        found.append([ys.data, state.h.data, *ts.grad(loss, model.parameters())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    steps = fast.compiled_step.cell
    assert steps.literal is None and len(steps.loops) == 1
    before, _, loop = steps.explain().partition("loop:")
    assert "take(" in before and "linear" in loop.partition("after:")[2].partition("backward")[0]


def test_the_loss_of_a_compiled_model_is_compiled_unless_it_is_asked_for_literally():
    model = nn.SequenceModel(nn.GRUCell(3, 4, seed=0), nn.Linear(4, 5, seed=1)).to(np.float64)
    fast, rng = ts.compile(model), np.random.default_rng(0)
    xs, targets = rng.normal(size=(7, 3, 3)), rng.integers(5, size=(7, 3))
    losses = []
    for literal in (None, True):
        losses.append(fast.loss(xs, targets, literal=literal)[0].item())
        assert len(fast.cell.loops) == 1, "made by the first, not needed by the second"
    np.testing.assert_allclose(losses, model.loss(xs, targets)[0].item(), rtol=1e-12)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda fast: pickle.loads(pickle.dumps(fast))])
def test_a_copy_of_a_compiled_model_is_a_model_of_its_own(again: Any):
    model = nn.SequenceModel(nn.GRUCell(3, 4, seed=0), nn.Linear(4, 5, seed=1)).to(np.float64)
    fast, xs = ts.compile(model), np.random.default_rng(0).normal(size=(7, 3, 3))
    expected = fast(xs)[0].data
    other = again(fast)
    for parameter in model.parameters():
        parameter.assign(parameter.data * 0.5)
    np.testing.assert_allclose(other(xs)[0].data, expected, rtol=1e-12)
    np.testing.assert_allclose(fast(xs)[0].data, model(xs)[0].data, rtol=1e-10)
    assert list(other.state_dict()) == list(model.state_dict())


def test_what_there_is_of_the_cell_there_is_of_the_compiled_cell():
    cell = nn.LSTMCell(3, 4)
    fast: Any = ts.compile(cell)
    assert (fast.hidden_size, fast.input_size) == (4, 3)
    assert fast.weight_hh is cell.weight_hh
    with pytest.raises(AttributeError, match="no_such"):
        fast.no_such  # noqa: B018
    fast.remark = "fast"
    assert cell.remark == "fast"  # type: ignore[attr-defined]


def test_compiling_what_is_compiled_changes_nothing():
    cell = ts.compile(nn.LSTMCell(3, 4))
    assert ts.compile(cell) is cell


@pytest.mark.parametrize(
    "make", [lambda: nn.LSTM(3, 4, 2), lambda: nn.SequenceModel(nn.GRUCell(3, 4), nn.Linear(4, 2))]
)
def test_compiling_a_compiled_layer_or_model_changes_nothing(make: Any):
    fast = ts.compile(make())
    assert ts.compile(fast) is fast


def test_a_model_around_a_compiled_cell_can_be_compiled_as_well():
    cell = ts.compile(nn.GRUCell(3, 4, seed=0).to(np.float64))
    model = nn.SequenceModel(cell, nn.Linear(4, 2, seed=1).to(np.float64))
    fast, xs = ts.compile(model), np.random.default_rng(0).normal(size=(5, 2, 3))
    np.testing.assert_allclose(fast(xs)[0].data, model(xs)[0].data, rtol=1e-10)
    assert fast.cell is cell and len(fast.compiled_step.cell.loops) == 1


def test_the_original_is_left_as_it_was():
    cell = nn.LSTMCell(3, 4, seed=0).to(np.float64)
    layer = nn.LSTM(3, 4, seed=0)
    xs, before = np.ones((4, 2, 3)), ts.unroll(cell, np.ones((4, 2, 3)))[0].data
    attributes = {name: id(value) for name, value in vars(cell).items()}
    ts.unroll(ts.compile(cell), xs)
    ts.compile(layer)
    now = {name: id(value) for name, value in vars(cell).items()}
    assert now == attributes, "not even its name in the pictures"
    assert all(type(inside) is nn.LSTMCell for inside in layer.cells)
    np.testing.assert_array_equal(ts.unroll(cell, xs)[0].data, before)


def test_training_through_the_compiled_cell_trains_the_original():
    cell = nn.GRUCell(3, 4, seed=0).to(np.float64)
    fast, weights = ts.compile(cell), cell.weight_hh.data.copy()
    optimizer = optim.SGD(fast.parameters(), lr=0.01)
    xs = np.random.default_rng(0).normal(size=(6, 2, 3))
    losses = []
    for _ in range(5):
        loss = ((ts.unroll(fast, xs)[0] - 0.3) ** 2).sum()
        fast.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    assert np.abs(cell.weight_hh.data - weights).max() > 1e-3
    np.testing.assert_allclose(ts.unroll(cell, xs)[0].data, ts.unroll(fast, xs)[0].data, rtol=1e-10)


def test_weights_are_loaded_into_the_original():
    source, cell = nn.LSTMCell(3, 4, seed=1), nn.LSTMCell(3, 4, seed=2)
    fast, xs = ts.compile(cell), np.ones((3, 2, 3), np.float32)
    ts.unroll(fast, xs)
    fast.load_state_dict(source.state_dict())
    expected = ts.unroll(source, xs)[0].data
    np.testing.assert_allclose(ts.unroll(fast, xs)[0].data, expected, rtol=1e-5)
    np.testing.assert_allclose(ts.unroll(cell, xs)[0].data, expected, rtol=1e-5)


def test_another_dtype_is_another_loop():
    cell = nn.LSTMCell(3, 4, seed=0)
    fast = ts.compile(cell)
    for dtype in (np.float32, np.float64, np.float32):
        cell.to(dtype)
        ys, _ = ts.unroll(fast, np.ones((3, 2, 3), dtype))
        assert ys.dtype == dtype


@pytest.mark.parametrize("again", [copy.deepcopy, lambda fast: pickle.loads(pickle.dumps(fast))])
@pytest.mark.parametrize("ran", [False, True])
def test_a_copy_is_a_cell_of_its_own(again: Any, ran: bool):
    c = case(LSTM, 5, 3)
    fast = ts.compile(c.cell)
    expected = of_case(c.cell, c)
    if ran:
        of_case(fast, c)
    other = again(fast)
    for parameter in c.cell.parameters():
        parameter.assign(parameter.data * 0.5)
    assert_same(of_case(other, c), expected)
    assert_same(of_case(fast, c), of_case(c.cell, c))


def stack_with_dropout(*sizes: int) -> nn.Stacked:
    pairs = zip(sizes, sizes[1:], strict=False)
    cells = [nn.LSTMCell(below, size, seed=size) for below, size in pairs]
    return nn.Stacked(cells, dropout=0.5, seed=2).to(np.float64)


@pytest.mark.parametrize("settings", [{}, {"lengths": [4, 1]}, {"detach_every": 3}])
def test_dropout_between_two_cells_draws_the_same_numbers(settings: Any):
    xs = np.random.default_rng(0).normal(size=(4, 2, 3))
    cell, twin = stack_with_dropout(3, 4, 2), stack_with_dropout(3, 4, 2)
    fast = ts.compile(twin)
    for _ in range(2):  # other numbers the second time, in the same loops
        assert_same(
            results(fast, xs, twin.init_state(2), **settings),
            results(cell, xs, cell.init_state(2), **settings),
        )
    assert all("for t in range" in source for source in fast.source.split("def build")[1:])
    assert fast.source.count("def build") == fast.explain().count("forward\n") == 2
    assert list(fast.state_dict()) == list(cell.state_dict())


def test_the_schedule_of_such_a_stack_is_that_of_one_cell():
    fast = ts.compile(stack_with_dropout(3, 4, 2))
    ts.unroll(fast, np.ones((4, 2, 3)))
    with pytest.raises(CompileError, match=r"fast.layers\[k\].schedule"):
        _ = fast.schedule
    assert {placed.place for placed in fast.layers[1].schedule} >= {"before", "loop"}


def test_dropout_between_three_cells_is_dropout():
    """The numbers come in another order, so it is compared in what they do: half of them count."""
    fast, xs = ts.compile(stack_with_dropout(3, 4, 4, 2)), np.ones((50, 20, 3))
    ys = ts.unroll(fast, xs)[0].data
    assert np.isfinite(ys).all() and len(np.unique(ys[3, :, 0])) > 10
    copied = pickle.loads(pickle.dumps(fast))
    assert np.array_equal(ts.unroll(copied, xs)[0].data, ts.unroll(fast, xs)[0].data)


def test_evaluation_and_training_are_seen_from_either_side():
    xs = np.random.default_rng(0).normal(size=(4, 2, 3))
    for side in ("cell", "fast"):
        cell = stack_with_dropout(3, 4, 2)
        fast = ts.compile(cell)
        switch = cell if side == "cell" else fast
        dropped = ts.unroll(fast, xs)[0].data
        switch.eval()
        expected = ts.unroll(cell, xs)[0].data
        np.testing.assert_allclose(ts.unroll(fast, xs)[0].data, expected, rtol=1e-10)
        assert not np.allclose(dropped, expected)
        switch.train()
        assert not np.allclose(ts.unroll(fast, xs)[0].data, expected)


def test_settings_that_change_after_the_first_run_are_seen():
    """An attribute of the cell is no constant of nature."""
    cell = nn.OutputRecurrentCell(3, 4, 2, seed=0).to(np.float64)
    fast, xs = ts.compile(cell), np.random.default_rng(0).normal(size=(4, 2, 3))
    ts.unroll(fast, xs)
    cell.feedback = ops.softmax
    expected = ts.unroll(cell, xs)[0].data
    np.testing.assert_allclose(ts.unroll(fast, xs)[0].data, expected, rtol=1e-10)


def test_a_parameter_that_is_replaced_is_seen():
    cell = nn.ElmanCell(3, 4, seed=0).to(np.float64)
    fast, xs = ts.compile(cell), np.random.default_rng(0).normal(size=(4, 2, 3))
    ts.unroll(fast, xs)
    cell.weight_hh = nn.Parameter(np.eye(4) * 0.5, "W")
    expected = ts.unroll(cell, xs)[0].data
    np.testing.assert_allclose(ts.unroll(fast, xs)[0].data, expected, rtol=1e-10)


def test_shared_parameters_add_up():
    class Tied(nn.Cell):
        hidden_size = 3

        def __init__(self) -> None:
            self.W = nn.Parameter(np.random.default_rng(0).normal(size=(3, 3)))
            self.same = self.W

        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            h = ops.tanh(ops.linear(x, self.W) + ops.linear(h, self.same))
            return h @ self.W, h

    cell, xs = Tied(), np.random.default_rng(1).normal(size=(4, 2, 3))
    fast = ts.compile(cell)
    (a,), (b,) = (ts.grad(ts.unroll(m, xs)[0].sum(), cell.parameters()) for m in (fast, cell))
    np.testing.assert_allclose(a, b, rtol=1e-10)
    assert list(fast.state_dict()) == ["W", "same"]


def test_a_cell_of_which_a_parameter_is_never_used():
    class Idle(nn.Cell):
        hidden_size = 3

        def __init__(self) -> None:
            self.W = nn.Parameter(np.eye(3))
            self.idle = nn.Parameter(np.ones((2, 2)))

        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            h = ops.tanh(ops.linear(x + h, self.W))
            return h, h

    cell = Idle()
    ts.unroll(ts.compile(cell), np.ones((4, 2, 3)))[0].sum().backward()
    assert np.abs(cell.W.grad).max() > 0
    assert cell.idle.grad is None, "as unroll has it"


def test_its_text_names_the_cell():
    assert "weight_hh=(16, 4)" in repr(ts.compile(nn.LSTMCell(3, 4)))
