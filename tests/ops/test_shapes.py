"""Shapes that nobody thought of: broadcasting, axes and indices drawn at random.

Each value is compared with NumPy's, and each derivative in three ways: J v with a difference along
v, <u, J v> with <J^T u, v>, and shapes with shapes.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinyseq as ts
from tinyseq import ops
from tinyseq.autograd.functional import pull_back, push
from tinyseq.errors import ShapeError

SIDE = st.integers(0, 4)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
FULL = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)
REDUCTIONS = {
    "sum": (ops.sum, np.sum),
    "mean": (ops.mean, np.mean),
    "max": (ops.max, np.max),
    "min": (ops.min, np.min),
    "prod": (ops.prod, np.prod),
    "var": (lambda *a: ops.var(*a, correction=0), lambda *a: np.var(a[0], a[1], keepdims=a[2])),
    "logsumexp": (ops.logsumexp, lambda *a: np.log(np.sum(np.exp(a[0]), a[1], keepdims=a[2]))),
}
BINARY = {
    "add": (ops.add, np.add),
    "sub": (ops.sub, np.subtract),
    "mul": (ops.mul, np.multiply),
    "div": (ops.div, np.divide),
    "pow": (ops.pow, np.power),
    "maximum": (ops.maximum, np.maximum),
}


def numbers(shape, seed=0) -> np.ndarray:
    """Positive, and no two near each other: far from kinks."""
    size = int(np.prod(shape))
    rng = np.random.default_rng([seed, size])
    return (0.5 + rng.permutation(size) * 0.1 + rng.random(size) * 0.01 + seed / 30).reshape(shape)


def check(f, reference, *arrays) -> None:
    inputs = [ts.tensor(array, requires_grad=True) for array in arrays]
    y = f(*inputs)
    expected = reference(*arrays)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)

    rng = np.random.default_rng(1)
    u, vs = rng.normal(size=y.shape), [rng.normal(size=a.shape) for a in arrays]
    (tangent,) = push([y], inputs, vs)
    cotangents = pull_back([y], inputs, [u])
    assert tangent.shape == y.shape and [g.shape for g in cotangents] == [a.shape for a in arrays]
    h = 1e-6
    above = reference(*(a + h * v for a, v in zip(arrays, vs, strict=True)))
    below = reference(*(a - h * v for a, v in zip(arrays, vs, strict=True)))
    rounding = np.finfo(float).eps * np.abs(expected).max(initial=0) / h
    np.testing.assert_allclose(
        tangent, (above - below) / (2 * h), rtol=1e-5, atol=1e-6 + 4 * rounding
    )
    pulled = sum(np.vdot(g, v) for g, v in zip(cotangents, vs, strict=True))
    assert np.vdot(u, tangent) == pytest.approx(pulled, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", BINARY)
@given(pair=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=4))
def test_broadcasting(name, pair):
    f, reference = BINARY[name]
    check(f, reference, *(numbers(shape, k) for k, shape in enumerate(pair.input_shapes)))


@given(first=SHAPES, second=SHAPES)
def test_shapes_that_do_not_broadcast_are_refused_as_by_numpy(first, second):
    a, b = ts.tensor(np.ones(first), requires_grad=True), np.ones(second)
    try:
        shape = np.broadcast_shapes(first, second)
    except ValueError:
        with pytest.raises(ShapeError, match="^add: "):
            a + b
    else:
        assert (a + b).shape == shape


@given(pair=hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
def test_where_broadcasts_all_three(pair):
    first, second, third = pair.input_shapes
    mask = np.arange(int(np.prod(third))).reshape(third) % 2 == 0
    check(
        lambda a, b: ops.where(mask, a, b),
        lambda a, b: np.where(mask, a, b),
        numbers(first),
        numbers(second, 1),
    )


@pytest.mark.parametrize("name", REDUCTIONS)
@given(data=st.data(), shape=FULL, keepdims=st.booleans())
def test_reductions_over_any_axes(name, data, shape, keepdims):
    f, reference = REDUCTIONS[name]
    axes = data.draw(
        st.none()
        | st.integers(-len(shape), len(shape) - 1)
        | hnp.valid_tuple_axes(len(shape), max_size=len(shape))
    )
    check(
        lambda a: f(a, axes, keepdims),
        lambda a: (
            np.asarray(reference(a, axes, keepdims=keepdims))
            if name not in ("var", "logsumexp")
            else np.asarray(reference(a, axes, keepdims))
        ),
        numbers(shape) / 10,
    )


@given(data=st.data())
def test_matmul_of_stacks(data):
    shapes = data.draw(
        hnp.mutually_broadcastable_shapes(
            signature="(m?,k),(k,n?)->(m?,n?)", max_dims=2, max_side=3
        )
    )
    check(ops.matmul, np.matmul, *(numbers(s, k) for k, s in enumerate(shapes.input_shapes)))


@given(data=st.data(), shape=SHAPES)
def test_basic_indices(data, shape):
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    check(lambda a: ops.getitem(a, index), lambda a: a[index], numbers(shape))


@given(data=st.data(), shape=FULL)
def test_integer_arrays_as_indices(data, shape):
    index = data.draw(
        hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(min_dims=0, max_dims=2))
    )
    count = data.draw(st.integers(1, len(index)))
    index = index[:count] if data.draw(st.booleans()) else (..., *index[-count:])
    try:
        np.ones(shape)[index]
    except IndexError:
        with pytest.raises(ShapeError, match="^getitem: "):
            ops.getitem(np.ones(shape), index)
        return
    check(lambda a: ops.getitem(a, index), lambda a: a[index], numbers(shape))


@given(data=st.data(), shape=FULL)
def test_masks_as_indices(data, shape):
    mask = data.draw(hnp.arrays(bool, shape[: data.draw(st.integers(1, len(shape)))]))
    check(lambda a: ops.getitem(a, mask), lambda a: a[mask], numbers(shape))


@given(data=st.data(), shape=FULL)
def test_take_along_any_axis(data, shape):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    wide = list(shape)
    wide[axis] = data.draw(st.integers(0, 5))
    n = shape[axis]
    indices = data.draw(hnp.arrays(np.int64, tuple(wide), elements=st.integers(-n, n - 1)))
    check(
        lambda a: ops.take_along_axis(a, indices, axis),
        lambda a: np.take_along_axis(a, indices, axis),
        numbers(shape),
    )


@given(data=st.data(), shape=FULL)
def test_take_and_scatter_add_along_any_axis(data, shape):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    n = shape[axis]
    ids = data.draw(
        hnp.arrays(
            np.int64,
            st.tuples(st.integers(0, 60)) | st.tuples(SIDE, SIDE),
            elements=st.integers(-n, n - 1),
        )
    )
    check(
        lambda a: ops.take(a, ids, axis),
        lambda a: np.take(a, ids, axis, mode="wrap"),
        numbers(shape),
    )

    index = (slice(None),) * (axis % len(shape)) + (ids,)
    values = numbers(np.ones(shape)[index].shape, 2)

    def added(a, v):
        total = a.copy()
        np.add.at(total, index, v)
        return total

    check(lambda a, v: ops.scatter_add(a, index, v), added, numbers(shape), values)


@given(data=st.data(), shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=3))
def test_moving_axes_about(data, shape):
    order = data.draw(st.permutations(range(len(shape))))
    check(lambda a: ops.transpose(a, order), lambda a: np.transpose(a, order), numbers(shape))
    if shape:
        i, j = (data.draw(st.integers(-len(shape), len(shape) - 1)) for _ in "ij")
        check(lambda a: ops.swapaxes(a, i, j), lambda a: np.swapaxes(a, i, j), numbers(shape))
        check(lambda a: ops.moveaxis(a, i, j), lambda a: np.moveaxis(a, i, j), numbers(shape))
        axes = data.draw(hnp.valid_tuple_axes(len(shape), min_size=1))
        check(lambda a: ops.flip(a, axes), lambda a: np.flip(a, axes), numbers(shape))
        shift = data.draw(st.integers(-9, 9))
        check(lambda a: ops.roll(a, shift, i), lambda a: np.roll(a, shift, i), numbers(shape))
        widths = data.draw(
            st.lists(st.tuples(SIDE, SIDE), min_size=len(shape), max_size=len(shape))
        )
        check(lambda a: ops.pad(a, widths), lambda a: np.pad(a, widths), numbers(shape))
    repeats = tuple(data.draw(st.lists(SIDE, max_size=4)))
    check(lambda a: ops.tile(a, repeats), lambda a: np.tile(a, repeats), numbers(shape))


@given(data=st.data(), shape=FULL)
def test_cutting_and_joining_undo_each_other(data, shape):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, shape[axis]), max_size=4)))
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, shape[axis]], strict=True)]
    array = numbers(shape)
    check(lambda a: ops.concatenate(ops.split(a, sizes, axis), axis), lambda a: a, array)
    check(lambda a: ops.stack(ops.unbind(a, axis), axis), lambda a: a, array)
    check(
        lambda *parts: ops.concatenate(parts, axis),
        lambda *parts: np.concatenate(parts, axis),
        *np.split(array, cuts, axis),
    )


@given(data=st.data())
def test_einsum_of_any_letters(data):
    length = dict(zip("abcd", data.draw(st.lists(SIDE, min_size=4, max_size=4)), strict=True))
    letters = st.lists(st.sampled_from("abcd"), unique=True, max_size=3)
    terms = data.draw(st.lists(letters, min_size=1, max_size=3))
    known = sorted(set().union(*terms))
    output = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    subscripts = ",".join("".join(term) for term in terms) + "->" + "".join(output)
    arrays = [numbers([length[c] for c in term], k) for k, term in enumerate(terms)]
    check(
        lambda *a: ops.einsum(subscripts, *a),
        lambda *a: np.asarray(np.einsum(subscripts, *a)),
        *arrays,
    )
