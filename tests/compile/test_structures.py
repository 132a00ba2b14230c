"""Inputs, states and outputs as structures and lists, with and without batches of their own."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_compiles, assert_same, results
from compile.written_cells import CONTAINERS, WrittenCell
from tinyseq import nn, ops, structure
from tinyseq.errors import CompileError

T, N = 5, 3


class XY(NamedTuple):
    x: Any
    y: Any


@pytest.mark.parametrize("holds", CONTAINERS)
@pytest.mark.parametrize("reads", CONTAINERS)
def test_every_container_for_inputs_and_states(holds: str, reads: str):
    many = {"alone": 1, "named": 2}
    inputs, states = [(2,)] * many.get(reads, 3), [(2,)] * many.get(holds, 3)
    last_x, last_s = f"x{len(inputs) - 1}", f"s{len(states) - 1}"
    lines = [f"h = tanh(s0 * {last_x} + {last_s} * p0 + x0)"]
    new = ["h", *(f"s{k}" for k in range(len(states) - 1))]
    for gives, outputs in (("alone", ["h"]), ("dict", ["h", "x0"]), ("nested", ["h", "s0"])):
        cell = WrittenCell(lines, inputs, states, [(2,)], outputs, new, reads, holds, gives)
        xs, state = cell.data(T, N)
        fast = assert_compiles(cell, xs, state)
        found, expected = ts.unroll(fast, xs, state), ts.unroll(cell, xs, state)
        assert structure.skeleton(found) == structure.skeleton(expected)
        assert structure.skeleton(found[1]) == structure.skeleton(state)


def pair_cell() -> nn.Cell:
    class Reads(nn.Cell):
        """Reads whichever of the two inputs are there."""

        hidden_size = 2

        def __init__(self) -> None:
            self.W = nn.Parameter(np.random.default_rng(0).normal(size=(2, 2)))

        def __call__(self, pair: XY, h: Any) -> tuple[Any, Any]:
            h = ops.linear(h, self.W)
            if pair.x is not None:
                h = h + pair.x
            if pair.y is not None:
                h = h - 2.0 * pair.y
            h = ops.tanh(h)
            return h, h

    return Reads()


def test_the_same_arrays_in_other_places_are_another_input():
    cell, a = pair_cell(), np.random.default_rng(1).normal(size=(T, N, 2))
    fast, state = ts.compile(cell), np.ones((N, 2))
    for xs in (XY(a, None), XY(None, a), XY(a, a), XY(a, None)):
        assert_same(results(fast, xs, state), results(cell, xs, state))


def test_missing_inputs_backwards_and_ragged():
    cell, a = pair_cell(), np.random.default_rng(1).normal(size=(T, N, 2))
    state = np.ones((N, 2))
    for settings in ({"reverse": True}, {"lengths": [5, 0, 2]}, {"length": 3}, {"detach_every": 2}):
        for xs in (XY(a, None), XY(None, a)):
            assert_compiles(cell, xs, state, **settings)


def test_a_list_of_inputs_is_the_stacked_inputs():
    cell = nn.LSTMCell(2, 4, seed=0).to(np.float64)
    xs = np.random.default_rng(1).normal(size=(T, N, 2))
    fast = ts.compile(cell)
    expected = ts.unroll(cell, xs)[0].data
    np.testing.assert_allclose(ts.unroll(fast, list(xs))[0].data, expected, rtol=1e-12)
    leaves = [ts.tensor(x, requires_grad=True) for x in xs]
    ys, _ = ts.unroll(fast, leaves)
    (ys * ys).sum().backward()
    whole = ts.tensor(xs, requires_grad=True)
    ys, _ = ts.unroll(cell, whole)
    (ys * ys).sum().backward()
    for x, g in zip(leaves, whole.grad, strict=True):
        np.testing.assert_allclose(x.grad, g, rtol=1e-10, atol=1e-12)


def test_a_list_of_structures():
    cell, rng = pair_cell(), np.random.default_rng(1)
    rows = [XY(rng.normal(size=(N, 2)), rng.normal(size=(N, 2))) for _ in range(T)]
    found = ts.unroll(ts.compile(cell), rows, np.ones((N, 2)))[0].data
    np.testing.assert_allclose(found, ts.unroll(cell, rows, np.ones((N, 2)))[0].data, rtol=1e-12)


def test_outputs_as_a_list_with_gradients():
    cell = nn.LSTMCell(2, 4, seed=0).to(np.float64)
    xs = np.random.default_rng(1).normal(size=(T, N, 2))

    def found(module: nn.Cell, **settings: Any) -> list[np.ndarray]:
        ys, _ = ts.unroll(module, xs, as_list=True, **settings)
        assert isinstance(ys, list) and len(ys) == T
        return ts.grad((ys[0] * ys[3]).sum() + ys[2].sum(), cell.parameters())

    for settings in ({}, {"reverse": True}, {"lengths": [5, 1, 0]}, {"detach_every": 2}):
        for a, b in zip(found(ts.compile(cell), **settings), found(cell, **settings), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_no_input_at_all():
    cell = nn.LSTMCell(0, 4, seed=0).to(np.float64)
    state = type(cell.init_state(1))(*np.random.default_rng(0).normal(size=(2, N, 4)))
    assert_compiles(cell, None, state, length=T)
    assert_compiles(cell, None, state, length=T, lengths=[0, 5, 3])
    assert_compiles(cell, None, state, length=T, reverse=True, detach_every=2)


def test_fewer_steps_than_inputs():
    cell = nn.GRUCell(2, 4, seed=0).to(np.float64)
    xs = np.random.default_rng(1).normal(size=(T, N, 2))
    for length in range(T + 1):
        for reverse in (False, True):
            assert_compiles(cell, xs, np.ones((N, 4)), length=length, reverse=reverse)


def test_a_batch_of_none():
    cell = nn.GRUCell(2, 4, seed=0).to(np.float64)
    assert_compiles(cell, np.ones((T, 0, 2)), np.ones((0, 4)))


def test_inputs_in_other_layouts():
    """Transposed, reversed, broadcast and Fortran-ordered arrays."""
    cell = nn.GRUCell(2, 4, seed=0).to(np.float64)
    rng, state = np.random.default_rng(1), np.asfortranarray(np.ones((N, 4)))
    for xs in (
        rng.normal(size=(2, N, T)).T,
        rng.normal(size=(T, N, 4))[:, :, ::2],
        rng.normal(size=(T, N, 2))[::-1, ::-1],
        np.broadcast_to(rng.normal(size=(N, 2)), (T, N, 2)),
        np.asfortranarray(rng.normal(size=(T, N, 2))),
    ):
        assert_compiles(cell, xs, state)


def test_states_of_several_dtypes():
    class Clock(nn.Cell):
        """Counts its steps, and forgets more and more slowly."""

        def init_state(self, batch: int) -> XY:
            return XY(np.zeros((batch, 2)), np.zeros((batch, 1), int))

        def __call__(self, x: Any, state: XY) -> tuple[Any, XY]:
            h = ops.tanh(x + state.x / (state.y + 1))
            return h, XY(h, state.y + 1)

    cell, xs = Clock(), np.random.default_rng(1).normal(size=(T, N, 2))
    fast = assert_compiles(cell, xs, cell.init_state(N))
    _, state = ts.unroll(fast, xs)
    assert state.y.dtype == int and (state.y.data == T).all()


def test_states_and_outputs_without_features():
    class Sums(nn.Cell):
        """A running sum, one number a sequence."""

        def init_state(self, batch: int) -> np.ndarray:
            return np.zeros(batch)

        def __call__(self, x: Any, total: Any) -> tuple[Any, Any]:
            total = total * 0.5 + (x * x).sum(-1)
            return total, total

    xs = np.random.default_rng(1).normal(size=(T, N, 2))
    for settings in ({}, {"lengths": [5, 0, 2]}, {"reverse": True}):
        assert_compiles(Sums(), xs, np.ones(N), **settings)


def test_a_state_of_one_number_for_the_whole_batch():
    """A clock that all sequences share."""

    class Shared(nn.Cell):
        def init_state(self, batch: int) -> XY:
            return XY(np.zeros((batch, 2)), np.array(0.5))

        def __call__(self, x: Any, state: XY) -> tuple[Any, XY]:
            h = ops.tanh(x + state.x * state.y)
            return h * state.y, XY(h, state.y * 0.9 + 0.1 * h.mean())

    cell, xs = Shared(), np.random.default_rng(1).normal(size=(T, N, 2))
    for settings in ({}, {"reverse": True}, {"detach_every": 2}):
        assert_compiles(cell, xs, cell.init_state(N), **settings)


def test_a_step_without_a_state():
    """A map over time is a recurrence, too: of an empty state."""

    class Map(nn.Cell):
        def __init__(self) -> None:
            self.W = nn.Parameter(np.random.default_rng(0).normal(size=(2, 2)))

        def init_state(self, batch: int) -> tuple:
            return ()

        def __call__(self, x: Any, state: tuple) -> tuple[Any, tuple]:
            return ops.tanh(ops.linear(x, self.W)), state

    assert_compiles(Map(), np.random.default_rng(1).normal(size=(T, N, 2)), ())


@pytest.mark.parametrize("state", [None, (np.ones((N, 2)), None)])
def test_a_state_with_nothing_in_it_compiles_or_is_refused(state: Any):
    class Partly(nn.Cell):
        def init_state(self, batch: int) -> Any:
            return state

        def __call__(self, x: Any, s: Any) -> tuple[Any, Any]:
            return ops.tanh(x), s

    xs = np.random.default_rng(1).normal(size=(T, N, 2))
    expected = ts.unroll(Partly(), xs, state)[0].data
    try:
        found, last = ts.unroll(ts.compile(Partly()), xs, state)
    except CompileError as error:
        assert "None" in str(error)
    else:
        np.testing.assert_allclose(found.data, expected)
        assert structure.skeleton(last) == structure.skeleton(state)


def test_an_output_with_nothing_in_it_compiles_or_is_refused():
    class Silent(nn.Cell):
        def __call__(self, x: Any, s: Any) -> tuple[Any, Any]:
            return (x, None), ops.tanh(x + s)

    xs = np.random.default_rng(1).normal(size=(T, N, 2))
    try:
        found, _ = ts.unroll(ts.compile(Silent()), xs, np.ones((N, 2)))
    except CompileError as error:
        assert "None" in str(error)
    else:
        assert found[1] is None


def test_vectors_of_unequal_depth_ragged():
    """Outputs (n,), (n, F) and (n, F, G) of one step, over a padded batch."""
    lines = ["h = tanh(s0 + x0)", "a = h.sum(-1)", "b = outer(h, x0)"]
    cell = WrittenCell(lines, [(2,)], [(2,)], [], ["a", "h", "b"], ["h"], "alone", "alone", "tuple")
    xs, state = cell.data(T, N)
    assert_compiles(cell, xs, state, lengths=[2, 5, 0])


def test_half_precision_compiles_or_is_refused():
    cell = nn.GRUCell(2, 4, seed=0).to(np.float16)
    xs = np.random.default_rng(1).normal(size=(T, N, 2)).astype(np.float16)
    state = np.ones((N, 4), np.float16)
    expected = results(cell, xs, state)
    try:
        found = results(ts.compile(cell), xs, state)
    except CompileError:
        return
    assert_same(found, expected, within=2e-2)
