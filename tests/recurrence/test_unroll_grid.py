"""unroll_grid: values and gradients, place by place and by diagonal, and what is refused."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strict_cupy
import tinyseq as ts
from tinyseq import ops
from tinyseq.autograd.node import Scope
from tinyseq.errors import ConfigError, ShapeError, StructureError
from tinyseq.recurrence import unroll, unroll_grid

N, H = 2, 3
REVERSES = [(False, False), (False, True), (True, False), (True, True)]


class State(NamedTuple):
    h: Any
    c: Any


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def leaves(seed: int = 1) -> list[ts.Tensor]:
    return [ts.tensor(numbers(H, H, seed=seed + k) / 2, requires_grad=True) for k in range(3)]


def weighing(weights: list[ts.Tensor]) -> Any:
    """A cell with a state of two arrays, in which above and left are told apart."""
    U, W, Q = weights

    def cell(x: Any, states: Any) -> Any:
        above, left = states
        h = ops.tanh(ops.linear(x, U) + ops.linear(above.h, W) + ops.linear(left.h, Q))
        c = above.c * 0.5 + left.c * 0.25 + h
        return h * 2.0 + c, State(h, c)

    return cell


def recursion(weights: list[np.ndarray], xs: np.ndarray, i: int, j: int, known: dict) -> State:
    """The definition, with arrays: the state of a place."""
    if i < 0 or j < 0:
        return State(np.zeros((N, H)), np.zeros((N, H)))
    if (i, j) not in known:
        above = recursion(weights, xs, i - 1, j, known)
        left = recursion(weights, xs, i, j - 1, known)
        U, W, Q = weights
        h = np.tanh(xs[i, j] @ U.T + above.h @ W.T + left.h @ Q.T)
        known[i, j] = State(h, 0.5 * above.c + 0.25 * left.c + h)
    return known[i, j]


BORDER = State(np.zeros((N, H)), np.zeros((N, H)))
sizes = st.tuples(st.integers(1, 5), st.integers(1, 5))


@given(size=sizes, reverse=st.sampled_from(REVERSES), by_diagonal=st.booleans())
def test_is_the_definition(size: tuple[int, int], reverse: tuple[bool, bool], by_diagonal: bool):
    xs, weights = numbers(*size, N, H), leaves()
    outputs, state = unroll_grid(
        weighing(weights), xs, BORDER, reverse=reverse, by_diagonal=by_diagonal
    )
    flipped = xs[:: -1 if reverse[0] else 1, :: -1 if reverse[1] else 1]
    known: dict = {}
    last = recursion([w.data for w in weights], flipped, size[0] - 1, size[1] - 1, known)
    np.testing.assert_allclose(state.h.data, last.h, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(state.c.data, last.c, rtol=1e-12, atol=1e-14)
    for (i, j), (h, c) in known.items():
        a = size[0] - 1 - i if reverse[0] else i
        b = size[1] - 1 - j if reverse[1] else j
        np.testing.assert_allclose(outputs.data[a, b], 2 * h + c, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("by_diagonal", [False, True])
def test_gradients_are_right(by_diagonal: bool):
    def run(x: Any, *weights: Any) -> Any:
        return unroll_grid(weighing(list(weights)), x, BORDER, by_diagonal=by_diagonal)[0]

    ts.check_grads(run, (numbers(3, 2, N, H), *(w.data for w in leaves())), order=2)


@pytest.mark.parametrize("reverse", REVERSES)
def test_by_diagonal_has_the_gradients_of_place_by_place(reverse: tuple[bool, bool]):
    found = []
    for by_diagonal in (False, True):
        xs, weights = ts.tensor(numbers(4, 3, N, H), requires_grad=True), leaves()
        border = State(*(ts.tensor(numbers(N, H, seed=k), requires_grad=True) for k in (7, 8)))
        outputs, state = unroll_grid(
            weighing(weights), xs, border, reverse=reverse, by_diagonal=by_diagonal
        )
        loss = ops.sum(outputs * numbers(4, 3, N, H, seed=5)) + ops.sum(state.c * state.h)
        found.append(ts.grad(loss, [xs, *weights, *border]))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("by_diagonal", [False, True])
def test_a_grid_of_one_row_is_a_chain(by_diagonal: bool):
    U, W, _ = leaves()
    xs = numbers(1, 6, N, H)

    def plain(x: Any, h: Any) -> Any:
        h = ops.tanh(ops.linear(x, U) + ops.linear(h, W))
        return h, h

    start = numbers(N, H, seed=3)
    expected, last = unroll(plain, xs[0], start)
    outputs, state = unroll_grid(
        lambda x, states: plain(x, states[1]), xs, start, by_diagonal=by_diagonal
    )
    np.testing.assert_allclose(outputs.data[0], expected.data, rtol=1e-13)
    np.testing.assert_allclose(state.data, last.data, rtol=1e-13)


def test_only_what_lies_above_and_on_the_left_is_seen():
    xs = ts.tensor(numbers(4, 5, 1, H), requires_grad=True)
    border = State(np.zeros((1, H)), np.zeros((1, H)))
    for reverse in REVERSES:
        outputs, _ = unroll_grid(weighing(leaves()), xs, border, reverse=reverse)
        (g,) = ts.grad(ops.sum(outputs[1, 2]), [xs])
        seen = np.abs(g).sum((2, 3)) > 0
        rows = slice(1, None) if reverse[0] else slice(0, 2)
        columns = slice(2, None) if reverse[1] else slice(0, 3)
        expected = np.zeros((4, 5), bool)
        expected[rows, columns] = True
        np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("by_diagonal", [False, True])
def test_inputs_may_be_a_structure_and_there_may_be_no_output(by_diagonal: bool):
    def cell(x: Any, states: Any) -> Any:
        return None, states[0] + states[1] + x["a"] + x["b"]

    xs = {"a": np.ones((2, 2, 1, 1)), "b": np.ones((2, 2, 1, 1))}
    outputs, state = unroll_grid(cell, xs, np.zeros((1, 1)), by_diagonal=by_diagonal)
    assert outputs is None and state.data.item() == 2 + (2 + 2) + (2 + 2)


def test_every_place_has_a_scope_and_labels():
    outputs, _ = unroll_grid(weighing(leaves()), numbers(2, 3, N, H), BORDER, names={"h": "g"})
    found = {}
    stack, seen = [outputs.node], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        stack += node.parents
        if node.label:
            assert isinstance(node.scope, Scope) and node.scope.label == "step"
            found[node.scope.index, node.label] = node
    places = {(i, j) for i in (1, 2) for j in (1, 2, 3)}
    assert {index for index, _ in found} == places
    assert {label for _, label in found} == {"x", "g", "c", "o"}


class Counting:
    """Counts its calls; a cell with an initial state of its own."""

    calls = 0

    def init_state(self, batch: int) -> np.ndarray:
        return np.zeros((batch, H))

    def __call__(self, x: Any, states: Any) -> Any:
        self.calls += 1
        h = ops.tanh(x + states[0] - states[1])
        return h, h


@pytest.mark.parametrize(("by_diagonal", "calls"), [(False, 20), (True, 8)])
def test_a_diagonal_is_one_call(by_diagonal: bool, calls: int):
    cell = Counting()
    unroll_grid(cell, numbers(4, 5, N, H), by_diagonal=by_diagonal)
    assert cell.calls == calls


@pytest.mark.parametrize("by_diagonal", [False, True])
def test_nothing_is_recorded_under_no_grad(by_diagonal: bool):
    with ts.no_grad():
        outputs, state = unroll_grid(
            weighing(leaves()), numbers(3, 3, N, H), BORDER, by_diagonal=by_diagonal
        )
    assert outputs.node is None and state.h.node is None


def test_raw_arrays_under_no_grad(xp: Any):
    xs = xp.asarray(numbers(2, 3, N, H))
    border = State(xp.zeros((N, H)), xp.zeros((N, H)))
    weights = [xp.asarray(w.data) for w in leaves()]
    with ts.no_grad():
        one = unroll_grid(weighing(weights), xs, border)[0]
        other = unroll_grid(weighing(weights), xs, border, by_diagonal=True)[0]
    one, other = (a.data if isinstance(a, ts.Tensor) else a for a in (one, other))
    assert isinstance(one, type(xs)) and isinstance(other, type(xs))
    one, other = strict_cupy.to_host(one), strict_cupy.to_host(other)
    np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("by_diagonal", [False, True])
@pytest.mark.parametrize(
    ("inputs", "cell", "error", "words"),
    [
        (np.zeros((2, 3)), Counting(), ShapeError, r"rows, columns, batch, ...\), not \(2, 3\)"),
        (np.zeros((0, 3, N, H)), Counting(), ShapeError, "no places in a grid of 0 x 3"),
        (np.zeros((3, 0, N, H)), Counting(), ShapeError, "no places in a grid of 3 x 0"),
        ([np.zeros((3, N, H))], Counting(), StructureError, "no lists"),
        (
            (np.zeros((2, 2, N, H)), np.zeros((2, 3, N, H))),
            Counting(),
            ShapeError,
            "different grids",
        ),
        (np.zeros((2, 2, N, H)), lambda x, s: (x, *s), ConfigError, "no init_state"),
    ],
)
def test_refuses(inputs: Any, cell: Any, error: Any, words: str, by_diagonal: bool):
    with pytest.raises(error, match=words):
        unroll_grid(cell, inputs, by_diagonal=by_diagonal)


@pytest.mark.parametrize("by_diagonal", [False, True])
@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda x, s: x, "returns .y, state., this one returned"),
        (lambda x, s: (x, (x, x)), "the state is .* outside of the grid"),
    ],
)
def test_a_step_that_is_none_is_named(step: Any, words: str, by_diagonal: bool):
    where = "diagonal 1" if by_diagonal else r"\(1, 1\)"
    with pytest.raises(StructureError, match=f"unroll_grid at {where}.*{words}"):
        unroll_grid(step, numbers(2, 2, N, H), np.zeros((N, H)), by_diagonal=by_diagonal)


def test_the_scope_is_left_after_an_error():
    def fails(x: Any, states: Any) -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        unroll_grid(fails, numbers(2, 2, N, H), np.zeros((N, H)))
    inside = ts.tensor(np.ones(2), requires_grad=True) * 2
    assert inside.node is not None and inside.node.scope is None
