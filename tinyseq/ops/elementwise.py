"""Elementwise functions: one line each, with the derivative beside it.

A derivative is written with the functions of this file, of what the operation saves: ``y`` is its
output, ``a`` and ``b`` are its inputs. Inputs broadcast against each other as in NumPy.
"""

from __future__ import annotations

from math import copysign, inf, nan
from math import log as _log
from operator import ge, gt, le, lt
from typing import Any

import numpy as np

from tinyseq.autograd.kinds import PARTNER, Op, binary, linear_map, unary
from tinyseq.autograd.node import TRACED, recording
from tinyseq.autograd.primitive import Primitive, array_like, explaining
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, common_namespace, namespace
from tinyseq.errors import CompileError


def raw(value: Any) -> Any:
    """The array of a Tensor; anything else as it is. Not while the compiler traces."""
    if not isinstance(value, Tensor):
        return value
    if value.node is not None and recording.get() is TRACED:
        raise CompileError("an operation that looks at its inputs' values cannot be compiled")
    return value.data


def still(value: Any) -> Any:
    """The values, to be looked at and not differentiated: an array; for the compiler a Tensor."""
    traced = isinstance(value, Tensor) and recording.get() is TRACED
    return value.detach() if traced else raw(value)


def no_derivative(*_: Any) -> Any:
    """The rule of an operation whose result is no function that has one: a comparison, say."""
    raise AssertionError("an operation without a derivative, and nothing asks for it")


# -- arithmetic ---------------------------------------------------------------------------------


def _inverse(b: Any) -> Any:
    # Python refuses to divide by its own zero, where arrays give an infinity.
    return copysign(inf, b) if isinstance(b, int | float) and b == 0 else 1 / b


add = binary("add", (1, 1), saves=None, doc="a + b.")
sub = binary("sub", (1, -1), saves=None, forward="subtract", doc="a - b.")
mul = binary(
    "mul",
    (PARTNER, PARTNER),
    saves="partners",
    forward="multiply",
    doc="a b, element by element.",
)
div = binary(
    "div",
    (lambda a, b: _inverse(b), lambda a, b: -a / b / b),
    saves="inputs",
    forward="divide",
    doc="a / b.",
)
neg = linear_map("neg", lambda xp, a: -a, transpose=lambda g, shape: -g, doc="Minus a.")


def _power_slope(a: Any, b: Any) -> Any:
    # b a**(b-1); at a = b = 0, where a**(b-1) is infinite, a**0 stands in for it: the slope is 0.
    if isinstance(b, int | float):
        return b * a ** (b - 1 if b else 0)
    return b * a ** (where(still(a) == 0, where(still(b) == 0, 1.0, b), b) - 1)


def _exponent_slope(a: Any, b: Any) -> Any:
    # a**b log a; 0**b is flat in b >= 0: log(1) stands in for log(0).
    if isinstance(a, int | float):
        return a**b * (_log(a) if a > 0 else nan if a else 0.0)
    return a**b * log(where(still(a) == 0, where(still(b) >= 0, 1.0, a), a))


pow = binary(
    "pow",
    (_power_slope, _exponent_slope),
    saves="inputs",
    forward="power",
    doc="a to the power of b. At a = 0 the slope by b >= 0 is taken as 0.",
)

# -- exponentials and logarithms ------------------------------------------------------------------

exp = unary("exp", lambda y: y, saves="output", doc="e to the power of a.")
expm1 = unary("expm1", lambda y: y + 1, saves="output", doc="e**a - 1, exact for small a.")
log = unary("log", lambda a: 1 / a, saves="inputs", doc="The natural logarithm.")
log1p = unary("log1p", lambda a: 1 / (1 + a), saves="inputs", doc="log(1 + a), exact for small a.")
sqrt = unary("sqrt", lambda y: 0.5 / y, saves="output", doc="The square root; slope inf at 0.")

# -- waves ----------------------------------------------------------------------------------------

sin = unary("sin", lambda a: cos(a), saves="inputs", doc="The sine of a in radians.")
cos: Op = unary("cos", lambda a: -sin(a), saves="inputs", doc="The cosine of a in radians.")

# -- squashing functions --------------------------------------------------------------------------

# Numbers that are arrays already save NumPy the conversion, longer than a small product takes.
_ONE, _HALF = (
    {np.dtype(kind): np.array(number, kind) for kind in (np.float32, np.float64)}
    for number in (1.0, 0.5)
)


def _tanh_slope(y: Any) -> Any:
    one = _ONE.get(y.dtype) if y.__class__ is np.ndarray else None
    return (1 if one is None else one) - y * y


tanh = unary("tanh", _tanh_slope, saves="output", doc="The hyperbolic tangent.")


def _sigmoid(xp: Any, a: Any) -> Any:
    # (1 + tanh(a/2)) / 2: no overflow at either end, and tanh is the faster function.
    half = _HALF.get(a.dtype) if xp is np else None
    if half is None or not a.ndim:
        return xp.tanh(a * 0.5) * 0.5 + 0.5
    y = np.multiply(a, half)
    np.tanh(y, y)
    np.multiply(y, half, y)
    return np.add(y, half, y)


def _softplus(xp: Any, a: Any) -> Any:
    return xp.log1p(xp.exp(-xp.abs(a))) + xp.maximum(a, 0)


sigmoid = unary(
    "sigmoid",
    lambda y: y - y * y,
    saves="output",
    forward=_sigmoid,
    doc="1 / (1 + e**-a), computed as (1 + tanh(a / 2)) / 2. The error is that of a number near 1: "
    "for the logarithm of a small one use -softplus(-a).",
)
softplus = unary(
    "softplus",
    lambda a: sigmoid(a),
    saves="inputs",
    forward=_softplus,
    doc="log(1 + e**a), without overflow.",
)

# -- kinks: the derivative at the kink is the one named -------------------------------------------

relu = unary(
    "relu",
    lambda y: y > 0,
    saves="output",
    forward=lambda xp, a: xp.maximum(a, 0),
    doc="max(a, 0); the slope at 0 is 0.",
)
abs = unary("abs", lambda a: sign(a), saves="inputs", doc="The magnitude; the slope at 0 is 0.")


def _share(mine: Any, other: Any, beats: Any, holds: Any) -> Any:
    # 1 for the larger (or smaller) one, 0 for the other, a half each where they are equal.
    return 0.5 * (beats(mine, other).astype(mine.dtype) + holds(mine, other))


maximum = binary(
    "maximum",
    (lambda a, b: _share(a, b, gt, ge), lambda a, b: _share(b, a, gt, ge)),
    saves="inputs",
    doc="The larger of the two, element by element; equal ones share the gradient.",
)
minimum = binary(
    "minimum",
    (lambda a, b: _share(a, b, lt, le), lambda a, b: _share(b, a, lt, le)),
    saves="inputs",
    doc="The smaller of the two, element by element; equal ones share the gradient.",
)


def clip(a: Any, low: Any = None, high: Any = None) -> Any:
    """``a`` limited to [low, high]; the slope by ``a`` is 1 inside and on the border, else 0."""
    with explaining("clip", a, low, high):
        a = array_like(a, "clip")
        if low is not None:
            a = where(a < low, low, a)
        return a if high is None else where(a > high, high, a)


# -- choice ---------------------------------------------------------------------------------------


def where(condition: Any, a: Any, b: Any) -> Any:
    """``a`` where the condition holds, else ``b``; the condition is not differentiated."""
    if isinstance(condition, Tensor) and condition.node is not None:
        return _where_of(a, b, condition)
    return _where(a, b, condition=raw(condition))


def _where_push(tangents: Any, node: Any) -> Any:
    a, b = (0.0 if t is None else t for t in tangents)
    return where(node.params["condition"], a, b)


_where = Primitive(
    "where",
    "choice",
    lambda xp, a, b, condition: common_namespace((a, b, condition)).where(condition, a, b),
    # a product with the mask would make 0 * inf = NaN on the side that was not chosen
    lambda g, node, i: where(node.params["condition"], *((g, 0.0) if i == 0 else (0.0, g))),
    _where_push,
    None,
)


def _where_of_pull(g: Any, node: Any, i: int) -> Any:
    condition = node.saved[2]
    return where(condition, g, 0.0) if i == 0 else where(condition, 0.0, g)


_where_of = Primitive(  # with a condition that is part of the graph: for the compiler, for pictures
    "where",
    "choice",
    lambda xp, a, b, condition: common_namespace((a, b, condition)).where(condition, a, b),
    _where_of_pull,
    lambda tangents, node: where(
        node.saved[2], *(0.0 if tangent is None else tangent for tangent in tangents[:2])
    ),
    "inputs",
)


def sign(a: Any) -> Any:
    """-1, 0 or 1 as a raw array: constant wherever it has a derivative."""
    if recording.get() is TRACED and isinstance(a, Tensor):
        positive: Any = a > 0  # type: ignore[operator]
        negative: Any = a < 0  # type: ignore[operator]
        return positive.astype(a.dtype) - negative.astype(a.dtype)
    array = as_array(raw(a))
    return namespace(array).sign(array)
