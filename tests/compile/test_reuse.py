"""Loops work in memory that is used again: never while anything still needs what is in it."""

import copy
import gc
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, gradients, leaf, of_case, values
from nn.registry import CELLS, Case, case
from tinyseq import nn, ops, optim
from tinyseq.errors import GraphError, ShapeError

LSTM = next(entry for entry in CELLS if entry.name == "lstm")


@pytest.fixture
def cell() -> nn.Cell:
    return LSTM.make(0).to(np.float64)


def data(steps: int, batch: int, seed: int) -> Case:
    return case(LSTM, steps, batch, seed)


class Run:
    """A forward pass whose backward pass is yet to come."""

    def __init__(self, cell: nn.Cell, c: Case, **settings: Any) -> None:
        self.cell = cell
        self.xs, self.before = leaf(c.inputs), type(c.state)(*map(leaf, c.state))
        self.ys, self.after = ts.unroll(cell, self.xs, self.before, **settings)

    def values(self) -> Any:
        return values(self.ys, self.after)

    def gradients(self, **settings: Any) -> Any:
        return gradients(self.cell, self.xs, self.before, self.ys, self.after, **settings)


def at_rest(fast: Any) -> int:
    """How many pieces of memory are free, of all the loops."""
    gc.collect()
    return sum(len(loop.free) for loop in fast.loops.values())


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_several_forward_passes_before_the_backward_passes(cell: nn.Cell, order: tuple[int, ...]):
    fast = ts.compile(cell)
    cases = [data(6, 3, seed) for seed in range(3)]
    runs = [Run(fast, c) for c in cases]
    for k in order:
        expected = of_case(cell, cases[k])
        assert_same({**runs[k].values(), **runs[k].gradients()}, expected)


def test_passes_of_all_kinds_in_turn(cell: nn.Cell):
    """Lengths, batches, paddings and directions, forwards and backwards in any order."""
    fast, rng = ts.compile(cell), np.random.default_rng(0)
    waiting: list[tuple[Run, Any]] = []
    for seed in range(40):
        steps, batch = rng.integers(1, 4), rng.integers(1, 3)
        settings: dict[str, Any] = {"reverse": bool(rng.integers(2))}
        if rng.integers(2):
            settings["lengths"] = rng.integers(0, steps + 1, batch)
        c = data(steps, batch, seed)
        waiting.append((Run(fast, c, **settings), of_case(cell, c, **settings)))
        while len(waiting) > 3:
            run, expected = waiting.pop(rng.integers(len(waiting)))
            assert_same({**run.values(), **run.gradients()}, expected)


def test_twice_backwards(cell: nn.Cell):
    fast, c = ts.compile(cell), data(6, 3, 0)
    run, expected = Run(fast, c), of_case(cell, c)
    first = run.gradients(retain_graph=True)
    Run(fast, data(6, 3, 1)).gradients()
    second = run.gradients(retain_graph=True)
    other = run.gradients(seed=2, retain_graph=True)
    again = run.gradients()
    for found in (first, second, again):
        assert_same({**run.values(), **found}, expected)
    assert_same({**run.values(), **other}, of_case(cell, c, seed=2))


def test_twice_backwards_without_asking_is_an_error(cell: nn.Cell):
    run = Run(ts.compile(cell), data(6, 3, 0))
    run.gradients()
    with pytest.raises(GraphError, match="retain_graph"):
        run.gradients()


def test_gradients_add_up_on_the_parameters(cell: nn.Cell):
    fast = ts.compile(cell)

    def added(module: nn.Cell) -> list[np.ndarray]:
        cell.zero_grad()
        for seed in range(3):
            c = data(4, 2, seed)
            ys, _ = ts.unroll(module, c.inputs, c.state)
            (ys * ys).sum().backward()
        return [p.grad.copy() for p in cell.parameters()]

    for a, b in zip(added(fast), added(cell), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_results_stay_as_they_are_after_later_passes(cell: nn.Cell):
    """Outputs, final states and gradients are the caller's own."""
    fast = ts.compile(cell)
    run = Run(fast, data(6, 3, 0))
    found = run.gradients(retain_graph=True)
    kept, kept_values = {n: g.copy() for n, g in found.items()}, run.values()
    for seed in range(1, 4):
        later = Run(fast, data(6, 3, seed))
        later.gradients()
        with ts.no_grad():
            Run(fast, data(6, 3, seed))
    run.gradients()
    assert_same(run.values(), kept_values, 0.0)
    for name, g in found.items():
        np.testing.assert_array_equal(g, kept[name])


def test_results_without_a_graph_stay_too(cell: nn.Cell):
    fast = ts.compile(cell)
    with ts.no_grad():
        run = Run(fast, data(6, 3, 0))
        kept = run.values()
        for seed in range(1, 4):
            Run(fast, data(6, 3, seed))
    assert_same(run.values(), kept, 0.0)
    assert all(t.node is None for t in (run.ys, *run.after))


def test_memory_is_used_again(cell: nn.Cell):
    fast = ts.compile(cell)
    for seed in range(5):
        Run(fast, data(6, 3, seed)).gradients()
        assert at_rest(fast) == 1
    runs = [Run(fast, data(6, 3, seed)) for seed in range(3)]
    assert at_rest(fast) == 0
    runs[1].gradients()
    assert at_rest(fast) == 1
    del runs
    assert at_rest(fast) == 3


def test_a_graph_that_is_dropped_gives_its_memory_back(cell: nn.Cell):
    fast = ts.compile(cell)
    for seed in range(5):
        run = Run(fast, data(6, 3, seed))
        del run
        assert at_rest(fast) == 1
    with ts.no_grad():
        Run(fast, data(6, 3, 9))
    assert at_rest(fast) == 1


def test_an_exception_between_the_passes_gives_the_memory_back(cell: nn.Cell):
    fast, c = ts.compile(cell), data(6, 3, 0)

    def fails() -> None:
        run = Run(fast, c)
        raise RuntimeError(f"after {run.ys.shape}")

    for _ in range(3):
        with pytest.raises(RuntimeError):
            fails()
        assert at_rest(fast) == 1
    assert_same(of_case(fast, c), of_case(cell, c))


def test_an_exception_in_the_backward_pass_leaves_the_memory_usable(cell: nn.Cell):
    fast, c = ts.compile(cell), data(6, 3, 0)

    def observe(node: Any, g: Any) -> None:
        raise RuntimeError("no more")

    for _ in range(3):
        run = Run(fast, c)
        total = ts.label(run.ys.sum(), "L")
        with pytest.raises(RuntimeError):
            total.backward(observe=observe)
        del run, total
    assert at_rest(fast) == 1
    assert_same(of_case(fast, c), of_case(cell, c))


def test_a_refused_input_leaves_the_loops_as_they_were(cell: nn.Cell):
    fast, c = ts.compile(cell), data(6, 3, 0)
    run = Run(fast, c)
    with pytest.raises(ShapeError):
        ts.unroll(fast, c.inputs[:, :, :1], c.state)
    assert_same({**run.values(), **run.gradients()}, of_case(cell, c))


def test_a_workspace_that_cannot_be_made_says_why_once(cell: nn.Cell, recwarn: Any):
    """Nothing is thrown from a destructor, which Python could only print."""
    fast, c = ts.compile(cell), data(6, 3, 0)
    Run(fast, c)
    (loop,) = fast.loops.values()
    loop.free.clear()
    loop.workspace = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        Run(fast, c)
    gc.collect()
    assert not recwarn.list


def test_the_memory_does_not_grow(cell: nn.Cell):
    fast, c = ts.compile(cell), data(50, 8, 0)
    for _ in range(3):
        Run(fast, c).gradients()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            Run(fast, c).gradients()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


def test_from_several_threads(cell: nn.Cell):
    fast = ts.compile(cell)
    cases = [data(steps, 2, steps) for steps in (5, 5, 6, 7)]
    expected = [of_case(cell, c) for c in cases]
    faults: list[Any] = []
    barrier = threading.Barrier(len(cases))

    def work(k: int) -> None:
        try:
            barrier.wait()
            for _ in range(15):
                assert_same(of_case(fast, cases[k]), expected[k])
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_backwards_in_another_thread(cell: nn.Cell):
    fast, c = ts.compile(cell), data(6, 3, 0)
    run, found = Run(fast, c), {}
    thread = threading.Thread(target=lambda: found.update(run.gradients()))
    thread.start()
    thread.join()
    assert_same({**run.values(), **found}, of_case(cell, c))


def test_many_shapes_from_several_threads(cell: nn.Cell):
    """More shapes than are kept: loops are thrown out while others look them up."""
    fast = ts.compile(cell)
    faults: list[Any] = []

    def work(first: int) -> None:
        try:
            for steps in range(first, first + 24):
                c = data(steps % 24 + 1, 1, steps)
                ys, _ = ts.unroll(fast, c.inputs, c.state)
                np.testing.assert_allclose(
                    ys.data[0], ts.unroll(cell, c.inputs, c.state)[0].data[0]
                )
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(7 * k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_a_copy_has_memory_of_its_own(cell: nn.Cell):
    fast, c = ts.compile(cell), data(6, 3, 0)
    expected = of_case(cell, c)
    Run(fast, c).gradients()  # now there is memory that a copy could share
    other = copy.deepcopy(fast)
    run = Run(fast, c)
    Run(other, data(6, 3, 1))
    assert_same({**run.values(), **run.gradients()}, expected)


def test_parameters_that_change_between_the_passes_are_an_error(cell: nn.Cell):
    run = Run(ts.compile(cell), data(6, 3, 0))
    cell.weight_hh.assign(cell.weight_hh.data * 2)
    with pytest.raises(GraphError, match="weight_hh was changed by assign"):
        run.gradients()


def test_parameters_that_change_are_seen_by_the_next_pass(cell: nn.Cell):
    fast, c = ts.compile(cell), data(6, 3, 0)
    for scale in (1.0, 0.5, -2.0):
        cell.weight_hh.assign(cell.weight_hh.data * scale)
        assert_same(of_case(fast, c), of_case(cell, c))


def test_frozen_parameters_and_thawed_ones(cell: nn.Cell):
    fast, c = ts.compile(cell), data(6, 3, 0)
    for requires_grad in (True, False, True, False):
        cell.weight_hh.requires_grad_(requires_grad)
        expected = of_case(cell, c)
        assert ("gradient by weight_hh" in expected) == requires_grad
        assert_same(of_case(fast, c), expected)


@pytest.mark.parametrize("wanted", ["inputs", "state", "neither"])
def test_inputs_and_states_that_want_a_gradient_in_turn(cell: nn.Cell, wanted: str):
    """A loop made for runs without some gradient does not serve those with it."""
    fast, c = ts.compile(cell), data(6, 3, 0)
    ts.unroll(fast, c.inputs, c.state)[0].sum().backward()
    xs = leaf(c.inputs) if wanted == "inputs" else c.inputs
    state = type(c.state)(*map(leaf, c.state)) if wanted == "state" else c.state
    leaves = [*cell.parameters(), *(t for t in (xs, *state) if isinstance(t, ts.Tensor))]

    def found(module: nn.Cell) -> list[np.ndarray]:
        ys, last = ts.unroll(module, xs, state)
        return ts.grad((ys * ys).sum() + last.c.sum(), leaves)

    for a, b in zip(found(fast), found(cell), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("end", ["outputs", "h", "c", "one output"])
def test_a_loss_of_some_results_alone(cell: nn.Cell, end: str):
    fast, c = ts.compile(cell), data(6, 3, 0)

    def found(module: nn.Cell) -> list[np.ndarray]:
        run = Run(module, c)
        loss = {
            "outputs": lambda: (run.ys * run.ys).sum(),
            "h": lambda: (run.after.h * run.after.h).sum(),
            "c": lambda: run.after.c.sum(),
            "one output": lambda: run.ys[2, 1, 0],
        }[end]()
        return ts.grad(loss, [*cell.parameters(), run.xs, *run.before])

    for a, b in zip(found(fast), found(cell), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_one_cell_twice_in_one_graph(cell: nn.Cell):
    """The states of one run begin the next; the parameters get the gradients of both."""
    fast = ts.compile(cell)
    first, second = data(6, 3, 0), data(6, 3, 1)

    def found(module: nn.Cell) -> list[np.ndarray]:
        xs = ts.tensor(first.inputs, requires_grad=True)
        ys, state = ts.unroll(module, xs, first.state)
        more, _ = ts.unroll(module, ops.tanh(xs * second.inputs), state)
        return ts.grad((ys * more).sum(), [xs, *cell.parameters()])

    for a, b in zip(found(fast), found(cell), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_training_by_truncated_back_propagation_is_the_same():
    """Twenty updates, with the state carried from one piece of the sequence to the next."""

    def trained(compiled: bool) -> dict[str, np.ndarray]:
        cell = LSTM.make(3).to(np.float64)
        module = ts.compile(cell) if compiled else cell
        optimizer = optim.Adam(cell.parameters(), lr=0.05)
        state = cell.init_state(3)
        for k in range(20):
            ys, state = ts.unroll(module, data(4, 3, k).inputs, state)
            state = type(state)(*(s.detach() for s in state))
            cell.zero_grad()
            ((ys - 0.5) * (ys - 0.5)).sum().backward()
            optimizer.step()
        return cell.state_dict()

    fast, slow = trained(True), trained(False)
    for name, weights in slow.items():
        np.testing.assert_allclose(fast[name], weights, rtol=1e-6, atol=1e-9)
