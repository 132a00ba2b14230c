"""Elementwise functions: one line each, with the derivative beside it.

A derivative is written with the functions of this file, of what the operation saves: ``y`` is its
output, ``a`` and ``b`` are its inputs. Inputs broadcast against each other as in NumPy.
"""

from __future__ import annotations

from typing import Any

from tinyseq.autograd.primitive import Primitive, binary, linear_map, unary
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import common_namespace, namespace

# -- arithmetic ---------------------------------------------------------------------------------

add = binary("add", (1, 1), saves=None)
sub = binary("subtract", (1, -1), saves=None)
mul = binary("multiply", (lambda a, b: b, lambda a, b: a), saves="partners")
div = binary("divide", (lambda a, b: 1 / b, lambda a, b: -a / (b * b)), saves="inputs")
neg = linear_map("negative", lambda xp, a: -a, transpose=lambda g, shape: -g)


def _power_slope(a: Any, b: Any) -> Any:
    # a**(b-1) is infinite at a = 0 when b = 0, where the derivative is 0: there, ask for a**0.
    still = raw(b) == 0
    if still is False or not namespace(still).any(still):
        return b * a ** (b - 1)
    return b * a ** (where(still, 1.0, b) - 1)


def _exponent_slope(a: Any, b: Any) -> Any:
    # 0**b is flat in b: log(1) stands in for log(0).
    return a**b * log(where(raw(a) == 0, 1.0, a))


pow = binary("power", (_power_slope, _exponent_slope), saves="inputs")

# -- exponentials and logarithms ------------------------------------------------------------------

exp = unary("exp", lambda y: y, saves="output")
expm1 = unary("expm1", lambda y: y + 1, saves="output")
log = unary("log", lambda a: 1 / a, saves="inputs")
log1p = unary("log1p", lambda a: 1 / (1 + a), saves="inputs")
sqrt = unary("sqrt", lambda y: 0.5 / y, saves="output")

# -- waves ----------------------------------------------------------------------------------------

sin = unary("sin", lambda a: cos(a), saves="inputs")
cos = unary("cos", lambda a: -sin(a), saves="inputs")

# -- squashing functions --------------------------------------------------------------------------

tanh = unary("tanh", lambda y: 1 - y * y, saves="output")


def _sigmoid(xp: Any, a: Any) -> Any:
    # (1 + tanh(a/2)) / 2: no overflow at either end, and tanh is the faster function.
    y = xp.tanh(a * 0.5)
    y *= 0.5
    y += 0.5
    return y


def _softplus(xp: Any, a: Any) -> Any:
    return xp.log1p(xp.exp(-xp.abs(a))) + xp.maximum(a, 0)


sigmoid = unary("sigmoid", lambda y: y * (1 - y), saves="output", forward=_sigmoid)
softplus = unary("softplus", lambda a: sigmoid(a), saves="inputs", forward=_softplus)

# -- kinks: the derivative at the kink is the one named ------------------------------------------

relu = unary("relu", lambda y: raw(y) > 0, saves="output", forward=lambda xp, a: xp.maximum(a, 0))
abs = unary("abs", lambda a: sign(a), saves="inputs")  # 0 at 0


def _share(mine: Any, other: Any, wins: Any) -> Any:
    # 1 for the larger (or smaller) one, 0 for the other, a half each where they are equal.
    a, b = raw(mine), raw(other)
    return 0.5 * wins(a, b) + 0.5 * (1 - wins(b, a))


def _more(a: Any, b: Any) -> Any:
    return 1 * (a > b)


def _less(a: Any, b: Any) -> Any:
    return 1 * (a < b)


maximum = binary(
    "maximum",
    (lambda a, b: _share(a, b, _more), lambda a, b: _share(b, a, _more)),
    saves="inputs",
)
minimum = binary(
    "minimum",
    (lambda a, b: _share(a, b, _less), lambda a, b: _share(b, a, _less)),
    saves="inputs",
)


def clip(a: Any, low: Any = None, high: Any = None) -> Any:
    """``a`` limited to [low, high]; the derivative by ``a`` is 1 inside and on the border, else 0."""
    if low is not None:
        a = where(raw(a) < raw(low), low, a)
    return a if high is None else where(raw(a) > raw(high), high, a)


# -- choice ---------------------------------------------------------------------------------------


def where(condition: Any, a: Any, b: Any) -> Any:
    """``a`` where the condition holds, else ``b``; the condition is not differentiated."""
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


def raw(value: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return value.data if isinstance(value, Tensor) else value


def sign(a: Any) -> Any:
    """-1, 0 or 1 as a raw array: constant wherever it has a derivative."""
    array = raw(a)
    return namespace(array).sign(array)
