"""Vertices of the graph: Node, Leaf and Scope.

A Node remembers how one value was made: the primitive, the nodes it was made from, and what the
derivative rule needs. It points at its parents only, never at its children, so there are no cycles
and a graph is freed when its last handle goes. Nodes are numbered as they are made; a node's number
is larger than its parents', which is all the ordering that differentiation needs.

A Scope says where a node was made: in which module call, and in which time step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyseq.autograd.primitive import Primitive

next_order = count(1).__next__

# True: record (the usual case, tested first); False: no_grad; CHECKED: record, and look for NaN;
# TRACED: record for the compiler, constants and comparisons too, and let nothing look at a value.
CHECKED = "checked"
TRACED = "traced"
recording: ContextVar[bool | str] = ContextVar("tinyseq_recording", default=True)


class Scope:
    """A module call (``index`` is None) or one step of a recurrence (``index`` is the time).

    ``start`` is the creation number at which the scope was opened: the difference to a node's own
    number is the node's place in the scope, the same in every step of a regular recurrence.
    """

    __slots__ = ("index", "label", "owner", "parent", "start")

    def __init__(
        self, parent: Scope | None, label: str, index: Any = None, owner: object = None
    ) -> None:
        self.parent = parent
        self.label = label
        self.index = index
        self.owner = owner
        self.start = next_order()

    def chain(self) -> list[Scope]:
        """The scopes from the outermost to this one."""
        found: list[Scope] = []
        scope: Scope | None = self
        while scope is not None:
            found.append(scope)
            scope = scope.parent
        return found[::-1]

    def __str__(self) -> str:
        """The module path and the time step, as in ``lm.rnn.layer0 at step 3``."""
        chain = self.chain()
        path = ".".join(scope.label for scope in chain if scope.index is None)
        steps = [f"{scope.index}" for scope in chain if scope.index is not None]
        return path + (" at step " if path else "at step ") * bool(steps) + ", ".join(steps)


current_scope: ContextVar[Scope | None] = ContextVar("tinyseq_scope", default=None)


@contextmanager
def scope(label: str, index: Any = None) -> Iterator[Scope]:
    """Everything made inside belongs to a new scope of this label (and time index)."""
    opened = Scope(current_scope.get(), label, index)
    token = current_scope.set(opened)
    try:
        yield opened
    finally:
        current_scope.reset(token)


class Node:
    """One value of the graph and how it was made.

    ``parents`` has an entry for each input: a Node, or None for a constant. ``saved`` holds the raw
    arrays that the derivative rule asked for, and is ``FREED`` once a backward pass has used them.
    ``requires_grad`` is False where only the pictures have an interest in the node.
    """

    __slots__ = (
        "dtype",
        "label",
        "order",
        "params",
        "parents",
        "primitive",
        "requires_grad",
        "saved",
        "scope",
        "shape",
        "value",
    )

    def __init__(
        self,
        primitive: Primitive | None,
        parents: tuple[Node | None, ...],
        saved: Any,
        params: Any,
        shape: tuple[int, ...],
        dtype: Any,
        requires_grad: bool,
    ) -> None:
        self.primitive = primitive
        self.parents = parents
        self.saved = saved
        self.params = params
        self.shape = shape
        self.dtype = dtype
        self.requires_grad = requires_grad
        self.order = next_order()
        self.scope = current_scope.get()
        self.label: str | None = None
        self.value: Any = None

    @property
    def name(self) -> str:
        """The name of the primitive that made this node; "leaf" for a leaf."""
        return "leaf" if self.primitive is None else self.primitive.name

    def where(self) -> str:
        """The operation and the place, for messages: ``tanh in rnn.cell at step 3``."""
        place = str(self.scope) if self.scope else ""
        return self.name + (" " if place.startswith("at step") else " in ") * bool(place) + place

    def __repr__(self) -> str:
        label = f" {self.label!r}" if self.label else ""
        return f"<Node {self.order}{label}: {self.where()}, shape {self.shape}>"


class Leaf(Node):
    """A value that no primitive made: a parameter, an input, a target.

    ``grad`` accumulates what ``backward`` finds. ``stale`` is set when the value is replaced by
    ``assign``, which gives the tensor a new leaf: a graph that still holds this one is out of date.
    """

    __slots__ = ("grad", "parameter_name", "stale", "symbol")

    def __init__(self, shape: tuple[int, ...], dtype: Any, requires_grad: bool) -> None:
        Node.__init__(self, None, (), None, None, shape, dtype, requires_grad)
        self.grad: Any = None
        self.stale = False
        self.symbol: str | None = None
        self.parameter_name: str | None = None


class _Freed:
    def __repr__(self) -> str:
        return "FREED"


FREED = _Freed()
