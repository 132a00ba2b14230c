"""Loops on the GPU: launches, graphs, memory, streams, and what is refused."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import strict_cuda
import tinyseq as ts
from compile.checks import assert_same, gradients, leaf, of_case, values
from compile.gpu import case_on_gpu, emitted, entry, page_of, run, to_host
from nn.registry import CELLS, case, each
from strict_cupy import count_syncs
from tinyseq import nn, ops
from tinyseq.compile.cuda.graph import Captured, Turns
from tinyseq.errors import BackendError, CompileError, GraphError

# Kernels and products of a step, forward and back. A step can do with as many kernels as there are
# products one behind the other, and no cell whose products stand side by side has more than one.
LAUNCHES = {
    "elman": ((1, 1), (1, 1)),
    "lstm": ((1, 1), (1, 1)),
    "lstm sigmoid": ((1, 1), (1, 1)),
    "peephole": ((1, 1), (1, 1)),
    "coupled forget": ((1, 1), (1, 1)),
    "gru after keep tanh": ((1, 1), (1, 1)),
    "gru before keep tanh": ((2, 2), (2, 2)),
    "mut1": ((2, 2), (2, 2)),
    "leaky": ((1, 1), (1, 1)),
    "clockwork": ((1, 1), (1, 1)),
}


@pytest.mark.parametrize("name", LAUNCHES)
@pytest.mark.parametrize("ragged", [False, True])
def test_a_step_is_one_kernel_for_each_product_in_a_row(name: str, ragged: bool):
    page = emitted(name, ragged=ragged).source
    for which, expected in zip(("forward", "backward"), LAUNCHES[name], strict=True):
        loop = page.split(f"def {which}_loop():\n")[1].split("\n\n")[0]
        assert (loop.count(f"{which}_loop_"), loop.count("xp.dot(")) == expected
        assert len(loop.splitlines()) == 1 + sum(expected)  # and nothing else


def test_which_loops_cannot_be_captured():
    """Those in which CuPy allocates memory: one cell, for its softmax and the sum in its slope."""
    allocating = {e.name: emitted(e.name).captured for e in CELLS}
    assert {name: what for name, what in allocating.items() if any(what.values())} == {
        "output recurrence, softmax of o to h": {"forward": "softmax", "backward": "sum"}
    }


# -- graphs ------------------------------------------------------------------------------------


def test_a_loop_is_captured_once_for_each_memory(cp: ModuleType, loops: list[Any]):
    c = case_on_gpu(cp, "lstm")
    fast = ts.compile(c.cell)
    expected = run(c.cell, c)
    for number in range(4):
        assert_same(run(fast, c), expected)
        assert len(loops) == 2  # one memory, with a loop in each direction
        assert [loop.captures for loop in loops] == [number > 0] * 2
    graphs = [loop.graph for loop in loops]
    runs = [ts.unroll(fast, leaf(c.inputs), each(leaf, c.state))[0] for _ in range(2)]
    assert len(loops) == 4 and [loop.graph for loop in loops[:2]] == graphs
    for ys in runs:
        assert_same(to_host({"output 0": ys.data}), {"output 0": expected["output 0"]})


def test_where_a_capture_fails_the_loop_runs_as_it_stands(
    loops: list[Any], monkeypatch: pytest.MonkeyPatch
):
    for breaks in ("begin_capture", "end_capture"):
        cp = strict_cuda_double(monkeypatch)
        c = case_on_gpu(cp, "lstm")
        real = getattr(strict_cuda.Stream, breaks)

        def fail(stream: Any, *args: Any, real: Any = real, breaks: str = breaks) -> Any:
            if breaks == "end_capture":
                real(stream)
            raise strict_cuda.CUDARuntimeError("cudaErrorStreamCaptureInvalidated")

        with monkeypatch.context() as patch:
            patch.setattr(strict_cuda.Stream, breaks, fail)
            fast = ts.compile(c.cell)
            for _ in range(3):
                assert_same(run(fast, c), run(c.cell, c))
        assert all(loop.graph is None and "Invalidated" in loop.refused for loop in loops)
        assert strict_cuda.capture.launches is None
        loops.clear()


def strict_cuda_double(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    import strict_cupy

    return strict_cupy.install(monkeypatch)


def test_a_fault_of_the_loop_itself_is_not_taken_for_one_of_the_capture():
    calls = []

    def loop() -> None:
        calls.append(None)
        if len(calls) > 1:
            raise ZeroDivisionError

    captured = Captured(ModuleType("cupy"), loop)
    captured.xp.cuda = strict_cuda.cuda
    captured()
    with pytest.raises(ZeroDivisionError):
        captured()
    assert strict_cuda.capture.launches is None


def test_the_double_refuses_what_allocates_during_a_capture(monkeypatch: pytest.MonkeyPatch):
    cp = strict_cuda_double(monkeypatch)
    a, b = cp.asarray(np.eye(3)), cp.empty((3, 3))
    wide = cp.empty((3, 6))
    with cp.cuda.Stream() as stream:
        stream.begin_capture()
        for refused in (
            lambda: a + a,
            lambda: cp.empty(3),
            lambda: cp.dot(a, a),
            lambda: cp.dot(a, b, out=b),
            lambda: cp.dot(wide[:, ::2], a, out=b),
            lambda: cp.dot(a[:1], a[:, :1], out=b[:1, :1]),
            lambda: cp.tanh(a, out=b),
            lambda: b.fill(0),
            lambda: a.get(),
        ):
            with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureUnsupported"):
                refused()
        cp.dot(a[:2], a.T, out=b[:2])
        graph = stream.end_capture()
    a[...] = 2 * a
    graph.launch()
    np.testing.assert_array_equal(b.get()[:2], 4 * np.eye(3)[:2])  # it ran now, not before


# -- memory ------------------------------------------------------------------------------------


def test_two_forward_passes_before_a_backward_pass(cp: ModuleType):
    first, second = (case_on_gpu(cp, "lstm", seed=seed) for seed in (1, 2))
    second.cell = first.cell
    fast = ts.compile(first.cell)
    for _ in range(3):
        runs = []
        for c in (first, second):
            xs, before = leaf(c.inputs), type(c.state)(*map(leaf, c.state))
            runs.append((c, xs, before, *ts.unroll(fast, xs, before)))
        for c, xs, before, ys, after in reversed(runs):
            expected = run(c.cell, c)
            assert_same(to_host(values(ys, after)), expected_part(expected, "gradient", False))
            for _ in range(2):  # again: with retain_graph, a pass leaves all as it was
                found = gradients(fast, xs, before, ys, after, retain_graph=True)
                assert_same(to_host(found), expected_part(expected, "gradient", True))


def expected_part(results: dict[str, Any], start: str, wanted: bool) -> dict[str, Any]:
    return {name: a for name, a in results.items() if name.startswith(start) == wanted}


def test_results_are_the_callers_alone(cp: ModuleType):
    c = case_on_gpu(cp, "gru after keep tanh")
    fast = ts.compile(c.cell)
    expected = run(c.cell, c)
    found = of_case(fast, c)
    kept = to_host(found)
    for array in found.values():
        array[...] = 7  # whatever the caller does with them
    assert_same(run(fast, c), expected)
    assert_same(kept, expected)


def test_parameters_are_read_anew_in_every_run(cp: ModuleType):
    c = case_on_gpu(cp, "lstm")
    fast = ts.compile(c.cell)
    for _ in range(4):
        assert_same(run(fast, c), run(c.cell, c))
        for parameter in c.cell.parameters():
            parameter.assign(parameter.data * 0.5 + 0.1)


def test_inputs_that_do_not_lie_in_one_piece(cp: ModuleType):
    for name in ("lstm", "clamped"):
        c = case_on_gpu(cp, name, 5)
        c.inputs = cp.asarray(np.asfortranarray(to_host({"": c.inputs})[""]))[::-1]
        assert not c.inputs.flags.c_contiguous
        assert_same(run(ts.compile(c.cell), c), run(c.cell, c))


def test_streams_take_turns():
    """A memory that another stream has worked in waits for it, on the GPU."""
    xp = ModuleType("cupy")
    xp.cuda = strict_cuda.cuda
    turn = Turns(xp)
    work = turn(lambda: None)
    one, other = strict_cuda.Stream(), strict_cuda.Stream()
    for stream, waits in ((one, 0), (one, 0), (other, 1), (other, 1), (one, 1)):
        with stream:
            work()
        assert len(stream.waits) == waits
        assert turn.done.stream is stream


# -- what a thread computes ----------------------------------------------------------------------


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


# -- what surrounds the loop ---------------------------------------------------------------------


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


def test_each_is_for_structures(cp: ModuleType):
    """A cell with several inputs: with each of them on the GPU it runs there."""
    c = case_on_gpu(cp, "output recurrence, y and h to h")
    assert all(isinstance(a, cp.ndarray) for a in c.inputs)
    assert each(lambda a: a.shape[0], c.inputs) == type(c.inputs)(3, 3)
    assert_same(run(ts.compile(c.cell), c), run(c.cell, c))
