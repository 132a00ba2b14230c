"""Loops on the GPU: how many launches a step takes, and when they become a CUDA graph."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import strict_cuda
import tinyseq as ts
from compile.checks import assert_same, leaf
from compile.gpu import case_on_gpu, emitted, run, to_host
from nn.registry import CELLS, each
from tinyseq.compile.cuda.graph import Captured

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
