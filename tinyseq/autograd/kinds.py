"""Kinds of operations: each is declared in one line, with its derivative beside it.

    tanh = unary("tanh", lambda y: 1 - y * y, saves="output")
    mul = binary("mul", (lambda a, b: b, lambda a, b: a), saves="partners", forward="multiply")
    flip = linear_map("flip", lambda xp, a, axis: xp.flip(a, axis), transpose=...)

What is declared is a function that gives raw arrays for raw arrays and Tensors for Tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinyseq.autograd.back import BACK, PARTNER
from tinyseq.autograd.node import Node
from tinyseq.autograd.primitive import (
    PLAIN,
    Primitive,
    constant,
    explained,
    operand,
    recorded,
    recording,
)
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, common_namespace, namespace

ndarray = np.ndarray
Forward = str | Callable[..., Array] | None
Op = Callable[..., Any]


def _forwards(name: str, forward: Forward) -> tuple[Callable[..., Array], Callable[..., Array]]:
    """The function ``(xp, *arrays)``, and the same for NumPy alone, ``(*arrays)``."""
    if callable(forward):
        return forward, partial(forward, np)
    called = forward or name
    return (lambda xp, *arrays: getattr(xp, called)(*arrays)), getattr(np, called)


def unary(
    name: str,
    derivative: Callable[[Any], Any],
    saves: str,
    forward: Forward = None,
    doc: str | None = None,
) -> Op:
    """Declare an elementwise function of one input.

    Args:
        name: of the operation.
        derivative: of the saved array: the output's values if ``saves`` is "output", else the
            input's. It serves both modes: vjp = g * derivative, jvp = derivative * tangent.
        saves: "output" or "inputs".
        forward: ``forward(xp, a)``, or the name of the array libraries' function if that is
            another.
        doc: of the function that is declared.
    """
    compute, fast = _forwards(name, forward)
    from_output = saves == "output"

    if from_output:

        def pull(g: Any, node: Any, i: int) -> Any:
            return g * derivative(node.saved)
    else:

        def pull(g: Any, node: Any, i: int) -> Any:
            return g * derivative(node.saved[0])

    def push(tangents: Sequence[Any], node: Any) -> Any:
        return pull(tangents[0], node, 0)

    def back(g: Any, node: Any, cotangents: dict[Any, Any]) -> None:
        p = g * derivative(node.saved if from_output else node.saved[0])
        parent = node.parents[0]
        old = cotangents.get(parent)
        cotangents[parent] = p if old is None else old + p

    primitive = Primitive(name, "elementwise", compute, pull, push, saves, back=back)

    def op(a: Any) -> Any:
        if isinstance(a, Tensor):
            x, parent = a.data, a.node
            try:
                y = fast(x) if x.__class__ is ndarray else compute(namespace(x), x)
            except Exception as error:
                raise explained(error, primitive.name, (x,)) from None
            if parent is None or y.__class__ is not ndarray or recording.get() is not True:
                return recorded(primitive, y, (x,), (parent,))
            requires_grad = parent.requires_grad
            saved = (y if from_output else (x,)) if requires_grad else None
            node = Node(primitive, (parent,), saved, None, parent.shape, y.dtype, requires_grad)
            return Tensor(y, node)
        try:
            a = constant(a)
            return fast(a) if type(a) is ndarray else compute(namespace(a), a)
        except Exception as error:
            raise explained(error, primitive.name, (a,)) from None

    return named(op, primitive, doc)


def binary(
    name: str,
    derivatives: tuple[Any, Any],
    saves: str | None,
    forward: Forward = None,
    doc: str | None = None,
) -> Op:
    """Declare an elementwise function of two inputs, which broadcast against each other.

    Args:
        name: of the operation.
        derivatives: by the first and by the second input; each a function of the saved inputs, or
            the number 1 or -1, or PARTNER, where the derivative is just that.
        saves: None, "inputs" or "partners".
        forward: ``forward(xp, a, b)``, or the name of the array libraries' function if that is
            another.
        doc: of the function that is declared.
    """
    compute, fast = _forwards(name, forward)

    def pull(g: Any, node: Any, i: int) -> Any:
        slope = derivatives[i]
        if slope.__class__ is int:
            return g if slope == 1 else -g
        if slope is PARTNER:
            return g * node.saved[1 - i]
        return g * slope(*node.saved)

    def push(tangents: Sequence[Any], node: Any) -> Any:
        parts = [pull(t, node, i) for i, t in enumerate(tangents) if t is not None]
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    back = BACK.get(derivatives)
    primitive = Primitive(name, "elementwise", compute, pull, push, saves, back=back)
    return named(_function_of_two(primitive, fast), primitive, doc)


def bilinear(
    name: str,
    transposes: tuple[Callable[..., Any], Callable[..., Any]],
    forward: Forward = None,
    doc: str | None = None,
) -> Op:
    """Declare a product of two arrays, linear in each.

    Args:
        name: of the operation.
        transposes: for each factor, ``(g, partner, shape) -> cotangent`` of that factor, where
            ``shape`` is the factor's own.
        forward: ``forward(xp, a, b)``, or the name of the array libraries' function if that is
            another.
        doc: of the function that is declared.
    """
    compute, fast = _forwards(name, forward)

    def pull(g: Any, node: Any, i: int) -> Any:
        return transposes[i](g, node.saved[1 - i], node.parents[i].shape)

    def push(tangents: Sequence[Any], node: Any) -> Any:
        left, right = tangents
        a, b = node.saved
        if right is None:
            return op(left, b)
        return op(a, right) if left is None else op(left, b) + op(a, right)

    primitive = Primitive(name, "bilinear", compute, pull, push, "partners")
    op = named(_function_of_two(primitive, fast), primitive, doc)
    return op


def _function_of_two(primitive: Primitive, fast: Callable[[Any, Any], Array]) -> Op:
    """``Primitive.__call__`` for two inputs without parameters, written out for speed.

    A number among the inputs becomes the node's ``params``, for the pictures: 1 - z.
    """
    compute = primitive.forward
    saves_nothing, saves_inputs = primitive.saves is None, primitive.saves == "inputs"

    def op(a: Any, b: Any) -> Any:
        if a.__class__ is b.__class__ is Tensor and recording.get() is True:  # the usual case
            x, y = a.data, b.data
            left, right = a.node, b.node
            if x.__class__ is y.__class__ is ndarray and left is not None and right is not None:
                if left.requires_grad and right.requires_grad:
                    try:
                        z = fast(x, y)
                    except Exception as error:
                        raise explained(error, primitive.name, (a, b)) from None
                    if z.__class__ is ndarray:
                        saved: Any = None if saves_nothing else (x, y)
                        node = Node(primitive, (left, right), saved, None, z.shape, z.dtype, True)
                        return Tensor(z, node)
        left = right = None
        try:
            if isinstance(a, Tensor):
                x, left = a.data, a.node
                if isinstance(b, Tensor):
                    y, right = b.data, b.node
                else:
                    y = b if type(b) in PLAIN else operand(b)
            elif isinstance(b, Tensor):
                x, y, right = a if type(a) in PLAIN else operand(a), b.data, b.node
            else:
                x, y = constant(a), constant(b)
                plain = type(x) in PLAIN and type(y) in PLAIN
                return fast(x, y) if plain else compute(common_namespace((x, y)), x, y)
            if type(x) in PLAIN and type(y) in PLAIN:
                z = fast(x, y)
            else:
                z = compute(common_namespace((x, y)), x, y)
        except Exception as error:
            raise explained(error, primitive.name, (a, b)) from None
        if recording.get() is not True or type(z) is not ndarray:
            return recorded(primitive, z, (x, y), (left, right))
        number = None
        left_grad = left is not None and left.requires_grad
        right_grad = right is not None and right.requires_grad
        if left_grad and right_grad:
            saved = None if saves_nothing else (x, y)
        elif left_grad or right_grad:
            if left is None or right is None:
                other = x if left is None else y
                if other.__class__ is float or other.__class__ is int:
                    number = other
            if saves_nothing:
                saved = None
            else:
                saved = (
                    (x, y)
                    if saves_inputs
                    else (x if right_grad else None, y if left_grad else None)
                )
        else:
            return recorded(primitive, z, (x, y), (left, right))
        return Tensor(z, Node(primitive, (left, right), saved, number, z.shape, z.dtype, True))

    return op


def linear_map(
    name: str,
    forward: Callable[..., Array],
    transpose: Callable[..., Any],
    prepare: Callable[..., dict[str, Any]] | None = None,
    doc: str | None = None,
) -> Op:
    """Declare a function that is linear in its only array: a sum, a reshape, a flip.

    Args:
        name: of the operation.
        forward: ``forward(xp, a, **params)``; with tangents for values it is its own jvp.
        transpose: ``transpose(g, shape, **params)``: the linear map back to an input of this shape.
        prepare: turns what the user passes (after the array) into ``params``.
        doc: of the function that is declared.
    """
    primitive = Primitive(
        name,
        "linear",
        forward,
        lambda g, node, i: transpose(g, node.parents[0].shape, **node.params),
        lambda tangents, node: primitive(tangents[0], **node.params),
        None,
    )

    def op(a: Any, *args: Any, **kwargs: Any) -> Any:
        return primitive(a, **(prepare(*args, **kwargs) if prepare else kwargs))

    return named(op, primitive, doc)


def named(op: Op, primitive: Primitive, doc: str | None) -> Op:
    """The function under the primitive's name, with the primitive as an attribute."""
    op.__name__ = op.__qualname__ = primitive.name
    op.__module__ = "tinyseq.ops"  # where pickle finds it: a module may hold one as its activation
    op.__doc__ = doc
    op.primitive = primitive  # type: ignore[attr-defined]
    return op
