"""softmax and log_softmax, over one axis."""

from __future__ import annotations

from typing import Any

from tinyseq.autograd.primitive import Primitive, array_like, shape_error
from tinyseq.ops.elementwise import exp


def _shifted(a: Any, axis: int) -> Any:
    return a - a.max(axis, keepdims=True)


def _softmax_forward(xp: Any, a: Any, axis: int) -> Any:
    e = xp.exp(_shifted(a, axis))
    e /= e.sum(axis, keepdims=True)
    return e


def _softmax_rule(t: Any, node: Any) -> Any:
    """y * (t - <t, y>). The Jacobian diag(y) - y y^T is symmetric: one rule serves both modes."""
    y, axis = node.saved, node.params["axis"]
    product = t * y
    return product - y * product.sum(axis, keepdims=True)


_softmax = Primitive(
    "softmax",
    "reduction",
    _softmax_forward,
    lambda g, node, i: _softmax_rule(g, node),
    lambda tangents, node: _softmax_rule(tangents[0], node),
    "output",
)


def _log_softmax_forward(xp: Any, a: Any, axis: int) -> Any:
    y = _shifted(a, axis)
    y -= xp.log(xp.exp(y).sum(axis, keepdims=True))
    return y


def _log_softmax_pull(g: Any, node: Any, i: int) -> Any:
    return g - exp(node.saved) * g.sum(node.params["axis"], keepdims=True)


def _log_softmax_push(tangents: Any, node: Any) -> Any:
    t = tangents[0]
    return t - (exp(node.saved) * t).sum(node.params["axis"], keepdims=True)


_log_softmax = Primitive(
    "log_softmax",
    "reduction",
    _log_softmax_forward,
    _log_softmax_pull,
    _log_softmax_push,
    "output",
)


def softmax(a: Any, axis: int = -1) -> Any:
    """exp(a) / sum exp(a) along an axis, without overflow."""
    return _softmax(_checked(a, axis, "softmax"), axis=axis)


def log_softmax(a: Any, axis: int = -1) -> Any:
    """log softmax(a) along an axis, without the underflow of taking the logarithm afterwards."""
    return _log_softmax(_checked(a, axis, "log_softmax"), axis=axis)


def _checked(a: Any, axis: int, what: str) -> Any:
    a = array_like(a, what)
    if not -len(a.shape) <= axis < len(a.shape) or not a.shape[axis]:
        raise shape_error(what, f"axis {axis} of an array of shape {tuple(a.shape)}")
    return a
