"""Reductions: sum, mean, max, prod, logsumexp ... and the running sums and products.

``axis`` is None (all), one axis, or several; ``keepdims`` leaves axes of length 1.
"""

from __future__ import annotations

from math import inf
from math import prod as _product
from typing import Any

from tinyseq.autograd.kinds import Op, linear_map
from tinyseq.autograd.node import TRACED, recording
from tinyseq.autograd.primitive import Primitive, array_like, shape_error
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import namespace
from tinyseq.ops.elementwise import exp, no_derivative, raw, sqrt, still, where
from tinyseq.ops.shape import broadcast_to, concatenate, flip, moveaxis, reshape, transpose

Axis = int | tuple[int, ...] | None


def _axes(axis: Axis, ndim: int, what: str) -> tuple[int, ...]:
    """The axes as a sorted tuple of non-negative numbers."""
    if axis is None:
        return tuple(range(ndim))
    wanted = tuple(axis) if isinstance(axis, tuple | list) else (int(axis),)
    if any(not -ndim <= k < ndim for k in wanted) or len({k % ndim for k in wanted}) < len(wanted):
        raise shape_error(what, f"axis {axis} of an array of {ndim} dimensions")
    return tuple(sorted(k % ndim for k in wanted))


def _prepare(what: str) -> Any:
    def prepare(a: Any, axis: Axis, keepdims: bool) -> dict[str, Any]:
        return {"axis": _axes(axis, len(a.shape), what), "keepdims": keepdims}

    return prepare


def _kept(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if k in axis else n for k, n in enumerate(shape))


def _spread(g: Any, shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Any:
    """A reduced array back over the axes it was reduced over."""
    if not keepdims and axis:
        g = reshape(g, _kept(shape, axis))
    return broadcast_to(g, shape)


# -- sums -----------------------------------------------------------------------------------------

_sum = linear_map("sum", lambda xp, a, axis, keepdims: a.sum(axis, keepdims=keepdims), _spread)


def sum(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over the axes."""
    a = array_like(a, "sum")
    return _sum(a, **_prepare("sum")(a, axis, keepdims))


def mean(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over the axes; refuses to average nothing."""
    a = array_like(a, "mean")
    count = _product(a.shape[k] for k in _axes(axis, len(a.shape), "mean"))
    if not count:
        raise shape_error("mean", f"no elements to average in an array of shape {tuple(a.shape)}")
    return sum(a, axis, keepdims) * (1 / count)


def var(a: Any, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> Any:
    """The variance  sum (a - mean)^2 / (n - correction);  correction 1 as in PyTorch."""
    return _variance("var", a, axis, keepdims, correction)


def _variance(what: str, a: Any, axis: Axis, keepdims: bool, correction: int) -> Any:
    a = array_like(a, what)
    count = _product(a.shape[k] for k in _axes(axis, len(a.shape), what))
    if count <= correction:
        raise shape_error(what, f"{count} elements are too few for a correction of {correction}")
    centred = a - mean(a, axis, keepdims=True)
    return sum(centred * centred, axis, keepdims) * (1 / (count - correction))


def std(a: Any, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> Any:
    """The standard deviation, the square root of ``var``; where it is 0, so is its gradient."""
    squared = _variance("std", a, axis, keepdims, correction)
    constant = still(squared) == 0
    return where(constant, 0.0, sqrt(where(constant, 1.0, squared)))


# -- extremes -------------------------------------------------------------------------------------


def _winners(node: Any) -> Any:
    """Which elements are the extreme ones, shared equally among ties: a constant."""
    a, axis = still(node.saved[0]), node.params["axis"]
    extreme = node.primitive(a, axis=axis, keepdims=True)
    hits = (a == extreme).astype(a.dtype)
    return hits / hits.sum(axis, keepdims=True)


def _extreme_pull(g: Any, node: Any, i: int) -> Any:
    params = node.params
    shape = node.parents[0].shape
    return _spread(g, shape, params["axis"], params["keepdims"]) * _winners(node)


def _extreme_push(tangents: Any, node: Any) -> Any:
    params = node.params
    return sum(tangents[0] * _winners(node), params["axis"], params["keepdims"])


_max, _min = (
    Primitive(name, "selection", forward, _extreme_pull, _extreme_push, "inputs")
    for name, forward in {
        "max": lambda xp, a, axis, keepdims: a.max(axis, keepdims=keepdims),
        "min": lambda xp, a, axis, keepdims: a.min(axis, keepdims=keepdims),
    }.items()
)


def max(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element; elements that tie share the gradient equally."""
    return _of_some(_max, a, axis, keepdims)


def min(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element; elements that tie share the gradient equally."""
    return _of_some(_min, a, axis, keepdims)


def _of_some(primitive: Primitive, a: Any, axis: Axis, keepdims: bool) -> Any:
    """A reduction that has no value for no elements."""
    a = array_like(a, primitive.name)
    params = _prepare(primitive.name)(a, axis, keepdims)
    if not _product(a.shape[k] for k in params["axis"]):
        raise shape_error(primitive.name, f"no elements in an array of shape {tuple(a.shape)}")
    return primitive(a, **params)


_argmax = Primitive(
    "argmax", "selection", lambda xp, a, axis: a.argmax(axis), no_derivative, no_derivative, None
)


def argmax(a: Any, axis: int = -1) -> Any:
    """Where the largest element is: a raw array of integers, which has no derivative."""
    a = array_like(a, "argmax")
    (k,) = _axes(axis, len(a.shape), "argmax")
    if not a.shape[k]:
        raise shape_error("argmax", f"no elements in an array of shape {tuple(a.shape)}")
    if not isinstance(a, Tensor) or recording.get() is not TRACED:
        return raw(a).argmax(k)
    found = _argmax(a, axis=k)  # to the compiler it is no constant
    found.node.requires_grad = False
    return found


# -- log of a sum of exponentials -----------------------------------------------------------------


def _logsumexp_forward(xp: Any, a: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    top = a.max(axis, keepdims=True)
    height = xp.where(xp.isfinite(top), top, 0)  # an infinite top is the result: inf - inf is NaN
    total = xp.exp(xp.minimum(a - height, 0)).sum(axis, keepdims=True)
    y = xp.log(xp.maximum(total, 1)) + top  # 1 is what the top itself adds; 0 if all are -inf
    return y if keepdims else y.reshape([n for k, n in enumerate(a.shape) if k not in axis])


def _weights(node: Any) -> Any:
    """softmax over the axes: the derivative of logsumexp; 0 where all are -inf."""
    a, axis = node.saved[0], node.params["axis"]
    top = still(a).max(axis, keepdims=True)
    e = exp(a - where(top == -inf, 0.0, top))
    total = e.sum(axis, keepdims=True)
    return e / where(still(total) == 0, 1.0, total)


_logsumexp = Primitive(
    "logsumexp",
    "reduction",
    _logsumexp_forward,
    lambda g, node, i: (
        _spread(g, node.parents[0].shape, node.params["axis"], node.params["keepdims"])
        * _weights(node)
    ),
    lambda t, node: sum(t[0] * _weights(node), node.params["axis"], node.params["keepdims"]),
    "inputs",
)


def logsumexp(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """log sum exp(a), without overflow; -inf where all elements are -inf."""
    return _of_some(_logsumexp, a, axis, keepdims)


# -- products -------------------------------------------------------------------------------------
# Built by halving, from multiplications: right at zeros, where dividing the product by an element
# is not, and right to every order.


def prod(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The product over the axes."""
    a = array_like(a, "prod")
    axes = _axes(axis, len(a.shape), "prod")
    shape = tuple(a.shape)
    if not isinstance(a, Tensor):
        return a.prod(axes, keepdims=keepdims)
    rest = tuple(k for k in range(len(shape)) if k not in axes)
    count = _product(shape[k] for k in axes)
    flat = reshape(transpose(a, (*axes, *rest)), (count, *(shape[k] for k in rest)))
    while flat.shape[0] > 1:
        half = flat.shape[0] // 2
        left_over = flat[2 * half :]
        flat = flat[:half] * flat[half : 2 * half]
        flat = concatenate([flat, left_over]) if left_over.shape[0] else flat
    if not count:
        flat = concatenate([flat, namespace(a.data).ones((1, *flat.shape[1:]), a.dtype)])
    return reshape(flat, _kept(shape, axes) if keepdims else flat.shape[1:])


_cumsum: Op = linear_map(
    "cumsum",
    lambda xp, a, axis: xp.cumsum(a, axis),
    transpose=lambda g, shape, axis: flip(_cumsum(flip(g, axis), axis=axis), axis),
)


def cumsum(a: Any, axis: int = 0) -> Any:
    """Running sums along an axis: y_k = a_1 + ... + a_k."""
    a = array_like(a, "cumsum")
    (k,) = _axes(axis, len(a.shape), "cumsum")
    return _cumsum(a, axis=k)


def cumprod(a: Any, axis: int = 0) -> Any:
    """Running products along an axis: y_k = a_1 ... a_k."""
    a = array_like(a, "cumprod")
    (k,) = _axes(axis, len(a.shape), "cumprod")
    if not isinstance(a, Tensor):
        return namespace(a).cumprod(a, k)
    y = moveaxis(a, k, 0)
    step = 1
    while step < y.shape[0]:
        y = concatenate([y[:step], y[step:] * y[:-step]])
        step *= 2
    return moveaxis(y, 0, k)
