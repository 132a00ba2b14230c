"""The cells for grids: against their equations in plain loops, and what they learn to see."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, ops
from tinyseq.errors import ConfigError, ShapeError, StructureError

R, C, N, I, H = 3, 4, 2, 3, 5  # noqa: E741
CELLS = [nn.MDRNNCell, nn.MDLSTMCell]


def cell(kind: type, seed: int = 0) -> Any:
    return kind(I, H, seed).to(np.float64)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape)


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def by_hand(weights: dict[str, np.ndarray], xs: np.ndarray, gates: int) -> np.ndarray:
    """The equations of the papers, a place at a time; row 0 and column 0 are the border."""
    rows, columns = xs.shape[:2]
    h = np.zeros((rows + 1, columns + 1, N, H))
    c = np.zeros((rows + 1, columns + 1, N, H))
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            a = weights["bias"] + xs[i - 1, j - 1] @ weights["weight_ih"].T
            a = a + h[i - 1, j] @ weights["weight_above"].T + h[i, j - 1] @ weights["weight_left"].T
            if gates == 1:
                h[i, j] = np.tanh(a)
                continue
            enter, forget_above, forget_left, new, out = np.split(a, 5, -1)
            c[i, j] = sigmoid(forget_above) * c[i - 1, j] + sigmoid(forget_left) * c[i, j - 1]
            c[i, j] += sigmoid(enter) * np.tanh(new)
            h[i, j] = sigmoid(out) * np.tanh(c[i, j])
    return h[1:, 1:]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("by_diagonal", [False, True])
def test_is_its_equation(kind: type, by_diagonal: bool):
    c, xs = cell(kind), numbers(R, C, N, I)
    expected = by_hand(c.state_dict(), xs, c.gates)
    outputs, state = ts.unroll_grid(c, xs, by_diagonal=by_diagonal)
    np.testing.assert_allclose(outputs.data, expected, rtol=1e-12, atol=1e-14)
    h = state if kind is nn.MDRNNCell else state.h
    np.testing.assert_allclose(h.data, expected[-1, -1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("by_diagonal", [False, True])
def test_derivatives_are_right(kind: type, by_diagonal: bool):
    c = cell(kind)

    def run(x: Any) -> Any:
        return ts.unroll_grid(c, x, by_diagonal=by_diagonal)[0]

    ts.check_grads(run, (numbers(2, 3, 1, I),), order=2)


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_of_the_parameters_are_differences(kind: type):
    c, xs, direction = cell(kind), numbers(R, C, N, I), numbers(R, C, N, H)

    def loss() -> Any:
        return ops.sum(ts.unroll_grid(c, xs)[0] * direction)

    found = ts.grad(loss(), list(c.parameters()))
    for parameter, g in zip(list(c.parameters()), found, strict=True):
        old, step = parameter.data.copy(), numbers(*parameter.shape)
        values = []
        for sign in (1, -1):
            parameter.assign(old + sign * 1e-6 * step)
            values.append(loss().item())
        parameter.assign(old)
        difference = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose(difference, (g * step).sum(), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("reverse", [(False, True), (True, False), (True, True)])
def test_another_direction_is_the_same_on_a_flipped_picture(kind: type, reverse: Any):
    c, xs = cell(kind), numbers(R, C, N, I)
    axes = [axis for axis, back in enumerate(reverse) if back]
    there, state = ts.unroll_grid(c, xs, reverse=reverse)
    flipped, other = ts.unroll_grid(c, np.flip(xs, axes))
    np.testing.assert_array_equal(there.data, np.flip(flipped.data, axes))
    for a, b in zip(ts.structure.leaves(state), ts.structure.leaves(other), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_turning_the_picture_exchanges_above_and_left():
    c, xs = cell(nn.MDRNNCell), numbers(R, C, N, I)
    expected, _ = ts.unroll_grid(c, xs)
    above, left = c.weight_above.data.copy(), c.weight_left.data.copy()
    c.weight_above.assign(left)
    c.weight_left.assign(above)
    turned, _ = ts.unroll_grid(c, np.swapaxes(xs, 0, 1))
    np.testing.assert_allclose(np.swapaxes(turned.data, 0, 1), expected.data, rtol=1e-12)


def test_on_one_row_it_is_the_elman_cell():
    c, xs = cell(nn.MDRNNCell), numbers(1, C, N, I)
    plain = nn.ElmanCell(I, H).to(np.float64)
    plain.weight_ih.assign(c.weight_ih)
    plain.weight_hh.assign(c.weight_left)
    plain.bias_ih.assign(c.bias)
    plain.bias_hh.assign(np.zeros(H))
    expected, _ = ts.unroll(plain, xs[0])
    found, _ = ts.unroll_grid(c, xs)
    np.testing.assert_allclose(found.data[0], expected.data, rtol=1e-12)


def test_on_one_row_it_is_the_lstm():
    c, xs = cell(nn.MDLSTMCell), numbers(1, C, N, I)
    plain = nn.LSTMCell(I, H).to(np.float64)
    kept = np.r_[0:H, 2 * H : 5 * H]  # without the gate for what is above
    plain.weight_ih.assign(c.weight_ih.data[kept])
    plain.weight_hh.assign(c.weight_left.data[kept])
    plain.bias_ih.assign(c.bias.data[kept])
    plain.bias_hh.assign(np.zeros(4 * H))
    expected, _ = ts.unroll(plain, xs[0])
    found, _ = ts.unroll_grid(c, xs)
    np.testing.assert_allclose(found.data[0], expected.data, rtol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_refuses(kind: type):
    c = cell(kind)
    with pytest.raises(ConfigError, match=f"{kind.__name__}: sizes are positive integers"):
        kind(I, 0)
    with pytest.raises(ShapeError, match=r"should have shape \(batch, 3\)"):
        ts.unroll_grid(c, numbers(R, C, N, I + 1))
    with pytest.raises(StructureError, match="the state"):
        c(numbers(N, I), c.init_state(N) if kind is nn.MDLSTMCell else (c.init_state(N),))


@pytest.mark.parametrize("kind", CELLS)
def test_float32_stays_float32(kind: type):
    outputs, _ = ts.unroll_grid(kind(I, H, 0), numbers(R, C, N, I).astype(np.float32))
    assert outputs.dtype == np.float32


@pytest.mark.parametrize("kind", CELLS)
def test_learns_what_needs_both_axes(kind: type):
    """Whether the marks of the first row and of the first column are equal, told at the corner."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, size=(2, 64))
    xs = np.zeros((3, 3, 64, 1), np.float32)
    xs[0, 2, :, 0], xs[2, 0, :, 0] = 2 * bits - 1
    same = (bits[0] == bits[1]).astype(int)
    c, readout = kind(1, 8, 0), nn.Linear(8, 2, seed=1)
    parameters = [*c.parameters(), *readout.parameters()]
    optimizer = ts.optim.Adam(parameters, lr=0.03)
    for _ in range(150):
        outputs, _ = ts.unroll_grid(c, xs, by_diagonal=True)
        loss = nn.cross_entropy(readout(outputs[-1, -1]), same)
        for parameter, g in zip(parameters, ts.grad(loss, parameters), strict=True):
            parameter.grad = g
        optimizer.step()
    with ts.no_grad():
        outputs, _ = ts.unroll_grid(c, xs)
        right = readout(outputs[-1, -1]).data.argmax(-1) == same
    assert right.all()
