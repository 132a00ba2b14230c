"""Where a formula stops being plain: kinks, zeros, infinities, huge numbers, dtypes.

Warnings are errors here, so a value that is named as right also came without a warning.
"""

import math

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import ops
from tinyseq.errors import ShapeError

INF, NAN = math.inf, math.nan
FLOATS = [np.float32, np.float64]


def value_and_slope(f, *numbers, dtype=np.float64):
    """f of arrays, as a list, and the gradient of its sum by the first of them, as a list."""
    x = ts.tensor(np.asarray(numbers[0], dtype), requires_grad=True)
    y = f(x, *(np.asarray(n, dtype) for n in numbers[1:]))
    return y.data.tolist(), ts.grad(y.sum(), x).tolist()


def slopes(f, *numbers):
    """The gradient of f's sum by every argument, as lists."""
    inputs = [ts.tensor(np.asarray(n, float), requires_grad=True) for n in numbers]
    return [g.tolist() for g in ts.grad(f(*inputs).sum(), inputs)]


# -- kinks: the documented convention, exactly ----------------------------------------------------


def test_slope_of_relu_at_0_is_0():
    assert value_and_slope(ops.relu, [-1.0, 0.0, 2.0]) == ([0, 0, 2], [0, 0, 1])


def test_slope_of_abs_at_0_is_0():
    assert value_and_slope(ops.abs, [-2.0, 0.0, 2.0]) == ([2, 0, 2], [-1, 0, 1])


@pytest.mark.parametrize(
    "op, first, second",
    [(ops.maximum, [0, 0.5, 1], [1, 0.5, 0]), (ops.minimum, [1, 0.5, 0], [0, 0.5, 1])],
)
def test_equal_ones_share_the_gradient_of_maximum_and_minimum(op, first, second):
    assert slopes(op, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == [first, second]


def test_equal_ones_share_the_gradient_also_with_a_number():
    assert value_and_slope(lambda a: ops.maximum(a, 0), [-1.0, 0.0, 1.0])[1] == [0, 0.5, 1]
    assert value_and_slope(lambda a: ops.minimum(2, a), [1, 2, 3])[1] == [1, 0.5, 0]


@pytest.mark.parametrize("op, winner", [(ops.max, 5.0), (ops.min, -5.0)])
def test_ties_share_the_gradient_of_max_and_min(op, winner):
    a = [[winner, 1.0, winner], [0.0, winner, 0.0]]
    third = pytest.approx(1 / 3)
    assert value_and_slope(op, a)[1] == [[third, 0, third], [0, third, 0]]
    assert value_and_slope(lambda a: op(a, 1), a)[1] == [[0.5, 0, 0.5], [0, 1, 0]]


def test_ties_share_tangents_as_they_share_cotangents():
    x = ts.tensor(np.array([2.0, 2.0, 1.0]), requires_grad=True)
    assert ts.push_forward([ops.max(x)], [x], [np.array([1.0, 3.0, 9.0])]) == [2.0]


def test_slope_of_clip_is_1_up_to_and_on_the_border():
    found = value_and_slope(lambda a: ops.clip(a, -1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0])
    assert found == ([-1, -1, 0, 1, 1], [0, 1, 1, 1, 0])


def test_gradient_of_clip_goes_to_the_bound_where_the_bound_is_the_result():
    by_value, by_bound = slopes(lambda a, low: ops.clip(a, low), [1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert (by_value, by_bound) == ([0, 1, 1], [1, 0, 0])


def test_what_was_not_chosen_by_where_cannot_spoil_the_gradient():
    def safe_log(a):
        positive = a.data > 0
        return ops.where(positive, ops.log(ops.where(positive, a, 1.0)), 0.0)

    assert value_and_slope(safe_log, [0.0, 2.0]) == ([0, math.log(2)], [0, 0.5])
    x = ts.tensor(np.zeros(2), requires_grad=True)
    chosen = ops.where(np.array([True, False]), x, np.array([NAN, 0.0]))
    assert ts.grad(chosen, x, seed=np.array([1.0, INF])).tolist() == [1, 0]


def test_a_condition_may_be_a_labelled_tensor():
    """It has a place in the graph, for the pictures, and no gradient."""
    mask = ts.label(np.array([True, False]), "m")

    def choose(a, b):
        return ops.where(mask, a * a, b * b * b)

    ts.check_grads(choose, (np.array([1.0, 2.0]), np.array([3.0, 4.0])))
    assert slopes(choose, [1.0, 2.0], [3.0, 4.0]) == [[2, 0], [0, 48]]
    x = ts.tensor(np.ones(2), requires_grad=True)
    assert mask.node in ops.where(mask, x, 0.0).node.parents


# -- powers and products of zeros -----------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0, 0.0, np.zeros(2)], ids=["int", "float", "array"])
def test_zeroth_power_is_1_and_flat_even_at_0(exponent):
    assert value_and_slope(lambda a: ops.pow(a, exponent), [0.0, 3.0]) == ([1, 1], [0, 0])


def test_square_at_0_to_third_order():
    x = ts.tensor(np.array(0.0), requires_grad=True)
    y = x**2
    first = ts.grad(y, x, create_graph=True)
    second = ts.grad(first, x, create_graph=True)
    third = ts.grad(second, x, allow_unused=True)
    assert (y.item(), first.item(), second.item(), third) == (0, 0, 2, 0)


@pytest.mark.parametrize("b", [0.0, 1.0, 2.0])
def test_powers_of_0_are_flat_in_the_exponent(b):
    assert slopes(ops.pow, [0.0], [b])[1] == [0]
    assert slopes(lambda b: ops.pow(0, b), [b]) == [[0]]


def test_negative_power_of_0_is_infinitely_steep_in_the_exponent():
    """0**b is infinite for b < 0 and 0 for b > 0: going up, the way is down."""
    with np.errstate(all="ignore"):
        assert slopes(ops.pow, [0.0], [-1.0])[1] == [-INF]


def test_mixed_second_derivative_of_a_power_at_exponent_0():
    """d/db d/da a**b = a**(b-1) (1 + b log a), which is 1/a at b = 0."""
    a, b = (ts.tensor(np.array(v), requires_grad=True) for v in (4.0, 0.0))
    slope = ts.grad(a**b, a, create_graph=True)
    assert ts.grad(slope, b) == pytest.approx(0.25)


def test_number_to_a_power_that_is_a_tensor_keeps_float32():
    (by_exponent,) = slopes(lambda b: ops.pow(2, b), [3.0])
    assert by_exponent == pytest.approx([8 * math.log(2)])
    x = ts.tensor(np.ones(2, np.float32), requires_grad=True)
    assert ts.grad((2.0**x).sum(), x, create_graph=True).dtype == np.float32


@pytest.mark.parametrize("op", [ops.prod, lambda a: ops.cumprod(a)[-1]], ids=["prod", "cumprod"])
def test_derivatives_of_products_with_zeros(op):
    assert value_and_slope(op, [0.0, 2.0, 3.0]) == (0, [6, 0, 0])
    assert value_and_slope(op, [0.0, 0.0, 3.0]) == (0, [0, 0, 0])
    assert ts.hessian(op, np.array([0.0, 0.0, 3.0])).tolist() == [[0, 3, 0], [3, 0, 0], [0, 0, 0]]
    assert ts.hessian(op, np.array([0.0, 0.0, 0.0])).tolist() == np.zeros((3, 3)).tolist()


def test_product_of_nothing_is_1():
    assert value_and_slope(ops.prod, []) == (1, [])


# -- division, roots and logarithms at 0 ----------------------------------------------------------


def test_logarithm_of_0_is_minus_infinity_with_a_warning():
    x = ts.tensor(np.array([0.0, 1.0]), requires_grad=True)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        y = ops.log(x)
    assert y.data.tolist() == [-INF, 0]
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert ts.grad(y.sum(), x).tolist() == [INF, 1]


def test_root_of_0_is_infinitely_steep():
    x = ts.tensor(np.array([0.0, 4.0]), requires_grad=True)
    y = ops.sqrt(x)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert ts.grad(y.sum(), x).tolist() == [INF, 0.25]


def test_standard_deviation_of_equal_numbers_has_no_gradient():
    assert value_and_slope(ops.std, [2.0, 2.0, 2.0]) == (0, [0, 0, 0])


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, np.zeros(1)], ids=["int", "0.0", "-0.0", "array"])
def test_division_by_0_gives_infinities_and_no_python_error(zero):
    x = ts.tensor(np.array([1.0]), requires_grad=True)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        y = x / zero
    if isinstance(zero, np.ndarray):
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            slope = ts.grad(y, x)
    else:
        slope = ts.grad(y, x)
    assert y.data.tolist() == slope.tolist() == [math.copysign(INF, np.ravel(zero)[0])]


def test_quotient_does_not_overflow_on_the_way():
    b = ts.tensor(np.array([1e-25], np.float32), requires_grad=True)
    slope = ts.grad(np.array([1e-20], np.float32) / b, b)
    np.testing.assert_allclose(slope, [-1e30], rtol=1e-6)


# -- both ends of the squashing functions ---------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_sigmoid_far_out(dtype):
    found = value_and_slope(ops.sigmoid, [-1000, 0, 1000], dtype=dtype)
    assert found == ([0, 0.5, 1], [0, 0.25, 0])


@pytest.mark.parametrize("dtype", FLOATS)
def test_softplus_far_out(dtype):
    y, slope = value_and_slope(ops.softplus, [-1000, 0, 1000], dtype=dtype)
    assert y == [0, pytest.approx(math.log(2)), 1000] and slope == [0, 0.5, 1]


@pytest.mark.parametrize("dtype", FLOATS)
def test_sigmoid_is_as_exact_as_a_number_near_1(dtype):
    a = np.linspace(-40, 40, 1001).astype(dtype)
    exact = 1 / (1 + np.exp(-a.astype(np.longdouble)))
    assert np.abs(ops.sigmoid(a) - exact).max() <= np.finfo(dtype).eps


@pytest.mark.parametrize("f", [np.log1p, np.expm1], ids=["log1p", "expm1"])
def test_small_numbers_keep_their_digits(f):
    y, slope = value_and_slope(getattr(ops, f.__name__), [1e-18, -1e-18])
    assert y == [1e-18, -1e-18] and slope == [1, 1]


def test_small_products_keep_their_digits():
    y, slope = value_and_slope(ops.cumprod, [1e-10, 1e-10, 3e-10])
    assert y == pytest.approx([1e-10, 1e-20, 3e-30], rel=1e-14)
    assert slope == pytest.approx([1 + 1e-10, 1e-10, 1e-20], rel=1e-9)


# -- softmax and its family -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shift", [-1e30, -1e4, 0.0, 1e4, 1e30])
def test_softmax_and_logsumexp_of_huge_numbers(dtype, shift):
    a = np.full(4, shift, dtype)
    np.testing.assert_allclose(ops.softmax(a), np.full(4, 0.25))
    np.testing.assert_allclose(ops.log_softmax(a), np.full(4, -math.log(4)), rtol=1e-6)
    np.testing.assert_allclose(ops.logsumexp(a), shift + math.log(4), rtol=1e-6)
    assert value_and_slope(ops.logsumexp, a, dtype=dtype)[1] == [0.25] * 4


def test_softmax_of_numbers_far_apart():
    assert value_and_slope(ops.softmax, [0.0, 1e5]) == ([0, 1], [0, 0])
    assert value_and_slope(lambda a: ops.log_softmax(a)[0], [0.0, 1e5]) == (-1e5, [1, -1])


def test_masked_scores_get_no_weight_and_no_gradient():
    scores = [0.0, -INF, 0.0]
    assert value_and_slope(lambda a: ops.softmax(a)[0], scores) == (0.5, [0.25, 0, -0.25])
    assert value_and_slope(ops.logsumexp, scores) == (math.log(2), [0.5, 0, 0.5])
    x = ts.tensor(np.array(scores), requires_grad=True)
    first = ts.grad(ops.logsumexp(x), x, create_graph=True)
    assert ts.grad(first, x, seed=np.array([1.0, 5.0, 0.0])).tolist() == [0.25, 0, -0.25]


def test_logsumexp_of_nothing_but_minus_infinity():
    assert value_and_slope(ops.logsumexp, [-INF, -INF]) == (-INF, [0, 0])
    rows = [[-INF, -INF], [0.0, -INF]]
    assert value_and_slope(lambda a: ops.logsumexp(a, 1), rows) == ([-INF, 0], [[0, 0], [1, 0]])


@pytest.mark.parametrize(
    "numbers, expected", [([INF, 0.0], INF), ([NAN, 0.0], NAN), ([NAN, INF], NAN)]
)
def test_logsumexp_passes_on_what_is_not_finite(numbers, expected):
    np.testing.assert_equal(ops.logsumexp(np.array(numbers)), expected)


@pytest.mark.parametrize("op", [ops.max, ops.min, ops.logsumexp, ops.sum, ops.relu, ops.clip])
def test_nan_is_never_hidden(op):
    assert np.isnan(op(np.array([NAN, 1.0]))).any()


# -- indices --------------------------------------------------------------------------------------


def test_rows_named_from_both_ends_are_the_same_row():
    """Once with few indices and once with so many that they are sorted first."""
    for repeats in (1, 40):
        ids = np.array([2, -1, 0, -3] * repeats)
        x = ts.tensor(np.zeros((3, 2)), requires_grad=True)
        seed = np.ones((len(ids), 2))
        assert ts.grad(ops.take(x, ids), x, seed=seed).tolist() == [
            [2 * repeats] * 2,
            [0, 0],
            [2 * repeats] * 2,
        ]


@pytest.mark.parametrize(
    "index",
    [
        np.int64(1),
        np.array(1),
        ts.tensor(1),
        [1],
        ts.tensor(np.array([1])),
        np.array([1], np.uint8),
    ],
    ids=["scalar", "0-d", "tensor", "list", "tensor of one", "uint8"],
)
def test_anything_that_holds_integers_is_an_index(index):
    x = ts.tensor(np.arange(3.0), requires_grad=True)
    y = x[index]
    assert np.ravel(y.data) == [1]
    assert ts.grad(y.sum(), x).tolist() == [0, 1, 0]


def test_an_empty_list_selects_nothing():
    x = ts.tensor(np.arange(3.0), requires_grad=True)
    assert x[[]].shape == (0,)


# -- dtypes ---------------------------------------------------------------------------------------

ARITHMETIC = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "maximum": ops.maximum,
    "where": lambda a, b: ops.where(np.array([True, False]), a, b),
}


@pytest.mark.parametrize("f", ARITHMETIC.values(), ids=ARITHMETIC.keys())
@pytest.mark.parametrize(
    "number",
    [2, 2.5, True, np.float64(2.5), np.float32(2.5), np.int64(2)],
    ids=lambda n: type(n).__name__,
)
def test_numbers_leave_float32_alone(f, number):
    """NumPy's scalars too, so that x / np.sqrt(n) does not double the size of all that follows."""
    x = ts.tensor(np.array([1, 2], np.float32), requires_grad=True)
    for y in (f(x, number), f(number, x)):
        assert type(y) is ts.Tensor and y.dtype == np.float32
        assert ts.grad(y.sum(), x, retain_graph=True).dtype == np.float32
        assert ts.grad(y.sum(), x, create_graph=True).dtype == np.float32


@pytest.mark.parametrize("f", list(ARITHMETIC.values())[:5], ids=list(ARITHMETIC)[:5])
def test_arrays_take_part_in_the_choice_of_dtype_as_in_numpy(f):
    x = ts.tensor(np.ones(2, np.float32), requires_grad=True)
    assert f(x, np.ones(2)).dtype == f(np.ones(()), x).dtype == np.float64


@pytest.mark.parametrize("f", list(ARITHMETIC.values())[:5], ids=list(ARITHMETIC)[:5])
@pytest.mark.parametrize(
    "left",
    [np.array([1.0, 2.0]), np.float64(2), [1.0, 2.0], 3],
    ids=["array", "scalar", "list", "int"],
)
def test_whatever_stands_left_of_a_tensor_the_result_is_a_tensor(f, left):
    x = ts.tensor(np.array([3.0, 4.0]), requires_grad=True)
    y = f(left, x)
    assert type(y) is ts.Tensor and y.requires_grad
    np.testing.assert_array_equal(y.data, f(np.asarray(left), x.data))


def test_array_at_tensor_is_a_tensor():
    w = ts.tensor(np.eye(2), requires_grad=True)
    y = np.array([[1.0, 2.0]]) @ w
    assert type(y) is ts.Tensor and y.data.tolist() == [[1, 2]]


@pytest.mark.parametrize("dtype", [int, bool, np.int8])
def test_no_gradient_flows_back_through_integers(dtype):
    x = ts.tensor(np.array([1.5, 2.5]), requires_grad=True)
    y = ops.astype(x, dtype)
    assert y.dtype == dtype and not y.requires_grad


def test_float32_and_back_is_seen_by_the_gradient_as_nothing():
    x = ts.tensor(np.array([0.1, 0.2]), requires_grad=True)
    y = x.astype(np.float32)
    assert y.dtype == np.float32
    g = ts.grad((y * y).sum(), x)
    assert g.dtype == np.float64
    np.testing.assert_allclose(g, [0.2, 0.4], rtol=1e-6)


# -- comparisons ----------------------------------------------------------------------------------

COMPARISONS = {
    "eq": (lambda a, b: a == b, [False, True, False]),
    "ne": (lambda a, b: a != b, [True, False, True]),
    "lt": (lambda a, b: a < b, [True, False, False]),
    "le": (lambda a, b: a <= b, [True, True, False]),
    "gt": (lambda a, b: a > b, [False, False, True]),
    "ge": (lambda a, b: a >= b, [False, True, True]),
}


@pytest.mark.parametrize("compare, expected", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_comparisons_give_raw_boolean_arrays(compare, expected):
    left, right = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    tensor = ts.tensor(left, requires_grad=True)
    for a, b in [
        (tensor, right),
        (tensor, ts.tensor(right)),
        (tensor, 2),
        (tensor, np.float64(2)),
        (left, ts.tensor(right)),
        (tensor, [2.0, 2.0, 2.0]),
    ]:
        found = compare(a, b)
        assert type(found) is np.ndarray and found.dtype == bool
        assert found.tolist() == expected
    with pytest.raises(ShapeError, match="^(eq|ne|lt|le|gt|ge): "):
        compare(tensor, np.ones(2))


def test_a_tensor_is_not_equal_to_what_is_no_number():
    x = ts.tensor(np.ones(2))
    assert (x == None) is False  # noqa: E711
    assert (x != "one") is True
    with pytest.raises(TypeError, match="not supported between"):
        x < "one"  # noqa: B015


# -- methods --------------------------------------------------------------------------------------

METHODS = {
    "sum": ((1,), {}),
    "mean": ((), {"axis": 0}),
    "max": ((), {}),
    "min": ((), {"axis": 0, "keepdims": True}),
    "prod": ((), {}),
    "var": ((), {}),
    "std": ((1,), {}),
    "reshape": ((3, 2), {}),
    "transpose": (((1, 0),), {}),
    "swapaxes": ((0, 1), {}),
    "expand": ((4, -1, -1), {}),
    "astype": ((np.float32,), {}),
    "exp": ((), {}),
    "log": ((), {}),
    "sqrt": ((), {}),
    "tanh": ((), {}),
    "sigmoid": ((), {}),
    "relu": ((), {}),
    "abs": ((), {}),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_the_operations(name):
    args, kwargs = METHODS[name]
    x = ts.tensor(np.arange(1.0, 7).reshape(2, 3), requires_grad=True)
    found, expected = getattr(x, name)(*args, **kwargs), getattr(ops, name)(x, *args, **kwargs)
    assert found.node.name == expected.node.name
    np.testing.assert_array_equal(found.data, expected.data)


def test_properties_and_signs():
    x = ts.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    assert x.T.shape == (3, 2)
    np.testing.assert_array_equal((-x).data, -x.data)
    np.testing.assert_array_equal(abs(-x).data, x.data)
    assert [part.shape for part in x.split(3, 1)] == [(2, 1)] * 3
    assert x[:, :1].squeeze(1).shape == (2,)
    assert (
        [row.data.tolist() for row in x] == x.data.tolist() == [r.data.tolist() for r in x.unbind()]
    )
