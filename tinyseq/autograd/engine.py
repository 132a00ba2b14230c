"""Differentiation: walk the graph in the order of creation, backwards or forwards.

    backward(loss)                        # fills .grad of the leaves
    grad(loss, [x, w])                    # gives the gradients, touches nothing
    push_forward([y], [x], [tangent])     # tangents of the outputs (forward mode)

A node's number is larger than its parents'. So: gather what is reachable, without recursion; sort by
number; walk. Every node is met after all that depends on it has been.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from tinyseq.autograd.node import FREED, Leaf, Node
from tinyseq.autograd.primitive import PICK, Primitive, no_grad, saved_tensors, usable
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, as_array, flush_tiny, namespace
from tinyseq.errors import DTypeError, GraphError, ShapeError

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
    for node in reversed(nodes):
        if node in waiting:
            for shared in list(waiting.pop(node).items()):
                _gathered(node, *shared, cotangents)
        g = cotangents.pop(node, None)
        if g is None:
            continue
        if wanted is not None:
            if node in wanted:
                found[node] = g
        elif node.primitive is None:
            found[node] = g
        primitive = node.primitive
        if primitive is None:
            if node.stale:  # type: ignore[attr-defined]
                raise _stale(node)
            if node.label is not None and observe is not None:
                observe(node, g)
            continue
        if node.label is not None:
            if not create_graph and node.scope is not None:
                g = flush_tiny(g)
            if observe is not None:
                observe(node, g)
        if primitive is PICK:
            whole = node.parents[0]
            if inside is None or whole in inside:
                parts = cotangents.get(whole)
                if parts is None:
                    parts = cotangents[whole] = [None] * whole.params["outputs"]
                parts[node.params] = g
            continue
        if node.saved is FREED:
            usable(node)
        rule_node = _Recording(node) if create_graph else node
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


class _Recording:
    """A node as the rules see it while the backward pass is recorded: what it saved, as Tensors."""

    __slots__ = ("params", "parents", "saved", "shape")

    def __init__(self, node: Node) -> None:
        self.parents = node.parents
        self.params = node.params
        self.shape = node.shape
        self.saved = saved_tensors(node)


def _stale(leaf: Any) -> GraphError:
    name = leaf.parameter_name or leaf.label or "a leaf"
    return GraphError(
        f"{name} was changed by assign() after this graph was recorded: its gradient would belong to "
        "values that are gone. Run the forward pass again after every update."
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


def backward(
    output: Tensor | Sequence[Tensor],
    seed: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    observe: Observer | None = None,
) -> None:
    """Add the gradient of ``output`` to ``.grad`` of every leaf behind it that requires one.

    Args:
        output: a tensor of one element, or of any shape if a seed is given; or a list of tensors,
            whose gradients are added up in one pass.
        seed: the cotangent of the output: an array of its shape (a list for a list).
        retain_graph: keep the graph for another backward pass.
        create_graph: record the pass: ``.grad`` then holds Tensors (implies retain_graph).
        observe: called with every labelled node and its cotangent on the way.

    Raises:
        GraphError: nothing was recorded, no seed for several elements, the graph was freed or is
            out of date.
    """
    outputs = [output] if isinstance(output, Tensor) else list(output)
    seeds = [seed] if isinstance(output, Tensor) or seed is None else list(seed)
    seeds *= len(outputs) if len(seeds) == 1 else 1
    cotangents: dict[Node, Any] = {}
    for tensor, start in zip(outputs, seeds, strict=True):
        root, g = _root(tensor), _seed(tensor, start)
        cotangents[root] = g if root not in cotangents else cotangents[root] + g
    with paused_gc():
        nodes = reachable(list(cotangents))
        keep = retain_graph or create_graph
        found = walk_back(nodes, cotangents, keep, create_graph, None, observe)
    handed_out = {id(start) for start in seeds}
    for leaf, g in found.items():
        if isinstance(leaf, Leaf):
            g = _settled(g, create_graph, handed_out)
            leaf.grad = g if leaf.grad is None else leaf.grad + g


def grad(
    output: Tensor,
    inputs: Sequence[Tensor] | Tensor,
    seed: Any = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
    observe: Observer | None = None,
) -> Any:
    """The gradient of ``output`` by each of the inputs; no ``.grad`` is touched.

    Only the part of the graph that lies between is walked, so a gradient by an early state costs no
    parameter gradients.

    Args:
        output: a tensor of one element, or of any shape if a seed is given.
        inputs: tensors of the graph, leaves or not; one Tensor gives one gradient.
        seed: the cotangent of the output.
        create_graph: give Tensors that can be differentiated again.
        retain_graph: keep the graph for another pass; by default as ``create_graph``.
        allow_unused: give None for an input on which the output does not depend, not an error.
        observe: called with every labelled node and its cotangent on the way.

    Returns:
        A list of raw arrays (Tensors with ``create_graph``), in the order of the inputs.
    """
    single = isinstance(inputs, Tensor)
    wanted = [inputs] if single else list(inputs)
    for k, tensor in enumerate(wanted):
        if not isinstance(tensor, Tensor) or not tensor.requires_grad:
            raise GraphError(
                f"grad: input {k} is not part of a graph: make it with ts.tensor(..., "
                "requires_grad=True) before the forward pass"
            )
    targets = {tensor.node for tensor in wanted}
    root = _root(output)
    cotangents = {root: _seed(output, seed)}
    with paused_gc():
        everything = reachable([root])
        _refuse_stale(everything)
        nodes = leading_to(everything, targets & set(everything))
        keep = create_graph if retain_graph is None else retain_graph
        found = walk_back(nodes, cotangents, keep, create_graph, targets, observe)
    results, handed_out = [], {id(seed)}
    for k, tensor in enumerate(wanted):
        g = found.get(tensor.node)
        if g is None and not allow_unused:
            name = f" ({tensor.label})" if tensor.label else ""
            raise GraphError(
                f"grad: the output does not depend on input {k}{name}, of shape {tensor.shape}. "
                "Pass allow_unused=True to get None for it."
            )
        results.append(None if g is None else _settled(g, create_graph, handed_out))
    return results[0] if single else results


def push_forward(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    tangents: Sequence[Any],
    create_graph: bool = False,
) -> list[Any]:
    """Forward mode over a recorded graph: the tangents of the outputs, J v.

    Args:
        outputs: tensors of the graph.
        inputs: tensors of the graph, on which the outputs may depend.
        tangents: for each input an array of its shape, the direction.
        create_graph: give Tensors that can be differentiated again.

    Returns:
        For each output its tangent: an array of its shape (zeros where nothing depends).
    """
    found: dict[Node, Any] = {}
    for tensor, tangent in zip(inputs, tangents, strict=True):
        if tensor.node is None:
            raise GraphError("push_forward: an input is not part of the graph")
        found[tensor.node] = _checked_like(tangent, tensor, "tangent")
    roots = [output.node for output in outputs if output.node is not None]
    with paused_gc():
        for node in leading_to(reachable(roots), set(found)):
            if node in found or node.primitive is None:
                continue
            if node.primitive is PICK:
                found[node] = found[node.parents[0]][node.params]
                continue
            usable(node)
            incoming = [None if p is None else found.get(p) for p in node.parents]
            tangent = node.primitive.jvp(incoming, _Recording(node) if create_graph else node)
            if not isinstance(tangent, list):
                if tangent.shape != node.shape:
                    tangent = tangent + namespace(_raw(tangent)).zeros(node.shape, node.dtype)
                if tangent.dtype != node.dtype:
                    tangent = tangent.astype(node.dtype)
            found[node] = tangent
    results, handed_out = [], {id(tangent) for tangent in tangents}
    for output in outputs:
        tangent = found.get(output.node) if output.node is not None else None
        if tangent is None:
            tangent = namespace(output.data).zeros_like(output.data)
        results.append(_settled(tangent, create_graph, handed_out))
    return results


def _raw(value: Any) -> Array:
    return value.data if isinstance(value, Tensor) else value


def _settled(value: Any, create_graph: bool, handed_out: set[int]) -> Any:
    """A result in its final form: a Tensor if the pass was recorded, else a raw array of its own.

    A rule may pass one array on to several inputs, or a view: whoever changes a gradient in place
    must not change another one.
    """
    if create_graph:
        return value if isinstance(value, Tensor) else Tensor(as_array(value))
    array = as_array(_raw(value))
    if array.base is not None or id(array) in handed_out:
        array = array.copy()
    handed_out.add(id(array))
    return array


def _refuse_stale(nodes: Sequence[Node]) -> None:
    for node in nodes:
        if isinstance(node, Leaf) and node.stale:
            raise _stale(node)


def _root(output: Tensor) -> Node:
    if not isinstance(output, Tensor):
        raise DTypeError(f"a gradient is taken of a Tensor, not of {type(output).__name__}")
    if not output.requires_grad:
        raise GraphError(
            "nothing to differentiate: this tensor does not depend on anything that requires a "
            "gradient, or it was made under no_grad() or detached."
        )
    assert output.node is not None
    return output.node


def _seed(output: Tensor, seed: Any) -> Array:
    if seed is None:
        if output.size != 1:
            raise GraphError(
                f"the gradient of a tensor of shape {output.shape} is no single number's: sum it to "
                "one element first, or pass seed=, the cotangent of the output."
            )
        return namespace(output.data).ones_like(output.data)
    return _checked_like(seed, output, "seed")


def _checked_like(value: Any, tensor: Tensor, what: str) -> Any:
    value = value if isinstance(value, Tensor) else as_array(value)
    if value.shape != tensor.shape:
        raise ShapeError(f"{what} of shape {value.shape} for a tensor of shape {tensor.shape}")
    return value if value.dtype == tensor.dtype else value.astype(tensor.dtype)


Tensor.backward = backward  # type: ignore[attr-defined]

__all__ = ["backward", "grad", "no_grad", "paused_gc", "push_forward", "reachable", "sum_to"]
