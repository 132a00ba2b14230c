"""Walking the graph: what is reachable, in the order of creation, and back along it.

A node's number is larger than its parents'. So: gather what is reachable, without recursion; sort
by number; walk. Every node is met after all that depends on it has been.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence, Set
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
Leaves = tuple[Node | None, ...]
Group = tuple[Primitive, list[Any], list[Any]]  # with the cotangents and what was saved

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


def reachable(
    roots: Sequence[Node], for_pictures: bool = False, stop: Set[Node] = frozenset()
) -> list[Node]:
    """All nodes behind the roots, in order of creation; those that need a gradient, or all.

    Nothing is gathered that lies only behind a node of ``stop``.
    """
    seen = {root for root in roots if for_pictures or root.requires_grad}
    found = list(seen)  # in an order that is nearly the one that is wanted, which is quick to sort
    stack = [root for root in seen if root not in stop]
    see, find, push, pop = seen.add, found.append, stack.append, stack.pop
    while stack:
        for parent in pop().parents:
            if parent is not None and parent not in seen:
                if parent.requires_grad or for_pictures:
                    see(parent)
                    find(parent)
                    if not stop or parent not in stop:
                        push(parent)
    found.sort(key=by_order)
    return found


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
    stop_at_wanted: bool = False,
) -> dict[Node, Any]:
    """Reverse mode over nodes in order of creation; gives the cotangents of the wanted nodes.

    Args:
        nodes: what to walk, in order of creation.
        cotangents: of the outputs; used up.
        retain_graph: keep what the rules saved, for another pass.
        create_graph: record the pass, so that its results can be differentiated.
        wanted: the nodes whose cotangents are asked for; None means all leaves.
        observe: called with every labelled node and its cotangent.
        stop_at_wanted: go no further back from a wanted node: each is held fixed for the others.
    """
    found: dict[Node, Any] = {}
    owned: set[Node] = set()  # nodes whose cotangent is a sum made here, so that it can be added to
    waiting = _Waiting()
    inside = None if wanted is None else set(nodes)
    check = checking.get()
    plain = not create_graph and inside is None  # then kinds that have it written out are quicker
    take, known = cotangents.pop, cotangents.get
    for node in reversed(nodes):
        primitive = node.primitive
        if primitive is None:
            waiting.settle(node, cotangents)
        g = take(node, None)
        if g is None:
            continue
        if check:
            _check_cotangent(node, g)
        if wanted is not None and node in wanted:
            found[node] = g
            if stop_at_wanted:
                continue
        if primitive is None:
            if node.stale:  # type: ignore[attr-defined]
                raise stale_error(node)
            if wanted is None:
                found[node] = g
            if node.label is not None and observe is not None:
                observe(node, g)
            continue
        if node.label is not None:
            if not create_graph and node.scope is not None:
                g = flush_tiny(g)
            if observe is not None:
                observe(node, g)
        parents = node.parents
        if primitive is PICK:
            whole: Any = parents[0]
            if inside is None or whole in inside:
                parts = known(whole)
                if parts is None:
                    parts = cotangents[whole] = [None] * whole.params["outputs"]
                parts[node.params] = g
            continue
        if inside is not None and node in found and inside.isdisjoint(parents):
            continue  # one of the wanted nodes, from which it goes no further
        if node.saved is FREED:
            usable(node)
        if plain and primitive.back is not None:
            primitive.back(g, node, cotangents)
            if not retain_graph:
                node.saved = FREED
            continue
        rule_node = Recording(node) if create_graph else node
        if primitive.gather is not None and not create_graph:
            if waiting.add(node, g, inside, cotangents):
                parents = parents[:1]
        vjp = primitive.vjp
        i = -1
        for parent in parents:
            i += 1
            if parent is None or not parent.requires_grad:
                continue
            if inside is not None and parent not in inside:
                continue
            p = vjp(g, rule_node, i)
            if p.shape != parent.shape:
                p = sum_to(p, parent.shape)
            if p.dtype is not parent.dtype and p.dtype != parent.dtype:
                p = p.astype(parent.dtype)
            old = known(parent)
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


class _Waiting:
    """Nodes that read the same leaves, as every time step reads the same weights.

    What they contribute to these leaves is worked out for many nodes together, by the primitive's
    ``gather``: when the leaf's turn comes, or when GATHERED_AT_ONCE of them wait.
    """

    def __init__(self) -> None:
        self.groups: dict[Leaves, Group] = {}

    def add(
        self, node: Node, g: Any, inside: set[Node] | None, cotangents: dict[Node, Any]
    ) -> bool:
        """Let the node's contributions to all parents but the first wait, if these are leaves."""
        leaves = node.parents[1:]
        group = self.groups.get(leaves)
        if group is None:
            if any(leaf is None or leaf.primitive is not None for leaf in leaves):
                return False
            if not any(leaf is not None and leaf.requires_grad for leaf in leaves):
                return False
            if inside is not None and inside.isdisjoint(leaves):
                return False
            assert node.primitive is not None
            group = self.groups[leaves] = (node.primitive, [], [])
        elif group[0] is not node.primitive:
            return False
        group[1].append(g)
        group[2].append(node.saved)
        if len(group[1]) == GATHERED_AT_ONCE:
            for leaf in leaves:
                assert leaf is not None
                _add_up(leaf, leaves, group, cotangents)
            group[1].clear()
            group[2].clear()
        return True

    def settle(self, leaf: Node, cotangents: dict[Node, Any]) -> None:
        """Add to the cotangent of this leaf what waits for it."""
        for leaves, group in self.groups.items():
            if leaf in leaves:
                _add_up(leaf, leaves, group, cotangents)


def _add_up(leaf: Node, leaves: Leaves, group: Group, cotangents: dict[Node, Any]) -> None:
    """Add to the cotangent of one of the leaves what the nodes of a group contribute to it."""
    primitive, gs, saved = group
    if gs and leaf.requires_grad:
        assert primitive.gather is not None
        p = primitive.gather(gs, saved, leaves.index(leaf) + 1)
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
