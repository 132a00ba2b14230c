"""Primitive: one operation, its derivative, and what the derivative needs to remember.

    forward(xp, *arrays, **params) -> array
    vjp(g, node, i)     -> the cotangent of input i, from the cotangent g of the output
    jvp(tangents, node) -> the tangent of the output, from the tangents (or None) of the inputs

Most are declared by kind, in one line: see ``kinds``. Rules are written with functions that give
raw arrays for raw arrays and Tensors for Tensors. One rule serves three readers: given raw arrays
it is the fast first derivative, given Tensors it records and so gives the second, and the compiler
traces it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinyseq.autograd.node import CHECKED, FREED, TRACED, Leaf, Node, current_scope, recording
from tinyseq.autograd.tensor import Tensor, TracedTensor
from tinyseq.backend import Array, as_array, common_namespace, refuse_mixture, to_numpy
from tinyseq.errors import (
    BackendError,
    CompileError,
    DTypeError,
    GraphError,
    NonFiniteError,
    ShapeError,
    TinyseqError,
)

checking: ContextVar[bool] = ContextVar("tinyseq_checking", default=False)

# What goes straight to NumPy: its arrays, and Python numbers, which leave the dtype alone.
PLAIN = frozenset({np.ndarray, float, int})


@contextmanager
def no_grad() -> Iterator[None]:
    """Nothing inside is recorded: results are constants. Holds for this thread or task only.

    Raises:
        CompileError: in a step that is compiled; ``detach()`` says there what no gradient is for.
    """
    if recording.get() is TRACED:
        raise CompileError(
            "no_grad() inside of a step: what is computed there would be a constant in every step. "
            "h.detach() takes part in the loop, and gets no gradient"
        )
    token = recording.set(False)
    try:
        yield
    finally:
        recording.reset(token)


@contextmanager
def detect_nonfinite() -> Iterator[None]:
    """Every operation and every gradient inside is checked: the first NaN or infinity is an error.

    The NonFiniteError names the operation, the module path and the time step. Slow, and on a GPU it
    waits after every operation: for finding a fault, not for training.
    """
    check, record = checking.set(True), recording.set(recording.get() and CHECKED)
    try:
        yield
    finally:
        recording.reset(record)
        checking.reset(check)


class Primitive:
    """The record of one operation; see the module's text for the three functions.

    ``saves`` says what a node keeps for the rules: ``None`` (nothing), ``"output"``, ``"inputs"``,
    or ``"partners"`` (of two factors, each only if the other one needs a gradient).

    ``gather(gs, saved, i)`` is optional: the sum of ``vjp`` over many nodes of the primitive that
    share the leaf i, from their cotangents and what they saved. The gradient of a weight that every
    time step uses is then one large product, not a sum of small ones.

    ``back(g, node, cotangents)`` is optional too: all that the walk does with ``vjp`` for a node of
    this kind when nothing is recorded, written out: in tiny operations most of the time goes there.
    """

    __slots__ = ("back", "forward", "gather", "jvp", "kind", "name", "saves", "vjp")

    def __init__(
        self,
        name: str,
        kind: str,
        forward: Callable[..., Array],
        vjp: Callable[[Any, Any, int], Any],
        jvp: Callable[[Sequence[Any], Any], Any],
        saves: str | None,
        gather: Callable[[Sequence[Any], Sequence[Any], int], Any] | None = None,
        back: Callable[[Any, Any, dict[Any, Any]], None] | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.forward = forward
        self.vjp = vjp
        self.jvp = jvp
        self.saves = saves
        self.gather = gather
        self.back = back

    def __repr__(self) -> str:
        return f"<Primitive {self.name}>"

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Apply to raw arrays (gives raw arrays) or to arguments among which is a Tensor."""
        arrays: list[Any] = []
        parents: list[Node | None] = []
        plain, any_tensor, tracked, requires_grad = True, False, False, False
        try:
            for arg in args:
                node = None
                if isinstance(arg, Tensor):
                    any_tensor = True
                    node, arg = arg.node, arg.data
                    if node is not None:
                        tracked = True
                        requires_grad = requires_grad or node.requires_grad
                if type(arg) not in PLAIN:
                    plain = False
                arrays.append(arg)
                parents.append(node)
            if not plain:
                arrays = [operand(a) if any_tensor else constant(a) for a in arrays]
            output = self.forward(np if plain else common_namespace(arrays), *arrays, **params)
        except Exception as error:
            raise explained(error, self.name, args) from None
        if not any_tensor:
            return output
        if not tracked or recording.get() is not True or type(output) is not np.ndarray:
            return recorded(self, output, arrays, parents, params)
        saved = saved_for(self.saves, output, arrays, parents) if requires_grad else None
        return Tensor(
            output,
            Node(self, tuple(parents), saved, params, output.shape, output.dtype, requires_grad),
        )


def constant(value: Any) -> Any:
    """A raw operand: arrays and Python numbers as they are, anything else made an array.

    A bool counts as a number: it does not set the dtype.
    """
    return value if type(value) in PLAIN or isinstance(value, bool) else as_array(value)


def operand(value: Any) -> Any:
    """A raw operand beside a Tensor: a NumPy scalar too counts as a number.

    Otherwise ``x / np.sqrt(n)`` would turn float32 into float64 in silence.
    """
    return value.item() if isinstance(value, np.generic) else constant(value)


def array_like(value: Any, name: str) -> Any:
    """What the operation of this name is given, as an array or a Tensor."""
    if hasattr(value, "shape"):
        return value
    try:
        return as_array(value)
    except TinyseqError as error:
        raise explained(error, name, (value,)) from None


def recorded(
    primitive: Primitive,
    output: Array,
    arrays: Sequence[Any],
    parents: Sequence[Node | None],
    params: Any = None,
) -> Tensor:
    """The output as a Tensor, with a node if there is anything to record."""
    if type(output) is not np.ndarray:
        output = as_array(output)
    if checking.get():
        check_finite(output, lambda: f"{primitive.name}{place()}", arrays)
    if recording.get() is TRACED:
        output = read_only(output)
        parents = [
            _constant_leaf(array) if parent is None else parent
            for array, parent in zip(arrays, parents, strict=True)
        ]
    tracked = requires_grad = False
    for parent in parents:
        if parent is not None:
            tracked = True
            requires_grad = requires_grad or parent.requires_grad
    if not tracked or not recording.get():
        return Tensor(output)
    saved = saved_for(primitive.saves, output, arrays, parents) if requires_grad else None
    kind = TracedTensor if recording.get() is TRACED else Tensor
    return kind(
        output,
        Node(primitive, tuple(parents), saved, params, output.shape, output.dtype, requires_grad),
    )


def read_only(array: Array) -> Array:
    """The array, into which nothing can be written from here (where the library can tell)."""
    if isinstance(array, np.ndarray):
        array = array.view()
        array.flags.writeable = False
    return array


def _constant_leaf(value: Any) -> Leaf:
    """A node for a constant, which the compiler wants to know; a number has the dtype None."""
    leaf = Leaf(getattr(value, "shape", ()), getattr(value, "dtype", None), False)
    leaf.value = value
    return leaf


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
    assert node.primitive is not None
    saves = node.primitive.saves
    if saves is None:
        return None
    if saves == "output":
        return Tensor(node.saved, node)
    return tuple(  # a number has a node while the compiler traces, but stays a number
        value if parent is None or not hasattr(value, "shape") else Tensor(value, parent)
        for value, parent in zip(node.saved, node.parents, strict=True)
    )


PICK = Primitive(  # one output of an operation that has several; the engine routes around it
    "pick", "pick", lambda xp, a: a, lambda g, node, i: g, lambda tangents, node: tangents[0], None
)


def gate_letter(node: Node) -> str | None:
    """The letter of a part that was cut out, if the module has one for each: ``gates = "ifgo"``."""
    whole = node.parents[0] if node.primitive is PICK else None
    gates = getattr(whole.scope.owner, "gates", None) if whole is not None and whole.scope else None
    if whole is None or not isinstance(gates, str) or whole.name != "split":
        return None
    return gates[node.params] if len(gates) == whole.params["outputs"] else None


def recorded_outputs(
    primitive: Primitive, outputs: Sequence[Array], parent: Node | None, params: dict[str, Any]
) -> list[Tensor]:
    """The outputs of a primitive with several, each a Tensor whose node picks it from the one node.

    The cotangent of that node is the list of its outputs' cotangents (None where there is none),
    and so is its tangent.
    """
    if checking.get():
        for output in outputs:
            check_finite(output, lambda: f"{primitive.name}{place()}", (output,))
    if parent is None or not recording.get():
        return [Tensor(output) for output in outputs]
    requires_grad = parent.requires_grad
    whole = Node(primitive, (parent,), None, params, parent.shape, parent.dtype, requires_grad)
    made_from = (whole,)
    kind = TracedTensor if recording.get() is TRACED else Tensor
    return [
        kind(o, Node(PICK, made_from, None, k, o.shape, o.dtype, requires_grad))
        for k, o in enumerate(outputs)
    ]


# -- messages -------------------------------------------------------------------------------------


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


def shape_error(name: str, text: str) -> ShapeError:
    """A ShapeError that says in which operation, and where."""
    return ShapeError(f"{name}{place()}: {text}")


def explained(error: Exception, name: str, args: Sequence[Any]) -> Exception:
    """The error of an array library, told with the operation, the inputs' shapes and the place."""
    start = f"{name}{place()}: "
    try:
        refuse_mixture(tuple(arg.data if isinstance(arg, Tensor) else arg for arg in args))
    except BackendError as mixture:
        return BackendError(start + str(mixture))
    if isinstance(error, TinyseqError):
        return error if str(error).startswith(start) else type(error)(start + str(error))
    if not isinstance(error, ValueError | TypeError | IndexError | KeyError | OverflowError):
        return error
    kind = DTypeError if isinstance(error, TypeError) else ShapeError
    inputs = ", ".join(describe(arg) for arg in args)
    return kind(f"{start}{error} (inputs: {inputs})")


@contextmanager
def explaining(name: str, *args: Any) -> Iterator[None]:
    """What goes wrong inside is told as an error of the operation of this name."""
    try:
        yield
    except Exception as error:
        raise explained(error, name, args) from None


def check_finite(values: Array, what: Callable[[], str], arrays: Sequence[Any] = ()) -> None:
    """Raise NonFiniteError if there is a NaN or an infinity among the values."""
    values = to_numpy(values)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int(values.size - np.isfinite(values).sum())
        inputs = ", ".join(describe(value) for value in arrays)
        raise NonFiniteError(
            f"{what()}: {bad} of {values.size} values are NaN or infinite"
            + f" (inputs: {inputs})" * bool(inputs)
        )


def usable(node: Node) -> None:
    """Raise GraphError if the node's saved arrays have been freed."""
    if node.saved is FREED:
        raise GraphError(
            f"{node.where()}: this part of the graph was freed by an earlier backward pass. Pass "
            "retain_graph=True to the first one if a second is wanted."
        )
