"""Loops on the GPU: what their threads compute, and what surrounds them."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, gradients, leaf, values
from compile.gpu import case_on_gpu, entry, page_of, run, to_host
from nn.registry import case
from strict_cupy import count_syncs
from tinyseq import nn, ops
from tinyseq.errors import BackendError, CompileError, GraphError


class Reads(nn.Cell):
    """Reads a table by the numbers it is given."""

    def __init__(self) -> None:
        self.table = nn.Parameter(np.arange(12.0).reshape(4, 3))

    def init_state(self, batch: int) -> Any:
        return np.zeros((batch, 3))

    def __call__(self, x: Any, state: Any) -> Any:
        y = ops.tanh(state + ops.take(self.table, x))
        return y, y


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_a_table_is_read_by_number_and_never_beside_it(cp: ModuleType, dtype: Any):
    cell = Reads()
    fast = ts.compile(cell.to("cupy"))
    with ts.no_grad():
        ids = cp.asarray(np.array([[3, -4], [0, -1]], dtype))
        ys, _ = ts.unroll(fast, ids, cp.zeros((2, 3)))
        expected, _ = ts.unroll(cell, ids, cp.zeros((2, 3)))
        assert_same(to_host({"": ys.data}), to_host({"": expected.data}))
        ys, _ = ts.unroll(fast, cp.asarray(np.array([[4, 0], [0, -5]], dtype)), cp.zeros((2, 3)))
    # CuPy would take another row in silence; here there is no number to go on with
    missing = np.isnan(to_host({"": ys.data})[""])
    assert missing.tolist() == [[[True] * 3, [False] * 3], [[True] * 3, [True] * 3]]


def test_an_index_that_cannot_be_checked_is_refused(cp: ModuleType):
    cell = Reads()
    fast = ts.compile(cell.to("cupy"))
    with pytest.raises(CompileError, match="take, with indices of int32 or int64"):
        ts.unroll(fast, cp.asarray(np.zeros((2, 2), np.int16)), cp.zeros((2, 3)))


class Numbers(nn.Cell):
    """Numbers that C does not write as Python does."""

    def __init__(self) -> None:
        self.w = nn.Parameter(np.linspace(-2, 2, 4))

    def init_state(self, batch: int) -> Any:
        return np.zeros((batch, 4))

    def __call__(self, x: Any, state: Any) -> Any:
        a = ops.maximum(state + x, -float("inf"))
        b = ops.where(a > 1e30, float("nan"), a * -1e-30 * 1e30 + 1e-05)
        c = ops.minimum(b, float("inf")) + ops.relu(b) + ops.softplus(-b) + abs(b) ** 2 + 3
        y = ops.tanh(0.1 * c * self.w + (b >= 0).astype(b.dtype))
        return y, y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_of_every_kind(cp: ModuleType, dtype: Any):
    cell = Numbers().to(dtype)
    xs = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(dtype)
    state = np.zeros((2, 4), dtype)
    expected = of_run(cell, xs, state)
    cell.to("cupy")
    found = of_run(ts.compile(cell), cp.asarray(xs), cp.asarray(state))
    assert_same(to_host(found), expected)


def of_run(cell: Any, xs: Any, state: Any) -> dict[str, Any]:
    xs, before = leaf(xs), leaf(state)
    ys, after = ts.unroll(cell, xs, before)
    return {**values(ys, after), **gradients(cell, xs, before, ys, after)}


def test_not_a_number_stays_what_it_is(cp: ModuleType):
    cell = nn.ElmanCell(2, 3, nonlinearity="relu", seed=0).to(np.float64)
    cell.to("cupy")
    xs = np.zeros((2, 2, 2))
    xs[0, 1, 0] = np.nan
    with ts.no_grad():
        ys, _ = ts.unroll(ts.compile(cell), cp.asarray(xs), cp.zeros((2, 3)))
    assert np.isnan(to_host({"": ys.data})[""]).all(axis=(0, 2)).tolist() == [False, True]


def test_layers_on_the_gpu(cp: ModuleType):
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True, seed=0)
    xs = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    expected, (h, c) = layer(xs)
    layer.to("cupy")
    fast = ts.compile(layer)
    found, (gh, gc) = fast(cp.asarray(xs))
    for a, b in ((found, expected), (gh, h), (gc, c)):
        assert_same(to_host({"": a.data}), {"": b.data}, 1e-5)
    assert "extern" in fast.cells[0].source


def test_arrays_of_both_libraries_are_refused(cp: ModuleType):
    c = case_on_gpu(cp, "lstm")
    host = case(entry("lstm"), 3, 2)
    fast = ts.compile(c.cell)
    with pytest.raises(BackendError, match="two libraries"):
        ts.unroll(fast, host.inputs, c.state)
    with pytest.raises(BackendError, match="two libraries"):
        ts.unroll(ts.compile(host.cell), c.inputs, c.state)


def test_a_cell_goes_there_and_back(cp: ModuleType):
    """Loops for the host and for the GPU are kept side by side."""
    host = case(entry("lstm"), 3, 2)
    fast = ts.compile(host.cell)
    expected = run(host.cell, host)
    for _ in range(2):
        c = case_on_gpu(cp, "lstm")
        fast.cell.to("cupy")
        assert_same(run(fast, c), expected)
        assert "extern" in fast.source
        fast.cell.to("numpy")
        assert_same(run(fast, host), expected)
        assert "extern" not in fast.source
    assert len(fast.loops) == 2


def test_the_second_derivative_is_refused(cp: ModuleType):
    c = case_on_gpu(cp, "elman")
    ys, _ = ts.unroll(ts.compile(c.cell), leaf(c.inputs), c.state)
    with pytest.raises(GraphError, match="run the original cell"):
        ts.grad((ys * ys).sum(), c.cell.parameters(), create_graph=True)


class Held(nn.Cell):
    """Reads an array that it holds: of the GPU, or of the host."""

    def __init__(self, mask: Any) -> None:
        self.w = nn.Parameter(np.linspace(-1, 1, 4))
        self.mask = mask

    def init_state(self, batch: int) -> Any:
        return np.zeros((batch, 4))

    def __call__(self, x: Any, state: Any) -> Any:
        y = ops.tanh(ops.where(self.mask, x, state) * self.w)
        return y, y


def test_an_array_in_an_attribute_is_read_anew(cp: ModuleType):
    cell = Held(cp.asarray(np.array([True, False, True, False])))
    cell.to("cupy")
    fast = ts.compile(cell)
    xs = cp.asarray(np.random.default_rng(0).normal(size=(3, 2, 4)))
    for mask in ([1, 0, 1, 0], [0, 0, 1, 1]):
        cell.mask = cp.asarray(np.array(mask, bool))
        with ts.no_grad():
            found, expected = (ts.unroll(f, xs, cp.zeros((2, 4)))[0].data for f in (fast, cell))
        assert_same(to_host({"": found}), to_host({"": expected}))


class Halves(nn.Cell):
    """In float16, which no kernel computes: CuPy does it, operation by operation."""

    def init_state(self, batch: int) -> Any:
        return np.zeros((batch, 2), np.float16)

    def __call__(self, x: Any, state: Any) -> Any:
        y = ops.tanh(x + state)
        return y, y


def test_what_no_kernel_computes_cupy_does(cp: ModuleType):
    xs = np.random.default_rng(0).normal(size=(3, 2, 2)).astype(np.float16)
    expected, _ = ts.unroll(Halves(), xs, np.zeros((2, 2), np.float16))
    fast = ts.compile(Halves())
    for _ in range(2):
        with count_syncs() as syncs:
            found, _ = ts.unroll(fast, cp.asarray(xs), cp.zeros((2, 2), np.float16))
    assert syncs == []
    assert_same(to_host({"": found.data}), {"": expected.data}, 1e-3)
    assert page_of(fast).captured["forward"] == "add, tanh"
    assert "not captured as a CUDA graph" in fast.source
