"""Primitive: one operation, its derivative, and what the derivative needs to remember.

A primitive is declared by kind, in one line where possible:

    tanh = unary("tanh", derivative=lambda y: 1 - y * y, saves="output")
    mul = binary("multiply", derivatives=(lambda a, b: b, lambda a, b: a), saves="inputs")
    flip = linear_map("flip", lambda xp, a, axis: xp.flip(a, axis), transpose=...)

What is declared is a function that gives raw arrays for raw arrays and Tensors for Tensors. Rules
are written with such functions, which makes one rule serve three readers: given raw arrays it is the
fast first derivative, given Tensors it records and so gives the second, and the compiler traces it.

Under every kind lie the same three functions:

    forward(xp, *arrays, **params) -> array
    vjp(g, node, i)     -> the cotangent of input i, from the cotangent g of the output
    jvp(tangents, node) -> the tangent of the output, from the tangents (or None) of the inputs
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinyseq.autograd.node import FREED, Node, current_scope
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, as_array, common_namespace, is_cupy, namespace, refuse_mixture, to_numpy
from tinyseq.errors import DTypeError, GraphError, NonFiniteError, ShapeError, TinyseqError

ndarray = np.ndarray

# True: record (the usual case, tested first); False: no_grad; CHECKED: record, and look for NaN.
CHECKED = "checked"
recording: ContextVar[bool | str] = ContextVar("tinyseq_recording", default=True)


@contextmanager
def no_grad() -> Iterator[None]:
    """Nothing inside is recorded: results are constants. Holds for this thread or task only."""
    token = recording.set(False)
    try:
        yield
    finally:
        recording.reset(token)


@contextmanager
def detect_nonfinite() -> Iterator[None]:
    """Every operation inside is checked: the first NaN or infinity raises NonFiniteError.

    The error names the operation, the module path and the time step. Slow, and on a GPU it waits
    after every operation: for finding a fault, not for training.
    """
    token = recording.set(CHECKED)
    try:
        yield
    finally:
        recording.reset(token)


class Primitive:
    """The record of one operation; see the module's text for the three functions.

    ``saves`` says what a node keeps for the rules: ``None`` (nothing), ``"output"``, ``"inputs"``,
    or ``"partners"`` (of two factors, each only if the other one needs a gradient).

    ``gather(gs, saved, i)`` is optional: the sum of ``vjp`` over many nodes of the primitive that
    share the leaf i, from their cotangents and what they saved. The gradient of a weight that every
    time step uses is then one large product, not a sum of small ones.
    """

    __slots__ = ("forward", "gather", "jvp", "kind", "name", "saves", "vjp")

    def __init__(
        self,
        name: str,
        kind: str,
        forward: Callable[..., Array],
        vjp: Callable[[Any, Any, int], Any],
        jvp: Callable[[Sequence[Any], Any], Any],
        saves: str | None,
        gather: Callable[[Sequence[Any], Sequence[Any], int], Any] | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.forward = forward
        self.vjp = vjp
        self.jvp = jvp
        self.saves = saves
        self.gather = gather

    def __repr__(self) -> str:
        return f"<Primitive {self.name}>"

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Apply to raw arrays (gives raw arrays) or to arguments among which is a Tensor."""
        arrays: list[Any] = []
        parents: list[Node | None] = []
        on_host, any_tensor, tracked, requires_grad = True, False, False, False
        for arg in args:
            node = None
            if isinstance(arg, Tensor):
                any_tensor = True
                node, arg = arg.node, arg.data
                if node is not None:
                    tracked = True
                    requires_grad = requires_grad or node.requires_grad
            if type(arg) is not ndarray:
                arg = constant(arg)
                on_host = on_host and not is_cupy(arg)
            arrays.append(arg)
            parents.append(node)
        if not any_tensor:
            return self.forward(np if on_host else common_namespace(arrays), *arrays, **params)
        try:
            output = self.forward(np if on_host else common_namespace(arrays), *arrays, **params)
        except Exception as error:
            raise explained(error, self, arrays) from None
        if not tracked or recording.get() is not True or type(output) is not ndarray:
            return recorded(self, output, arrays, tuple(parents) if tracked else None, params)
        saved = saved_for(self.saves, output, arrays, parents) if requires_grad else None
        return Tensor(
            output,
            Node(self, tuple(parents), saved, params, output.shape, output.dtype, requires_grad),
        )


def constant(value: Any) -> Any:
    """A raw operand: arrays and Python numbers as they are, anything else made an array."""
    kind = type(value)
    return value if kind is ndarray or kind is float or kind is int else as_constant(value)


def as_constant(value: Any) -> Any:
    """``as_array``, but a bool stays a Python scalar, so that it does not set the dtype."""
    return value if isinstance(value, bool) else as_array(value)


def recorded(
    primitive: Primitive,
    output: Array,
    arrays: Sequence[Any],
    parents: tuple[Node | None, ...] | None,
    params: Any = None,
) -> Tensor:
    """The output as a Tensor, with a node if anything is to be recorded."""
    if type(output) is not ndarray:
        output = as_array(output)
    mode = recording.get()
    if mode is CHECKED:
        check_finite(output, primitive, arrays)
    if parents is None or not mode:
        return Tensor(output)
    requires_grad = any(p is not None and p.requires_grad for p in parents)
    saved = saved_for(primitive.saves, output, arrays, parents) if requires_grad else None
    return Tensor(
        output, Node(primitive, parents, saved, params, output.shape, output.dtype, requires_grad)
    )


def saved_for(
    saves: str | None, output: Array, arrays: Sequence[Any], parents: Sequence[Node | None]
) -> Any:
    """What the node keeps, by the primitive's declaration."""
    if saves is None:
        return None
    if saves == "output":
        return output
    if saves == "inputs":
        return tuple(arrays)
    a, b = parents
    return (
        arrays[0] if b is not None and b.requires_grad else None,
        arrays[1] if a is not None and a.requires_grad else None,
    )


def saved_tensors(node: Node) -> Any:
    """What the node saved, with the arrays as Tensors of the graph: for the rules that record."""
    saves = node.primitive.saves
    if saves is None:
        return None
    if saves == "output":
        return Tensor(node.saved, node)
    return tuple(
        value if parent is None or value is None else Tensor(value, parent)
        for value, parent in zip(node.saved, node.parents, strict=True)
    )


def unary(
    name: str,
    derivative: Callable[[Any], Any],
    saves: str,
    forward: Callable[..., Array] | None = None,
) -> Callable[[Any], Any]:
    """Declare an elementwise function of one input.

    Args:
        name: of the operation, and of the array libraries' function if ``forward`` is not given.
        derivative: of the saved array: the output's values if ``saves`` is "output", else the
            input's. It serves both modes: vjp = g * derivative, jvp = derivative * tangent.
        saves: "output" or "inputs".
        forward: ``forward(xp, a)``.
    """
    compute = forward or (lambda xp, a: getattr(xp, name)(a))
    fast = getattr(np, name) if forward is None else (lambda a: forward(np, a))
    from_output = saves == "output"

    def slope(node: Any) -> Any:
        return derivative(node.saved if from_output else node.saved[0])

    primitive = Primitive(
        name,
        "elementwise",
        compute,
        lambda g, node, i: g * slope(node),
        lambda tangents, node: tangents[0] * slope(node),
        saves,
    )

    def op(a: Any) -> Any:
        if not isinstance(a, Tensor):
            a = constant(a)
            return fast(a) if type(a) is ndarray else compute(namespace(a), a)
        x, parent = a.data, a.node
        try:
            y = fast(x) if type(x) is ndarray else compute(namespace(x), x)
        except Exception as error:
            raise explained(error, primitive, (x,)) from None
        if parent is None or recording.get() is not True or type(y) is not ndarray:
            return recorded(primitive, y, (x,), None if parent is None else (parent,))
        requires_grad = parent.requires_grad
        saved = (y if from_output else (x,)) if requires_grad else None
        return Tensor(y, Node(primitive, (parent,), saved, None, y.shape, y.dtype, requires_grad))

    return _named(op, name, primitive)


def binary(
    name: str,
    derivatives: tuple[Any, Any],
    saves: str | None,
    forward: Callable[..., Array] | None = None,
) -> Callable[[Any, Any], Any]:
    """Declare an elementwise function of two inputs, which broadcast against each other.

    Args:
        name: of the operation, and of the array libraries' function if ``forward`` is not given.
        derivatives: by the first and by the second input; each a function of the saved inputs, or
            the number 1 or -1 where the derivative is just that.
        saves: None, "inputs" or "partners".
        forward: ``forward(xp, a, b)``.
    """
    compute = forward or (lambda xp, a, b: getattr(xp, name)(a, b))
    fast = getattr(np, name) if forward is None else (lambda a, b: forward(np, a, b))

    def pull(g: Any, node: Any, i: int) -> Any:
        slope = derivatives[i]
        if slope.__class__ is int:
            return g if slope == 1 else -g
        return g * slope(*node.saved)

    def push(tangents: Sequence[Any], node: Any) -> Any:
        parts = [pull(t, node, i) for i, t in enumerate(tangents) if t is not None]
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    primitive = Primitive(name, "elementwise", compute, pull, push, saves)

    def op(a: Any, b: Any) -> Any:
        if isinstance(a, Tensor):
            x, left = a.data, a.node
            if isinstance(b, Tensor):
                y, right = b.data, b.node
            else:
                y, right = constant(b), None
        elif isinstance(b, Tensor):
            x, left, y, right = constant(a), None, b.data, b.node
        else:
            a, b = constant(a), constant(b)
            return compute(common_namespace((a, b)), a, b)
        try:
            if type(x) is ndarray and type(y) is ndarray:
                z = fast(x, y)
            else:
                z = compute(common_namespace((x, y)), x, y)
        except Exception as error:
            raise explained(error, primitive, (x, y)) from None
        left_grad = left is not None and left.requires_grad
        right_grad = right is not None and right.requires_grad
        if recording.get() is not True or type(z) is not ndarray or not (left_grad or right_grad):
            tracked = left is not None or right is not None
            return recorded(primitive, z, (x, y), (left, right) if tracked else None)
        if saves is None:
            saved = None
        elif saves == "inputs":
            saved = (x, y)
        else:
            saved = (x if right_grad else None, y if left_grad else None)
        return Tensor(z, Node(primitive, (left, right), saved, None, z.shape, z.dtype, True))

    return _named(op, name, primitive)


def linear_map(
    name: str,
    forward: Callable[..., Array],
    transpose: Callable[..., Any],
    prepare: Callable[..., dict[str, Any]] | None = None,
) -> Callable[..., Any]:
    """Declare a function that is linear in its only array: a sum, a reshape, a flip.

    Args:
        name: of the operation.
        forward: ``forward(xp, a, **params)``; with tangents for values it is its own jvp.
        transpose: ``transpose(g, shape, **params)``: the linear map back to an input of this shape.
        prepare: turns what the user passes (after the array) into ``params``.
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

    return _named(op, name, primitive)


def bilinear(
    name: str, forward: Callable[..., Array], transposes: tuple[Callable[..., Any], ...]
) -> Primitive:
    """Declare a product of two arrays, linear in each.

    Args:
        name: of the operation.
        forward: ``forward(xp, a, b, **params)``.
        transposes: for each factor, ``(g, partner, shape, **params) -> cotangent`` of that factor,
            where ``shape`` is the factor's own.
    """

    def pull(g: Any, node: Any, i: int) -> Any:
        return transposes[i](g, node.saved[1 - i], node.parents[i].shape, **(node.params or {}))

    def push(tangents: Sequence[Any], node: Any) -> Any:
        a, b = node.saved
        params = node.params or {}
        parts = [primitive(tangents[0], b, **params)] if tangents[0] is not None else []
        parts += [primitive(a, tangents[1], **params)] if tangents[1] is not None else []
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    primitive = Primitive(name, "bilinear", forward, pull, push, "partners")
    return primitive


PICK = Primitive(  # one output of an operation that has several; the engine routes around it
    "pick", "pick", lambda xp, a: a, lambda g, node, i: g, lambda tangents, node: tangents[0], None
)


def recorded_outputs(
    primitive: Primitive, outputs: Sequence[Array], parent: Node | None, params: dict[str, Any]
) -> list[Tensor]:
    """The outputs of a primitive with several, each a Tensor whose node picks it from the one node.

    The cotangent of that node is the list of its outputs' cotangents (None where there is none), and
    so is its tangent.
    """
    mode = recording.get()
    if mode is CHECKED:
        for output in outputs:
            check_finite(output, primitive, (output,))
    if parent is None or not mode:
        return [Tensor(output) for output in outputs]
    requires_grad = parent.requires_grad
    whole = Node(primitive, (parent,), None, params, parent.shape, parent.dtype, requires_grad)
    made_from = (whole,)
    return [
        Tensor(o, Node(PICK, made_from, None, k, o.shape, o.dtype, requires_grad))
        for k, o in enumerate(outputs)
    ]


def _named(op: Callable[..., Any], name: str, primitive: Primitive) -> Callable[..., Any]:
    op.__name__ = op.__qualname__ = name
    op.primitive = primitive  # type: ignore[attr-defined]
    return op


def describe(value: Any) -> str:
    """A short account of an operand for a message."""
    if hasattr(value, "shape"):
        return f"{value.dtype}{tuple(value.shape)}"
    return f"{value!r:.40}"


def place() -> str:
    """Where we are, for a message: " in lm.rnn at step 3", or nothing outside every module."""
    here = current_scope.get()
    if here is None:
        return ""
    text = str(here)
    return f" {text}" if text.startswith("at step") else f" in {text}"


def explained(error: Exception, primitive: Primitive, arrays: Sequence[Any]) -> Exception:
    """The error of an array library, told with the operation, every input's shape, and the place."""
    if isinstance(error, TinyseqError):
        return error
    try:
        refuse_mixture(tuple(arrays))
    except TinyseqError as mixture:
        return type(mixture)(f"{primitive.name}{place()}: {mixture}")
    kind = DTypeError if isinstance(error, TypeError) else ShapeError
    inputs = ", ".join(describe(value) for value in arrays)
    if not isinstance(error, ValueError | TypeError | IndexError | KeyError | OverflowError):
        return error
    return kind(f"{primitive.name}{place()}: {error} (inputs: {inputs})")


def check_finite(output: Array, primitive: Primitive, arrays: Sequence[Any]) -> None:
    """Raise NonFiniteError if the output of a primitive has a NaN or an infinity."""
    values = to_numpy(output)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int(values.size - np.isfinite(values).sum())
        inputs = ", ".join(describe(value) for value in arrays)
        raise NonFiniteError(
            f"{primitive.name}{place()}: {bad} of {values.size} results are NaN or infinite "
            f"(inputs: {inputs})"
        )


def usable(node: Node) -> None:
    """Raise GraphError if the node's saved arrays have been freed."""
    if node.saved is FREED:
        raise GraphError(
            f"{node.where()}: this part of the graph was freed by an earlier backward pass. Pass "
            "retain_graph=True to the first one if a second is wanted."
        )
