"""threads of compiled loops: a batch in parts, the same numbers, and when it is left whole."""

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, of_case, results
from nn.checks import every_cell
from nn.registry import CELLS, Entry, I, case
from tinyseq import nn, ops
from tinyseq import threads as number_of_threads
from tinyseq.compile import emit_numpy
from tinyseq.compile.run import assemble, split
from tinyseq.errors import ConfigError

LSTM = next(entry for entry in CELLS if entry.name == "lstm")


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little there is to do."""
    monkeypatch.setattr(assemble, "INTERPRETER", 1e-9)
    monkeypatch.setattr(assemble, "START", 1e-9)


def told(fast: Any) -> str:
    """What ``explain`` says about threads."""
    return fast.explain().splitlines()[-1]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


# -- the same numbers -----------------------------------------------------------------------------


@every_cell
@pytest.mark.parametrize("batch, threads", [(2, 2), (5, 2), (5, 3), (3, 7)])
@pytest.mark.usefixtures("always")
def test_of_every_cell(entry: Entry, batch: int, threads: int):
    c = case(entry, 5, batch)
    fast = ts.compile(c.cell, threads=threads)
    lengths = [4, 2, 5, 0, 1][:batch]
    for how in ({}, {"reverse": True, "lengths": lengths}, {"detach_every": 2}):
        assert_same(of_case(fast, c, **how), of_case(c.cell, c, **how))
        assert told(fast) == f"{min(threads, batch)} threads, each for its rows"


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("every", [1, 3, "sqrt"])
def test_with_checkpoints(every: Any):
    c = case(LSTM, 7, 5)
    fast = ts.compile(c.cell, checkpoint_every=every, threads=2)
    assert_same(of_case(fast, c), of_case(c.cell, c))
    assert told(fast).startswith("2 threads")


@pytest.mark.usefixtures("always")
def test_every_row_is_what_it_is_alone():
    """The values of a part are those of that part by itself, bit for bit."""
    c = case(LSTM, 9, 6)
    fast, whole = ts.compile(c.cell, threads=2), ts.compile(c.cell, threads=1)
    found = of_case(fast, c)
    first = type(c.state)(*(s[:3] for s in c.state))
    expected = results(whole, c.inputs[:, :3], first)
    np.testing.assert_array_equal(found["output 0"][:, :3], expected["output 0"])


@pytest.mark.usefixtures("always")
def test_runs_repeat_bit_for_bit():
    c = case(LSTM, 20, 7, dtype=np.float32)
    fast = ts.compile(c.cell, threads=3)
    first = of_case(fast, c)
    for _ in range(20):
        again = of_case(fast, c)
        for name in first:
            np.testing.assert_array_equal(first[name], again[name])


@pytest.mark.usefixtures("always")
def test_layers_models_and_the_gradient_of_the_inputs():
    xs = random(6, 4, 3)
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True, seed=0).to(np.float64)

    def of(module: Any) -> list[np.ndarray]:
        x = ts.tensor(xs, requires_grad=True)
        ys, (h, _) = module(x, lengths=[6, 2, 0, 5])
        return [ys.data, *ts.grad((ys * ys).sum() + h.sum(), [x, *layer.parameters()])]

    for a, b in zip(of(ts.compile(layer, threads=2)), of(layer), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("always")
def test_a_state_that_is_handed_on_as_it_is_is_cut_too():
    """Attention over an encoder's states, which are part of the state: (N, S, H)."""

    class Attends(nn.Cell):
        def __init__(self) -> None:
            self.inner = nn.ElmanCell(3, 4, seed=0).to(np.float64)

        def __call__(self, x: Any, state: Any) -> Any:
            h, memory = state
            weights = ops.softmax((memory * ops.expand_dims(h, 1)).sum(-1))
            read = (memory * ops.expand_dims(weights, 2)).sum(1)
            h = self.inner(x, h + read)[1]
            return h, (h, memory)

    cell = Attends()
    state = (random(4, 4), random(4, 5, 4))
    fast = ts.compile(cell, threads=2)
    assert_same(results(fast, random(6, 4, 3), state), results(cell, random(6, 4, 3), state))
    assert told(fast).startswith("2 threads")


# -- what is not cut ------------------------------------------------------------------------------


class Normalized(nn.Cell):
    """An Elman cell whose state has the mean 0 over the batch."""

    def __init__(self, how: str) -> None:
        self.inner, self.how = nn.ElmanCell(I, 4, seed=0).to(np.float64), how

    def init_state(self, batch: int) -> Any:
        return self.inner.init_state(batch)

    def __call__(self, x: Any, h: Any) -> Any:
        h = self.inner(x, h)[1]
        if self.how == "mean":
            h = h - h.mean(0, keepdims=True)
        elif self.how == "mean of one number":
            h = h + 0.1 * h.sum()
        elif self.how == "largest":
            h = h - h.max(0, keepdims=True)
        elif self.how == "softmax":
            h = ops.softmax(h, axis=0)
        elif self.how == "product":
            h = h - (h @ h.T) @ h * 0.01
        elif self.how == "reversed":
            h = h[::-1]
        elif self.how == "the first one":
            h = h + h[0:1]
        elif self.how == "the size of the batch":
            h = h / h.shape[0]
        elif self.how == "reshaped":
            h = ops.reshape(ops.reshape(h, (4, h.shape[0])), h.shape) + ops.reshape(h.T, h.shape)
        return h, h


MIXING = [
    "mean", "mean of one number", "largest", "softmax", "product", "reversed", "the first one",
    "the size of the batch", "reshaped",
]  # fmt: skip


@pytest.mark.parametrize("how", MIXING)
@pytest.mark.parametrize("batch", [4, 6])
@pytest.mark.usefixtures("always")
def test_a_step_that_mixes_the_batch_is_not_cut(how: str, batch: int):
    cell = Normalized(how)
    fast = ts.compile(cell, threads=2)
    xs, state = random(5, batch, I), random(batch, 4)
    assert_same(results(fast, xs, state), results(cell, xs, state))
    assert told(fast).startswith("1 thread: "), told(fast)


def test_the_reason_names_the_operation(always: None):
    fast = ts.compile(Normalized("mean"), threads=2)
    ts.unroll(fast, random(5, 4, I), random(4, 4))
    assert "mixes the sequences of a batch" in told(fast) and "Normalized" in told(fast)


@pytest.mark.usefixtures("always")
def test_numbers_of_every_sequence_in_the_cell_itself():
    """What the step reads from outside has as many rows as the batch: it cannot run on fewer."""

    class Own(nn.Cell):
        def __init__(self) -> None:
            self.inner = nn.ElmanCell(I, 4, seed=0).to(np.float64)
            self.context = ts.tensor(random(4, 4), requires_grad=True)

        def __call__(self, x: Any, h: Any) -> Any:
            h = self.inner(x, h + self.context)[1]
            return h, h

    cell = Own()
    fast = ts.compile(cell, threads=2)
    assert_same(
        results(fast, random(5, 4, I), random(4, 4)), results(cell, random(5, 4, I), random(4, 4))
    )
    assert told(fast).startswith("1 thread: ")


@pytest.mark.usefixtures("always")
def test_a_state_without_a_batch():
    class Counts(nn.Cell):
        def __init__(self) -> None:
            self.inner = nn.ElmanCell(I, 4, seed=0).to(np.float64)

        def __call__(self, x: Any, state: Any) -> Any:
            h, count = state
            h = self.inner(x, h * ops.tanh(count))[1]
            return h, (h, count + 1.0)

    cell, state = Counts(), (random(4, 4), np.array(1.0))
    fast = ts.compile(cell, threads=2)
    xs = random(5, 4, I)
    assert_same(results(fast, xs, state), results(cell, xs, state))
    assert told(fast).startswith("1 thread: ")


@pytest.mark.usefixtures("always")
def test_a_batch_of_one_and_one_thread():
    c = case(LSTM, 4, 1)
    fast = ts.compile(c.cell, threads=2)
    assert_same(of_case(fast, c), of_case(c.cell, c))
    assert told(fast) == "1 thread: the batch is 1"
    c, fast = case(LSTM, 4, 3), ts.compile(c.cell, threads=1)
    of_case(fast, c)
    assert told(fast) == "1 thread: threads=1"


def test_the_reason_for_one_thread_is_the_one_that_there_is(monkeypatch: pytest.MonkeyPatch):
    def reason() -> str:
        fast = ts.compile(nn.LSTMCell(8, 8, seed=0))
        ts.unroll(fast, random(5, 8, 8).astype(np.float32))
        return told(fast)

    variables = "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"
    for variable in variables:
        monkeypatch.delenv(variable, raising=False)
    with number_of_threads.one_thread():
        assert reason() == "1 thread: it is inside of one_thread"
    monkeypatch.setattr(number_of_threads, "_openblas", lambda: (lambda: 1, lambda count: None))
    assert reason() == "1 thread: NumPy's products use one"
    for variable in reversed(variables):  # the first of them decides
        monkeypatch.setenv(variable, "1")
        assert reason() == f"1 thread: {variable}=1"
    monkeypatch.setattr(number_of_threads, "_openblas", lambda: None)
    assert "another library than OpenBLAS" in reason()


def test_small_steps_are_left_to_one_thread():
    fast = ts.compile(nn.LSTMCell(8, 8, seed=0), threads=2)
    ts.unroll(fast, random(50, 16, 8).astype(np.float32))
    assert told(fast).startswith("1 thread: a step takes some")


def test_large_ones_are_not():
    fast = ts.compile(nn.LSTMCell(256, 256, seed=0), threads=2)
    ts.unroll(fast, random(50, 64, 256).astype(np.float32))
    assert told(fast).startswith("2 threads")


# -- threads --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("always")
def test_the_number_of_blas_threads_is_one_inside_and_as_before_afterwards(monkeypatch: Any):
    number, seen = [4], []
    functions = lambda: number[0], lambda n: number.__setitem__(0, n)  # noqa: E731
    monkeypatch.setattr(number_of_threads, "_openblas", lambda: functions)
    put = split._put
    monkeypatch.setattr(split, "_put", lambda *args: (seen.append(number[0]), put(*args)))
    c = case(LSTM, 5, 4)
    of_case(ts.compile(c.cell, threads=2), c)
    assert number == [4] and set(seen) == {1}


@pytest.mark.usefixtures("always")
def test_none_is_as_many_as_the_products_use(monkeypatch: Any):
    number = [3]
    functions = lambda: number[0], lambda n: number.__setitem__(0, n)  # noqa: E731
    monkeypatch.setattr(number_of_threads, "_openblas", lambda: functions)
    for variable in number_of_threads._VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    c = case(LSTM, 5, 4)
    fast = ts.compile(c.cell)
    of_case(fast, c)
    assert told(fast).startswith("3 threads")
    with number_of_threads.one_thread():
        fast = ts.compile(c.cell)
        of_case(fast, c)
    assert told(fast).startswith("1 thread: ")


@pytest.mark.usefixtures("always")
def test_a_limit_holds_for_loops_that_were_made_before(monkeypatch: Any):
    """The same parts, one after the other: the same bits."""
    for variable in number_of_threads._VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    c = case(LSTM, 5, 4)
    fast = ts.compile(c.cell, threads=2)
    before = of_case(fast, c)
    assert told(fast).startswith("2 threads")

    def no_thread(*args: Any, **settings: Any) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(split, "Thread", no_thread)
    with number_of_threads.one_thread():
        for name, found in of_case(fast, c).items():
            np.testing.assert_array_equal(found, before[name])
    with pytest.raises(AssertionError, match="a thread was started"):
        of_case(fast, c)


def seen_inside(monkeypatch: Any, cell: Any, xs: Any, **settings: Any) -> set[int]:
    """The numbers of BLAS threads while a loop runs, of a library that has 4."""
    number, seen = [4], set()
    functions = lambda: number[0], lambda n: number.__setitem__(0, n)  # noqa: E731
    monkeypatch.setattr(number_of_threads, "_openblas", lambda: functions)
    build = emit_numpy.Emitted.build

    def watched(function: Any) -> Any:
        return lambda *arrays: (seen.add(number[0]), function(*arrays))[1]

    def build_watched(self: Any) -> Any:
        return tuple(map(watched, build(self)))

    monkeypatch.setattr(emit_numpy.Emitted, "build", build_watched)
    ts.unroll(ts.compile(cell, **settings), xs)
    monkeypatch.setattr(emit_numpy.Emitted, "build", build)
    assert number == [4]
    return seen


def test_small_products_use_one_thread_large_ones_what_there_is(monkeypatch: Any):
    small, large = nn.ElmanCell(4, 4, seed=0), nn.ElmanCell(3000, 3000, seed=0)
    few, wide = np.ones((3, 8, 4), np.float32), np.ones((1, 1, 3000), np.float32)
    assert seen_inside(monkeypatch, small, few) == {1}
    assert seen_inside(monkeypatch, small, few, threads=1) == {1}
    assert seen_inside(monkeypatch, large, wide) == {4}
    assert seen_inside(monkeypatch, large, wide, threads=1) == {1}


@pytest.mark.usefixtures("always")
def test_an_error_in_a_part_is_raised_and_no_thread_stays(monkeypatch: Any):
    c = case(LSTM, 5, 4)
    fast = ts.compile(c.cell, threads=2)
    of_case(fast, c)
    before = threading.active_count()
    put = split._put

    def failing(wholes: Any, parts: Any, rows: slice, axis: int) -> None:
        if rows.start:
            raise FloatingPointError("in the second part")
        put(wholes, parts, rows, axis)

    monkeypatch.setattr(split, "_put", failing)
    with pytest.raises(FloatingPointError, match="in the second part"):
        ts.unroll(fast, c.inputs, c.state)
    monkeypatch.setattr(split, "_put", put)
    assert threading.active_count() == before
    assert_same(of_case(fast, c), of_case(c.cell, c))


@pytest.mark.usefixtures("always")
def test_settings_of_the_calling_thread_hold_in_the_others():
    """np.errstate is a setting of a thread: a division by zero in the last row is seen."""

    class Divides(nn.Cell):
        def __call__(self, x: Any, h: Any) -> Any:
            return h, 1.0 / (h * x)

    fast = ts.compile(Divides(), threads=2)
    xs, state = np.ones((3, 4, 2)), np.ones((4, 2))
    xs[1, 3] = 0
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        ts.unroll(fast, xs, state)
    with np.errstate(all="ignore"):
        ys, _ = ts.unroll(fast, xs, state)
    assert np.isinf(ys.data[2, 3]).all()


@pytest.mark.usefixtures("always")
def test_used_from_several_threads_at_once():
    c = case(LSTM, 12, 4)
    fast, expected = ts.compile(c.cell, threads=2), of_case(c.cell, c)
    wrong: list[str] = []

    def run() -> None:
        try:
            for _ in range(10):
                assert_same(of_case(fast, c), expected)
        except BaseException as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.usefixtures("always")
def test_a_forked_process_can_go_on():
    """No thread is kept between runs that a child process would wait for in vain."""
    program = """
import os, sys, numpy as np, tinyseq as ts
from tinyseq import nn
from tinyseq.compile.run import assemble
assemble.INTERPRETER = assemble.START = 1e-9
fast = ts.compile(nn.LSTMCell(2, 3, seed=0), threads=2)
run = lambda: ts.unroll(fast, np.ones((4, 6, 2), np.float32))[0].data
before = run()
child = os.fork()
if not child:
    os._exit(0 if (run() == before).all() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    found = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True)
    assert found.returncode == 0, found.stderr.decode()


@pytest.mark.parametrize("threads", [0, -1, 2.0, True, "two"])
def test_a_number_that_is_none(threads: Any):
    with pytest.raises(ConfigError, match="threads is a number from 1 on"):
        ts.compile(nn.LSTMCell(2, 3), threads=threads)
