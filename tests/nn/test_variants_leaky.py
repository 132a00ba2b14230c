"""Leaky units and SCRN: equations, time constants, ways to write the same."""

from math import e, log
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from nn.numeric import (
    N,
    assert_is,
    assert_same_function,
    by_state,
    numbers,
    put,
    sigmoid,
)
from nn.registry import H, I
from tinyseq import nn
from tinyseq.errors import ConfigError
from tinyseq.nn.cells.leaky import share_of_the_new

LEAKS = np.array([0.1, 0.4, 0.7, 1.0])


def impulse(steps: int, size: int = 1) -> np.ndarray:
    """x = 1 at the first step, 0 afterwards, (T, 1, size)."""
    xs = np.zeros((steps, 1, size))
    xs[0] = 1
    return xs


# -- leaky units ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("leak, learned", [(0.3, False), (LEAKS, False), (0.3, True)])
def test_leaky_units_are_their_equations(name: str, leak: Any, learned: bool):
    cell = nn.LeakyCell(I, H, leak, learned=learned, nonlinearity=name, seed=0).to(float)
    squash = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0), "identity": lambda v: v}[name]
    p = cell.state_dict()
    a = sigmoid(p["raw_leak"]) if learned else np.broadcast_to(leak, H)
    np.testing.assert_allclose(a, np.broadcast_to(leak, H), rtol=1e-6)

    def step(x: Any, h: Any) -> Any:
        v = x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]
        h = (1 - a) * h + a * squash(v)
        return h, h

    assert_is(cell, step, I)


def test_the_conventions_are_ways_to_write_the_same():
    """1 / tau = 1 - alpha = a: the same trajectories, to the bit."""
    ways = [(0.25, "new"), (0.75, "keep"), (4, "time constant")]
    cells = [nn.LeakyCell(I, H, leak, convention, seed=0).to(float) for leak, convention in ways]
    xs, h = numbers(50, N, I), numbers(N, H, seed=1)
    first, *others = (ts.unroll(cell, xs, h)[0].data for cell in cells)
    for other in others:
        np.testing.assert_array_equal(first, other)
    by_unit = nn.LeakyCell(I, H, 1 / LEAKS, "time constant", seed=0).to(float)
    expected = ts.unroll(nn.LeakyCell(I, H, LEAKS, seed=0).to(float), xs, h)[0].data
    np.testing.assert_allclose(ts.unroll(by_unit, xs, h)[0].data, expected, atol=1e-13)


def linear_unit(leak: Any, size: int = 1, **settings: Any) -> Any:
    """v = x: a leaky unit without recurrent weight, bias and squashing."""
    cell = nn.LeakyCell(1, size, leak, bias=False, nonlinearity="identity", **settings).to(float)
    put(cell, weight_ih=1, weight_hh=0)
    return cell


def test_an_impulse_fades_by_the_share_that_is_kept():
    a, steps = np.array([0.02, 0.3, 1.0]), 200
    ys, _ = ts.unroll(linear_unit(a, 3), impulse(steps))
    expected = a * (1 - a) ** np.arange(steps)[:, None]
    np.testing.assert_allclose(ys.data[:, 0], expected, rtol=1e-12, atol=1e-300)
    # after one time constant, -1 / ln(1 - a) steps, a factor of e is gone
    keep = e ** (-1 / 10)
    ys, _ = ts.unroll(linear_unit(keep, convention="keep"), impulse(11))
    np.testing.assert_allclose(ys.data[0] / ys.data[10], e, rtol=1e-12)
    assert -1 / log(keep) == pytest.approx(10)


def test_it_is_the_running_average_of_the_book():
    """mu(t) = alpha mu(t-1) + (1 - alpha) v(t)."""
    alpha, v = 0.9, numbers(40, 1, 1)
    ys, _ = ts.unroll(linear_unit(alpha, convention="keep"), v)
    mu = np.zeros(1)
    for t in range(40):
        mu = alpha * mu + (1 - alpha) * v[t, 0]
        np.testing.assert_allclose(ys.data[t, 0], mu, rtol=1e-12, atol=1e-15)


def test_a_leak_of_one_is_the_elman_cell():
    leaky, elman = nn.LeakyCell(I, H, 1.0, seed=0).to(float), nn.ElmanCell(I, H).to(float)
    elman.load_state_dict(leaky.state_dict())
    assert_same_function(leaky, elman, I)


def test_the_jacobian_of_linear_units_is_a_mixture_of_identity_and_weights():
    """(1 - a) 1 + a W, so its eigenvalues are those of W drawn towards 1."""
    cell = nn.LeakyCell(I, H, 0.3, nonlinearity="identity", seed=0).to(float)
    W = cell.weight_hh.data
    expected = np.linalg.matrix_power(0.7 * np.eye(H) + 0.3 * W, 5)
    np.testing.assert_allclose(by_state(cell, numbers(5, 1, I), 5), expected, rtol=1e-12)


def test_the_gradient_of_a_learned_leak_is_exact():
    """h(T) = sum_t a (1-a)^(T-t) x(t), and a = sigmoid(raw)."""
    xs, a = numbers(20, 1, 1), 0.3
    cell = linear_unit(a, learned=True)
    put(cell, raw_leak=np.log(a / (1 - a)))
    _, last = ts.unroll(cell, xs)
    (found,) = ts.grad(last.sum(), [cell.raw_leak])
    age = np.arange(19, -1, -1)
    by_a = ((1 - a) ** age - a * age * (1 - a) ** (age - 1.0)) @ xs[:, 0, 0]
    np.testing.assert_allclose(found, by_a * a * (1 - a), rtol=1e-12)


def test_the_two_parameter_form_is_its_equation():
    C, a, delta = 0.44, 0.9, 0.5
    cell = nn.LeakyIntegratorCell(I, H, C, a, delta, seed=0).to(float)
    p = cell.state_dict()

    def step(x: Any, h: Any) -> Any:
        v = x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]
        h = (1 - delta * C * a) * h + delta * C * np.tanh(v)
        return h, h

    assert_is(cell, step, I)


def test_the_two_parameter_form_is_leaky_when_its_shares_add_up_to_one():
    two = nn.LeakyIntegratorCell(I, H, 0.4, 1.0, 0.5, seed=0).to(float)
    one = nn.LeakyCell(I, H, 0.2).to(float)
    one.load_state_dict(two.state_dict())
    assert_same_function(two, one, I)


def test_the_two_parameter_form_settles_above_what_drives_it():
    """Its shares do not add up to 1: under a constant drive it settles at tanh(v) / a."""
    cell = nn.LeakyIntegratorCell(I, H, 0.44, 0.9, seed=0).to(float)
    put(cell, weight_hh=0)
    p, x = cell.state_dict(), numbers(1, I)
    _, last = ts.unroll(cell, np.broadcast_to(x, (200, 1, I)))
    v = x @ p["weight_ih"].T + p["bias_ih"] + p["bias_hh"]
    np.testing.assert_allclose(last.data, np.tanh(v) / 0.9, rtol=1e-12)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.LeakyCell(I, H, 0.0), "above 0 and at most 1"),
        (lambda: nn.LeakyCell(I, H, 1.1), "above 0 and at most 1"),
        (lambda: nn.LeakyCell(I, H, float("nan")), "above 0 and at most 1"),
        (lambda: nn.LeakyCell(I, H, 1.0, "keep"), "above 0 and at most 1"),
        (lambda: nn.LeakyCell(I, H, 0.5, "time constant"), "at least 1 step"),
        (lambda: nn.LeakyCell(I, H, 0.5, "slow"), "'new', 'keep', 'time constant'"),
        (lambda: nn.LeakyCell(I, H, 1.0, learned=True), "starts below 1"),
        (lambda: nn.LeakyCell(I, H, LEAKS[:3]), "one for each of 4 units"),
        (lambda: nn.LeakyCell(I, H, nonlinearity="sigmoid"), "tanh, relu, identity"),
        (lambda: nn.LeakyIntegratorCell(I, H, 2.0, 0.9), "at most 1"),
        (lambda: nn.LeakyIntegratorCell(I, H, 0.0), "positive"),
        (lambda: nn.SCRNCell(I, H, 5, alpha=1.0), r"\[0, 1\)"),
        (lambda: nn.SCRNCell(I, H, 0), "positive"),
    ],
)
def test_what_no_time_scale_can_be(make: Any, text: str):
    with pytest.raises(ConfigError, match=text):
        make()


def test_the_share_of_the_new_is_what_the_conventions_say():
    for given, convention, share in (
        (0.2, "new", 0.2),
        (0.8, "keep", 0.2),
        (5, "time constant", 0.2),
    ):
        assert float(share_of_the_new(given, convention)) == pytest.approx(share, rel=1e-15)


# -- SCRN -----------------------------------------------------------------------------------------


def test_the_scrn_is_its_equations():
    cell = nn.SCRNCell(I, H, 5, alpha=0.8, seed=0).to(float)
    A, R, B, P = (cell.state_dict()[f"weight_{k}"] for k in ("ih", "hh", "is", "sh"))

    def step(x: Any, h: Any, s: Any) -> Any:
        s = 0.2 * x @ B.T + 0.8 * s
        h = sigmoid(s @ P.T + x @ A.T + h @ R.T)
        return np.concatenate([h, s], -1), h, s

    assert_is(cell, step, I)


def test_the_context_fades_by_alpha_and_nothing_else_touches_it():
    alpha, steps = 0.95, 100
    cell = nn.SCRNCell(I, H, 5, seed=0).to(float)
    xs = impulse(steps, I)
    ys, _ = ts.unroll(cell, xs)
    expected = (1 - alpha) * alpha ** np.arange(steps)[:, None] * (xs[0] @ cell.weight_is.data.T)
    np.testing.assert_allclose(ys.data[:, 0, H:], expected, rtol=1e-12)
    s = ts.tensor(numbers(1, 5), requires_grad=True)
    h = ts.tensor(numbers(1, H), requires_grad=True)
    _, last = ts.unroll(cell, numbers(steps, 1, I), nn.SCRNState(h, s))
    by_s, by_h = ts.grad(last.s.sum(), [s, h], allow_unused=True)
    np.testing.assert_allclose(by_s, alpha**steps, rtol=1e-12)
    assert by_h is None
