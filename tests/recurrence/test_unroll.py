"""unroll: what goes in, what comes out, and the gradients."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import ops

T, N = 5, 3


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def decay(x: Any, h: Any) -> tuple[Any, Any]:
    """h(t) = h(t-1) / 2 + x(t), y(t) = 10 h(t)."""
    h = h * 0.5 + x
    return h * 10.0, h


class XY(NamedTuple):
    x: Any
    y: Any


def test_a_plain_function_is_a_cell():
    xs, h = numbers(T, N), numbers(N, seed=1)
    ys, last = ts.unroll(decay, xs, h)
    for t in range(T):
        h = h * 0.5 + xs[t]
        np.testing.assert_array_equal(ys.data[t], 10 * h)
    np.testing.assert_array_equal(last.data, h)


@pytest.mark.parametrize("batch", [(), (N,), (N, 2, 4)])
def test_a_state_may_have_any_shape(batch: tuple[int, ...]):
    ys, h = ts.unroll(decay, numbers(T, *batch), np.zeros(batch))
    assert ys.shape == (T, *batch) and h.shape == batch


def test_inputs_outputs_and_states_may_be_structures():
    def step(given: Any, state: Any) -> Any:
        assert isinstance(given, XY) and list(state) == ["sum", "pair"]
        total = state["sum"] + given.x
        older, newer = state["pair"]
        return {"a": total * 2.0, "b": [given.y, total]}, {"sum": total, "pair": (newer, given.y)}

    xs, ys = numbers(T, N), numbers(T, N, 2, seed=1)
    zero = {"sum": np.zeros(N), "pair": (np.zeros((N, 2)), np.zeros((N, 2)))}
    out, state = ts.unroll(step, XY(xs, ys), zero)
    np.testing.assert_allclose(out["a"].data, 2 * xs.cumsum(0))
    np.testing.assert_array_equal(out["b"][0].data, ys)
    np.testing.assert_array_equal(state["pair"][0].data, ys[-2])
    np.testing.assert_array_equal(state["pair"][1].data, ys[-1])


def test_a_list_is_one_input_a_step():
    xs = numbers(T, N)
    expected, _ = ts.unroll(decay, xs, np.zeros(N))
    found, _ = ts.unroll(decay, list(xs), np.zeros(N))
    np.testing.assert_array_equal(found.data, expected.data)
    pairs = [XY(x, x) for x in xs]
    found, _ = ts.unroll(lambda p, h: decay(p.y, h), pairs, np.zeros(N))
    np.testing.assert_array_equal(found.data, expected.data)


def test_a_structure_may_have_gaps():
    found, _ = ts.unroll(lambda p, h: decay(p.y, h), XY(None, numbers(T, N)), np.zeros(N))
    np.testing.assert_array_equal(found.data, ts.unroll(decay, numbers(T, N), np.zeros(N))[0].data)
    nothing, h = ts.unroll(lambda x, h: (None, h * 0.5), None, np.ones(N), length=2)
    assert nothing is None and (h.data == 0.25).all()


def test_outputs_as_a_list():
    ys, _ = ts.unroll(decay, numbers(T, N), np.zeros(N), as_list=True)
    stacked, _ = ts.unroll(decay, numbers(T, N), np.zeros(N))
    assert isinstance(ys, list)
    np.testing.assert_array_equal(np.stack([y.data for y in ys]), stacked.data)
    assert ts.unroll(decay, numbers(0, N), np.zeros(N), as_list=True)[0] == []


def test_integers_go_in_as_they_are():
    table = ts.tensor(numbers(7, 2), requires_grad=True)
    ids = np.array([[1, 2], [3, 3]])
    ys, _ = ts.unroll(lambda i, h: decay(ops.take(table, i), h), ids, np.zeros((2, 2)))
    ys.sum().backward()
    assert (table.grad[[1, 2, 3]] != 0).all() and not table.grad[[0, 4, 5, 6]].any()


def test_without_inputs_the_length_is_said():
    ys, h = ts.unroll(lambda x, h: (h, h * 2.0), None, np.ones(N), length=4)
    np.testing.assert_array_equal(ys.data[:, 0], [1, 2, 4, 8])
    assert (h.data == 16).all()


def test_a_length_uses_that_many_inputs():
    xs = numbers(T, N)
    found, _ = ts.unroll(decay, xs, np.zeros(N), length=3)
    np.testing.assert_array_equal(found.data, ts.unroll(decay, xs[:3], np.zeros(N))[0].data)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("structured", [False, True])
def test_no_steps(reverse: bool, structured: bool):
    xs, h = numbers(0, N, 2), numbers(N, 2)
    step, given = (lambda p, h: decay(p.x, h), XY(xs, xs)) if structured else (decay, xs)
    ys, state = ts.unroll(step, given, h, reverse=reverse)
    assert ys.shape == (0, N, 2)
    np.testing.assert_array_equal(state.data, h)


def test_no_steps_and_a_gradient():
    h = ts.tensor(numbers(N), requires_grad=True)
    ys, last = ts.unroll(decay, numbers(0, N), h)
    (ys.sum() + (last * 3.0).sum()).backward()
    np.testing.assert_array_equal(h.grad, 3)


def test_the_gradient_of_all_inputs_is_one_array():
    x = ts.tensor(numbers(T, N), requires_grad=True)
    _, h = ts.unroll(decay, x, np.zeros(N))
    h.sum().backward()
    np.testing.assert_allclose(x.grad, np.broadcast_to(0.5 ** np.arange(T)[::-1, None], (T, N)))


def test_inputs_of_a_list_have_gradients_of_their_own():
    xs = [ts.tensor(a, requires_grad=True) for a in numbers(T, N)]
    _, h = ts.unroll(decay, xs, np.zeros(N))
    h.sum().backward()
    for k, x in enumerate(xs):
        np.testing.assert_allclose(x.grad, 0.5 ** (T - 1 - k))


def test_the_state_carries_the_graph_of_an_earlier_run():
    start = ts.tensor(numbers(N), requires_grad=True)
    _, middle = ts.unroll(decay, numbers(2, N), start)
    _, last = ts.unroll(decay, numbers(3, N), middle)
    last.sum().backward()
    np.testing.assert_allclose(start.grad, 0.5**5)


@pytest.mark.parametrize("reverse", [False, True])
def test_detach_every_lets_no_gradient_across(reverse: bool):
    x = ts.tensor(numbers(T, N), requires_grad=True)
    ys, _ = ts.unroll(decay, x, np.zeros(N), detach_every=2, reverse=reverse)
    jacobian = np.stack([ts.grad(ys[t].sum(), x, retain_graph=True)[:, 0] for t in range(T)]) / 10
    blocks = np.arange(T) // 2 if not reverse else (T - 1 - np.arange(T)) // 2
    distance = np.subtract.outer(np.arange(T), np.arange(T)) * (-1 if reverse else 1)
    expected = np.where((blocks[:, None] == blocks) & (distance >= 0), 0.5 ** abs(distance), 0)
    np.testing.assert_allclose(jacobian, expected)


def test_the_last_state_still_has_a_graph_after_a_cut():
    x = ts.tensor(numbers(4, N), requires_grad=True)
    _, h = ts.unroll(decay, x, np.zeros(N), detach_every=2)
    h.sum().backward()
    np.testing.assert_allclose(x.grad[:, 0], [0, 0, 0.5, 1])
