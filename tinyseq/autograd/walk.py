"""Walking the graph: what is reachable, in the order of creation, and back along it.

A node's number is larger than its parents'. So: gather what is reachable, without recursion; sort
by number; walk. Every node is met after all that depends on it has been.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from tinyseq.autograd.node import FREED, Node
from tinyseq.autograd.primitive import (
    PICK,
    Primitive,
    check_finite,
    checking,
    saved_tensors,
    usable,
)
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import flush_tiny
from tinyseq.errors import GraphError, ShapeError

by_order = attrgetter("order")
Observer = Callable[[Node, Any], None]

GATHERED_AT_ONCE = 256  # time steps whose cotangents are kept for one product; bounds the memory


@contextmanager
def paused_gc() -> Iterator[None]:
    """No garbage collection inside: a growing graph has no cycles, and scanning it is quadratic."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def reachable(roots: Sequence[Node], for_pictures: bool = False) -> list[Node]:
    """All nodes behind the roots, in order of creation; those that need a gradient, or all."""
    seen = {root for root in roots if for_pictures or root.requires_grad}
    stack = list(seen)
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen:
                if parent.requires_grad or for_pictures:
                    seen.add(parent)
                    stack.append(parent)
    return sorted(seen, key=by_order)


def leading_to(nodes: list[Node], targets: set[Node]) -> list[Node]:
    """Those of the nodes (in order of creation) from which a target can be reached."""
    found = set(targets)
    for node in nodes:
        if node not in found and any(parent in found for parent in node.parents):
            found.add(node)
    return [node for node in nodes if node in found]


def walk_back(
    nodes: list[Node],
    cotangents: dict[Node, Any],
    retain_graph: bool,
    create_graph: bool = False,
    wanted: set[Node] | None = None,
    observe: Observer | None = None,
) -> dict[Node, Any]:
    """Reverse mode over nodes in order of creation; gives the cotangents of the wanted nodes.

    Args:
        nodes: what to walk, in order of creation.
        cotangents: of the outputs; used up.
        retain_graph: keep what the rules saved, for another pass.
        create_graph: record the pass, so that its results can be differentiated.
        wanted: the nodes whose cotangents are asked for; None means all leaves.
        observe: called with every labelled node and its cotangent.
    """
    found: dict[Node, Any] = {}
    owned: set[Node] = set()  # nodes whose cotangent is a sum made here, so that it can be added to
    waiting: dict[Node, dict[tuple[Primitive, int], list[Any]]] = {}
    inside = None if wanted is None else set(nodes)
    check = checking.get()
    for node in reversed(nodes):
        if node in waiting:
            for key, shared in waiting.pop(node).items():
                _gathered(node, key, shared, cotangents)
        g = cotangents.pop(node, None)
        if g is None:
            continue
        if check:
            _check_cotangent(node, g)
        if wanted is not None:
            if node in wanted:
                found[node] = g
        elif node.primitive is None:
            found[node] = g
        primitive = node.primitive
        if primitive is None:
            if node.stale:  # type: ignore[attr-defined]
                raise stale_error(node)
            if node.label is not None and observe is not None:
                observe(node, g)
            continue
        if node.label is not None:
            if not create_graph and node.scope is not None:
                g = flush_tiny(g)
            if observe is not None:
                observe(node, g)
        if primitive is PICK:
            (whole,) = node.parents
            assert whole is not None
            if inside is None or whole in inside:
                parts = cotangents.get(whole)
                if parts is None:
                    parts = cotangents[whole] = [None] * whole.params["outputs"]
                parts[node.params] = g
            continue
        if node.saved is FREED:
            usable(node)
        rule_node = Recording(node) if create_graph else node
        vjp = primitive.vjp
        gather = None if create_graph else primitive.gather
        i = -1
        for parent in node.parents:
            i += 1
            if parent is None or not parent.requires_grad:
                continue
            if inside is not None and parent not in inside:
                continue
            if gather is not None and i and parent.primitive is None:
                shared = waiting.setdefault(parent, {}).setdefault((primitive, i), [])
                shared.append((g, node.saved))
                if len(shared) == GATHERED_AT_ONCE:
                    _gathered(parent, (primitive, i), shared, cotangents)
                    shared.clear()
                continue
            p = vjp(g, rule_node, i)
            if p.shape != parent.shape:
                p = sum_to(p, parent.shape)
            if p.dtype is not parent.dtype and p.dtype != parent.dtype:
                p = p.astype(parent.dtype)
            old = cotangents.get(parent)
            if old is None:
                cotangents[parent] = p
            elif parent in owned:
                old += p
            else:
                cotangents[parent] = old + p
                if not create_graph and old.shape:
                    owned.add(parent)
        if not retain_graph:
            node.saved = FREED
    return found


def _gathered(
    leaf: Node, key: tuple[Primitive, int], shared: list[Any], cotangents: dict[Node, Any]
) -> None:
    """Add to a leaf's cotangent what many nodes of one primitive contribute together."""
    if shared:
        primitive, i = key
        assert primitive.gather is not None
        p = primitive.gather([g for g, _ in shared], [saved for _, saved in shared], i)
        p = p if p.dtype == leaf.dtype else p.astype(leaf.dtype)
        old = cotangents.get(leaf)
        cotangents[leaf] = p if old is None else old + p


class Recording:
    """A node as the rules see it while the backward pass is recorded: what it saved, as Tensors."""

    __slots__ = ("params", "parents", "primitive", "saved", "shape")

    def __init__(self, node: Node) -> None:
        self.primitive = node.primitive
        self.parents = node.parents
        self.params = node.params
        self.shape = node.shape
        self.saved = saved_tensors(node)


def _check_cotangent(node: Node, g: Any) -> None:
    for part in g if isinstance(g, list) else [g]:
        if part is not None:
            values = part.data if isinstance(part, Tensor) else part
            check_finite(values, lambda: f"the gradient that reaches {node.where()}")


def stale_error(leaf: Any) -> GraphError:
    name = leaf.parameter_name or leaf.label or "a leaf"
    return GraphError(
        f"{name} was changed by assign() after this graph was recorded: its gradient would belong "
        "to values that are gone. Run the forward pass again after every update."
    )


def sum_to(value: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum a raw array or Tensor over the axes in which ``shape`` is smaller."""
    extra = value.ndim - len(shape)
    if extra > 0:
        value = value.sum(tuple(range(extra)))
    axes = tuple(k for k, (n, m) in enumerate(zip(value.shape, shape, strict=True)) if m == 1 != n)
    if axes:
        value = value.sum(axes, keepdims=True)
    if value.shape != shape:
        raise ShapeError(f"a cotangent of shape {value.shape} for a value of shape {shape}")
    return value
