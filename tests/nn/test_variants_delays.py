"""Skips through time and the clockwork: equations, what is reached, what is frozen."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from nn.numeric import (
    N,
    T,
    numbers,
)
from nn.registry import H, I
from tinyseq import draw, nn
from tinyseq.errors import ConfigError, ShapeError, StructureError

# -- skips through time ---------------------------------------------------------------------------


@pytest.mark.parametrize("delays", [(1,), (1, 3), (2,), (2, 5)])
def test_skips_through_time_are_their_equation(delays: tuple[int, ...]):
    cell = nn.TimeSkipCell(I, H, delays, seed=0).to(float)
    p, longest, steps = cell.state_dict(), max(delays), 9
    xs = numbers(steps, N, I)
    h = [numbers(N, H, seed=k + 1) for k in range(longest)]  # h(1 - longest) ... h(0)
    state = nn.TimeSkipState(h[-1], tuple(h[-2::-1]))
    ys, last = ts.unroll(cell, xs, state)
    for t in range(steps):
        a = xs[t] @ p["weight_ih"].T + p["bias"]
        h.append(np.tanh(a + sum(h[-d] @ p[f"weight_hh.{d}"].T for d in delays)))
        np.testing.assert_allclose(ys.data[t], h[-1], rtol=1e-12, atol=1e-14)
    kept = [last.h, *last.past]
    assert len(kept) == longest
    for age, a in enumerate(kept):  # the latest first
        np.testing.assert_array_equal(a.data, ys.data[-1 - age])


def test_a_delay_of_one_step_is_the_elman_cell():
    skip, elman = nn.TimeSkipCell(I, H, (1,), seed=0).to(float), nn.ElmanCell(I, H).to(float)
    own = skip.state_dict()
    names = {"weight_ih": "weight_ih", "weight_hh": "weight_hh.1", "bias_ih": "bias"}
    elman.load_state_dict({"bias_hh": np.zeros(H), **{k: own[v] for k, v in names.items()}})
    xs, h = numbers(T, N, I), numbers(N, H, seed=1)
    found, _ = ts.unroll(skip, xs, nn.TimeSkipState(h, ()))
    np.testing.assert_allclose(found.data, ts.unroll(elman, xs, h)[0].data, rtol=1e-13)


def reach(delays: tuple[int, ...], steps: int) -> list[bool]:
    """Whether the last output depends on x(T), x(T-1), x(T-2) ... at all."""
    x = ts.tensor(numbers(steps, 1, I), requires_grad=True)
    ys, _ = ts.unroll(nn.TimeSkipCell(I, H, delays, seed=0).to(float), x)
    return [bool(a.any()) for a in ts.grad(ys[-1].sum(), [x])[0][::-1, 0]]


def test_with_the_shorter_edge_taken_away_there_is_no_way_but_by_leaps():
    """The Jacobian between steps whose distance is no multiple of d is zero, to the bit."""
    assert reach((3,), 10) == [True, False, False] * 3 + [True]
    assert reach((1, 3), 10) == [True] * 10
    assert reach((2, 5), 10) == [k not in (1, 3) for k in range(10)]  # sums of twos and fives


def linearised(delays: tuple[int, ...], steps: int, W: dict[int, np.ndarray]) -> np.ndarray:
    """dh(T) / dh(0) at rest, h = 0, where the slope of tanh is 1."""
    cell = nn.TimeSkipCell(0, H, delays, bias=False).to(float)
    for d in delays:
        cell.weight_hh[str(d)].assign(W[d])
    past = tuple(np.zeros((1, H)) for _ in range(max(delays) - 1))

    def last(h: Any) -> Any:
        return ts.unroll(cell, None, nn.TimeSkipState(h, past), length=steps)[0][-1]

    return ts.jacobian(last, ts.tensor(np.zeros((1, H)))).reshape(H, H)


def test_gradients_pass_through_as_many_factors_as_there_are_leaps():
    """d = 5: 60 steps are 12 factors; the logarithm of the gradient falls at a fifth the rate."""
    W = 0.8 * np.linalg.qr(numbers(H, H))[0]
    skip, plain = linearised((5,), 60, {5: W}), linearised((1,), 60, {1: W})
    np.testing.assert_allclose(skip, np.linalg.matrix_power(W, 12), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(plain, np.linalg.matrix_power(W, 60), rtol=1e-12, atol=1e-18)
    ratio = np.log(np.linalg.norm(plain, 2)) / np.log(np.linalg.norm(skip, 2))
    assert ratio == pytest.approx(5, rel=1e-12)


def test_with_both_edges_the_jacobian_is_the_sum_over_all_ways():
    """J(t) = W J(t-1) + W_d J(t-d)."""
    W = {1: numbers(H, H) / 4, 3: numbers(H, H, seed=1) / 4}
    J = {t: np.zeros((H, H)) for t in (-2, -1)} | {0: np.eye(H)}
    for t in range(1, 9):
        J[t] = W[1] @ J[t - 1] + W[3] @ J[t - 3]
    np.testing.assert_allclose(linearised((1, 3), 8, W), J[8], rtol=1e-12)


def test_the_circuit_shows_the_delay():
    model = nn.SequenceModel(nn.TimeSkipCell(I, H, (1, 3), seed=0), nn.Linear(H, 2, seed=0))
    loss, _ = model.loss(numbers(8, N, I).astype("f4"), np.zeros((8, N), int))
    graph = draw.circuit(loss).graph
    label = {v.id: v.label for v in graph.vertices}
    wires = {(edge.delay, edge.parameters) for edge in graph.edges if edge.delay}
    assert wires == {(1, ("W",)), (3, ("W3",))}
    assert all(label[e.source] == label[e.target] == "h" for e in graph.edges if e.delay)


def test_states_through_time_that_do_not_fit():
    cell = nn.TimeSkipCell(I, H, (1, 3), seed=0)
    x, h = np.zeros((2, I), "f4"), np.zeros((2, H), "f4")
    with pytest.raises(ShapeError, match="different shapes"):  # it would be broadcast in silence
        cell(x, nn.TimeSkipState(h, (h, h[:1])))
    with pytest.raises(StructureError, match="not 2 arrays"):
        cell(x, nn.TimeSkipState(h, (h,)))


# -- the clockwork --------------------------------------------------------------------------------

PERIODS = (1, 2, 4, 8)
MODULES = [slice(2 * k, 2 * k + 2) for k in range(4)]


def clockwork(periods: tuple[int, ...] = PERIODS) -> Any:
    return nn.ClockworkCell(I, 8, periods, seed=0).to(float)


def test_the_clockwork_is_its_definition():
    """Module by module: i computes when t mod T_i is 0, and reads those with T_j >= T_i."""
    cell, steps = clockwork((1, 2, 3, 3)), 20
    p, xs, h = cell.state_dict(), numbers(steps, N, I), numbers(N, 8, seed=1)
    ys, _ = ts.unroll(cell, xs, nn.ClockworkState(h, np.zeros((N, 8))))
    for t in range(steps):
        new = h.copy()
        for i, rows in enumerate(MODULES):
            if t % cell.periods[i] == 0:
                a = xs[t] @ p["weight_ih"][rows].T + p["bias_ih"][rows] + p["bias_hh"][rows]
                for j, columns in enumerate(MODULES):
                    if cell.periods[i] <= cell.periods[j]:
                        a = a + h[:, columns] @ p["weight_hh"][rows, columns].T
                new[:, rows] = np.tanh(a)
        h = new
        np.testing.assert_allclose(ys.data[t], h, rtol=1e-12, atol=1e-14)


def test_one_period_of_one_step_is_the_elman_cell():
    for periods in ((1,), (1, 1)):
        cell, elman = (
            nn.ClockworkCell(I, H, periods, seed=0).to(float),
            nn.ElmanCell(I, H).to(float),
        )
        elman.load_state_dict(cell.state_dict())
        xs, h = numbers(T, N, I), numbers(N, H, seed=1)
        found, _ = ts.unroll(cell, xs, nn.ClockworkState(h, np.zeros((N, H))))
        np.testing.assert_array_equal(found.data, ts.unroll(elman, xs, h)[0].data)


def test_modules_are_frozen_to_the_bit_between_their_ticks():
    steps = 40
    h = numbers(N, 8, seed=1)
    ys, _ = ts.unroll(clockwork(), numbers(steps, N, I), nn.ClockworkState(h, np.zeros((N, 8))))
    before = np.concatenate([h[None], ys.data[:-1]])
    for period, units in zip(PERIODS, MODULES, strict=True):
        for t in range(steps):
            same = ys.data[t][:, units] == before[t][:, units]
            assert same.all() if t % period else not same.any()


def test_no_module_reads_a_faster_one():
    """Block upper triangular, from fast to slow: in the Jacobian and in the gradient by W."""
    cell = clockwork()
    start = ts.tensor(numbers(1, 8, seed=1), requires_grad=True)
    x = numbers(1, I)

    def after(h: Any) -> Any:  # t = 0, when all compute
        return cell(x, nn.ClockworkState(h, np.zeros((1, 8))))[0]

    J = ts.jacobian(after, start).reshape(8, 8)
    ys, _ = ts.unroll(cell, numbers(20, N, I))
    (by_W,) = ts.grad((ys * ys).sum(), [cell.weight_hh])
    for i, rows in enumerate(MODULES):
        for j, columns in enumerate(MODULES):
            for matrix in (J, by_W):
                block = matrix[rows, columns]
                assert block.all() if j >= i else not block.any()


def test_a_gradient_passes_a_frozen_module_as_it_is():
    cell = clockwork((4, 4, 4, 4))
    h = ts.tensor(numbers(1, 8), requires_grad=True)

    def last(h: Any, steps: int) -> Any:  # the next tick is three steps away
        state = nn.ClockworkState(h, np.full((1, 8), 3.0))
        return ts.unroll(cell, numbers(steps, 1, I), state)[0][-1]

    np.testing.assert_array_equal(ts.jacobian(lambda h: last(h, 3), h).reshape(8, 8), np.eye(8))
    assert ts.jacobian(lambda h: last(h, 4), h).reshape(8, 8).all()


def test_the_time_is_in_the_state():
    """A run in two parts is the run in one, also where the sequences of a batch differ in age."""
    cell, xs = clockwork(), numbers(16, 2, I)
    whole, end = ts.unroll(cell, xs)
    first, state = ts.unroll(cell, xs[:5])
    second, last = ts.unroll(cell, xs[5:], state)
    np.testing.assert_array_equal(np.concatenate([first.data, second.data]), whole.data)
    np.testing.assert_array_equal(last.clock.data, end.clock.data)
    other, _ = ts.unroll(cell, xs[:3])
    young, old = cell.init_state(2), state
    mixed = nn.ClockworkState(
        np.stack([young.h[0], old.h.data[1]]), np.stack([young.clock[0], old.clock.data[1]])
    )
    together, _ = ts.unroll(cell, np.stack([xs[:3, 0], xs[5:8, 1]], 1), mixed)
    np.testing.assert_allclose(together.data[:, 0], other.data[:, 0], rtol=1e-13)
    np.testing.assert_allclose(together.data[:, 1], whole.data[5:8, 1], rtol=1e-13)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.TimeSkipCell(I, H, ()), "at least one"),
        (lambda: nn.TimeSkipCell(I, H, (3, 3)), "different"),
        (lambda: nn.TimeSkipCell(I, H, (0, 1)), "positive"),
        (lambda: nn.ClockworkCell(I, H, (2, 1)), "fastest module to the slowest"),
        (lambda: nn.ClockworkCell(I, H, ()), "fastest module"),
        (lambda: nn.ClockworkCell(I, H, (0, 1)), "positive"),
        (lambda: nn.ClockworkCell(I, H, (1, 2, 4)), "divided evenly among 3"),
    ],
)
def test_delays_and_periods_that_there_cannot_be(make: Any, text: str):
    with pytest.raises(ConfigError, match=text):
        make()
