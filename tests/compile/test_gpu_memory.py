"""Loops on the GPU: what is in memory stays as it is for as long as somebody needs it."""

from types import ModuleType
from typing import Any

import numpy as np

import strict_cuda
import tinyseq as ts
from compile.checks import assert_same, gradients, leaf, of_case, values
from compile.gpu import case_on_gpu, run, to_host
from tinyseq.compile.cuda.graph import Turns


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


def test_results_stay_as_they_are(cp: ModuleType):
    """Whatever runs later in the same memory."""
    for name in ("lstm", "gru after keep tanh", "time skip", "output recurrence, y and h to h"):
        first, second = (case_on_gpu(cp, name, seed=seed) for seed in (1, 2))
        fast = ts.compile(first.cell)
        of_case(fast, first)
        (loop,) = fast.loops.values()
        (workspace,) = loop.free
        passes: list[Any] = []

        def forward(*arrays: Any, workspace: Any = workspace, passes: Any = passes) -> Any:
            found = workspace[0](*arrays)
            passes.append([*found[0], *found[1]])
            return found

        def backward(*arrays: Any, workspace: Any = workspace, passes: Any = passes) -> Any:
            found = workspace[1](*arrays)
            passes.append([g for group in found for g in group if g is not None])
            return found

        loop.free[:] = [(forward, backward)]
        of_case(fast, first)
        kept = [to_host({str(k): a for k, a in enumerate(arrays)}) for arrays in passes]
        of_case(fast, second)
        assert len(passes) == 4 and loop.free == [(forward, backward)]
        for before, arrays in zip(kept, passes, strict=False):
            assert_same(to_host({str(k): a for k, a in enumerate(arrays)}), before, 0)
            assert len({a.data.ptr for a in arrays}) == len(arrays)  # and none is another


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
