"""unroll over padded batches."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import ops
from tinyseq.errors import DataError, ShapeError

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


def row_products(x: Any, w: Any) -> Any:
    """x W^T without BLAS: each row is summed up by itself, in one order."""
    return (ops.expand_dims(x, 1) * w).sum(-1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_blas_a_sequence_alone_is_the_same_to_the_bit(reverse: bool, dtype: Any):
    """Nothing in the recurrence differs between a padded batch and a sequence alone."""
    u, w = numbers(4, 2, seed=1).astype(dtype), numbers(4, 4, seed=2).astype(dtype)

    def step(x: Any, h: Any) -> tuple[Any, Any]:
        h = ops.tanh(row_products(x, u) + row_products(h, w))
        return h, h

    xs, h0 = numbers(6, 4, 2).astype(dtype), numbers(4, 4, seed=3).astype(dtype)
    lengths = [6, 0, 3, 1]
    x = ts.tensor(xs, requires_grad=True)
    ys, h = ts.unroll(step, x, h0, lengths=lengths, reverse=reverse)
    (ys * ys).sum().backward()
    for n, length in enumerate(lengths):
        alone = ts.tensor(xs[:length, n : n + 1], requires_grad=True)
        y, last = ts.unroll(step, alone, h0[n : n + 1], reverse=reverse)
        np.testing.assert_array_equal(ys.data[:length, n], y.data[:, 0])
        np.testing.assert_array_equal(h.data[n], last.data[0])
        assert not ys.data[length:, n].any()
        if length:
            (y * y).sum().backward()
            np.testing.assert_array_equal(x.grad[:length, n], alone.grad[:, 0])
        assert not x.grad[length:, n].any()


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, lambda a: np.array(a, np.uint8), ts.tensor]
)
def test_lengths_may_come_as_any_integers(kind: Any):
    ys, _ = ts.unroll(decay, np.ones((4, 3)), np.zeros(3), lengths=kind([4, 2, 0]))
    np.testing.assert_array_equal((ys.data != 0).sum(0), [4, 2, 0])


def test_the_state_of_a_sequence_that_has_ended_stays():
    xs, h0 = numbers(T, N), numbers(N, seed=1)
    _, h = ts.unroll(decay, xs, h0, lengths=[T, 2, 0])
    np.testing.assert_array_equal(h.data[2], h0[2])
    np.testing.assert_array_equal(h.data[1], ts.unroll(decay, xs[:2], h0)[1].data[1])


def test_reversed_sequences_start_at_their_own_ends():
    xs = numbers(T, N)
    ys, h = ts.unroll(decay, xs, np.zeros(N), lengths=[T, 2, 0], reverse=True)
    alone, last = ts.unroll(decay, xs[1::-1, 1:2], np.zeros(1))
    np.testing.assert_array_equal(ys.data[:2, 1], alone.data[::-1, 0])
    np.testing.assert_array_equal(h.data[1], last.data[0])


def test_the_padding_of_structures_and_of_tokens_is_never_read():
    seen: list[Any] = []

    def step(given: Any, h: Any) -> tuple[Any, Any]:
        seen.append((given.x.data.copy(), given.y.data.copy()))
        return decay(given.x, h)

    xs, ids = np.full((3, 2), np.nan), np.full((3, 2), -1)
    xs[:, 0], ids[:, 0] = 1, 1
    xs[0, 1], ids[0, 1] = 2, 2
    ts.unroll(step, XY(xs, ids), np.zeros(2), lengths=[3, 1])
    assert [x.tolist() for x, _ in seen] == [[1, 2], [1, 0], [1, 0]]
    assert [y.tolist() for _, y in seen] == [[1, 2], [1, 0], [1, 0]]


@pytest.mark.parametrize(
    "lengths",
    [
        [-1, 2, 3],  # negative
        [6, 2, 3],  # too long
        [1, 2],  # too few
        [1, 2, 3, 4],  # too many
        [1.0, 2.0, 3.0],  # no integers
        [[1, 2, 3]],  # not one axis
        3,
        [True, True, False],
    ],
)
def test_lengths_that_do_not_fit(lengths: Any):
    with pytest.raises(DataError, match="lengths"):
        ts.unroll(decay, numbers(T, N), np.zeros(N), lengths=lengths)


def test_lengths_want_a_batch_in_everything():
    with pytest.raises(ShapeError, match=r"with lengths, .* \(batch, ...\), not \(\)"):
        ts.unroll(lambda x, h: (h.sum(), h), numbers(T, N), np.zeros(N), lengths=[1, 2, 3])
