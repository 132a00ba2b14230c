"""Differentiation of a recorded graph, backwards or forwards.

    backward(loss)                        # fills .grad of the leaves
    grad(loss, [x, w])                    # gives the gradients, touches nothing
    push_forward([y], [x], [tangent])     # tangents of the outputs (forward mode)

Results are raw arrays, or Tensors where the pass was recorded (``create_graph=True``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyseq.autograd.node import Leaf, Node
from tinyseq.autograd.primitive import PICK, usable
from tinyseq.autograd.tensor import Tensor
from tinyseq.autograd.walk import (
    Observer,
    Recording,
    leading_to,
    paused_gc,
    reachable,
    stale_error,
    walk_back,
)
from tinyseq.backend import Array, as_array, namespace, refuse_mixture
from tinyseq.errors import DTypeError, GraphError, ShapeError


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
    cotangents = _seeds(output, seed, create_graph)
    handed_out = {id(g) for g in cotangents.values()}
    with paused_gc():
        nodes = reachable(list(cotangents))
        keep = retain_graph or create_graph
        found = walk_back(nodes, cotangents, keep, create_graph, None, observe)
    for leaf, g in found.items():
        if isinstance(leaf, Leaf):
            g = _settled(g, create_graph, handed_out)
            if leaf.grad is not None:
                g = leaf.grad + g
            leaf.grad = g if create_graph else as_array(_raw(g))


def grad(
    output: Tensor | Sequence[Tensor],
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
        output: a tensor of one element, or of any shape if a seed is given; or a list of tensors,
            whose gradients are added up in one pass.
        inputs: tensors of the graph, leaves or not; one Tensor gives one gradient.
        seed: the cotangent of the output: an array of its shape (a list for a list).
        create_graph: give Tensors that can be differentiated again.
        retain_graph: keep the graph for another pass; by default as ``create_graph``.
        allow_unused: give None for an input on which the output does not depend, not an error.
        observe: called with every labelled node and its cotangent on the way.

    Returns:
        A list of raw arrays (Tensors with ``create_graph``), in the order of the inputs.
    """
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for k, tensor in enumerate(wanted):
        if not isinstance(tensor, Tensor) or not tensor.requires_grad:
            raise GraphError(
                f"grad: input {k} is not part of a graph: make it with ts.tensor(..., "
                "requires_grad=True) before the forward pass"
            )
    targets = {tensor.node for tensor in wanted if tensor.node is not None}
    cotangents = _seeds(output, seed, create_graph)
    handed_out = {id(g) for g in cotangents.values()}
    with paused_gc():
        everything = reachable(list(cotangents))
        _refuse_stale(everything)
        nodes = leading_to(everything, targets & set(everything))
        keep = create_graph if retain_graph is None else retain_graph
        found = walk_back(nodes, cotangents, keep, create_graph, targets, observe)
    results = []
    for k, tensor in enumerate(wanted):
        g = None if tensor.node is None else found.get(tensor.node)
        if g is None and not allow_unused:
            name = f" ({tensor.label})" if tensor.label else ""
            raise GraphError(
                f"grad: the output does not depend on input {k}{name}, of shape {tensor.shape}. "
                "Pass allow_unused=True to get None for it."
            )
        results.append(None if g is None else _settled(g, create_graph, handed_out))
    return results[0] if isinstance(inputs, Tensor) else results


def push_forward(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    tangents: Sequence[Any],
    create_graph: bool = False,
) -> list[Any]:
    """Forward mode over a recorded graph: the tangents of the outputs, J v.

    Args:
        outputs: tensors of the graph.
        inputs: tensors of the graph, on which the outputs may depend. One that depends on another
            counts as independent of it.
        tangents: for each input an array of its shape, the direction.
        create_graph: give Tensors that can be differentiated again.

    Returns:
        For each output its tangent: an array of its shape (zeros where nothing depends).
    """
    found: dict[Node, Any] = {}
    for tensor, tangent in zip(inputs, tangents, strict=True):
        if tensor.node is None or not tensor.requires_grad:
            raise GraphError(
                "push_forward: an input is not part of a graph: make it with ts.tensor(..., "
                "requires_grad=True) before the forward pass"
            )
        found[tensor.node] = _checked_like(tangent, tensor, "tangent", create_graph)
    handed_out = {id(tangent) for tangent in found.values()}
    roots = [output.node for output in outputs if output.node is not None]
    with paused_gc():
        for node in leading_to(reachable(roots, stop=found.keys()), set(found)):
            if node in found or node.primitive is None:
                continue
            if node.primitive is PICK:
                (whole,) = node.parents
                assert whole is not None
                found[node] = found[whole][node.params]
                continue
            usable(node)
            incoming = [None if p is None else found.get(p) for p in node.parents]
            tangent = node.primitive.jvp(incoming, Recording(node) if create_graph else node)
            if not isinstance(tangent, list):
                if tangent.shape != node.shape:
                    tangent = tangent + namespace(_raw(tangent)).zeros(node.shape, node.dtype)
                if tangent.dtype != node.dtype:
                    tangent = tangent.astype(node.dtype)
            found[node] = tangent
    results = []
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
            raise stale_error(node)


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


def _seeds(output: Any, seed: Any, create_graph: bool) -> dict[Node, Any]:
    """The cotangents to start from, by node."""
    if isinstance(output, list | tuple):
        outputs, seeds = list(output), [None] * len(output) if seed is None else list(seed)
    else:
        outputs, seeds = [output], [seed]
    if len(seeds) != len(outputs):
        raise ShapeError(f"{len(outputs)} outputs want as many seeds, not {len(seeds)}")
    cotangents: dict[Node, Any] = {}
    for tensor, start in zip(outputs, seeds, strict=True):
        node, g = _root(tensor), _seed(tensor, start, create_graph)
        cotangents[node] = g if node not in cotangents else cotangents[node] + g
    return cotangents


def _seed(output: Tensor, seed: Any, create_graph: bool) -> Array:
    if seed is None:
        if output.size != 1:
            raise GraphError(
                f"a gradient is taken of one number, not of a tensor of shape {output.shape}: sum "
                "it up first, or pass seed=, the cotangent of the output."
            )
        return namespace(output.data).ones_like(output.data)
    return _checked_like(seed, output, "seed", create_graph)


def _checked_like(value: Any, tensor: Tensor, what: str, create_graph: bool) -> Any:
    """A seed or tangent: of the tensor's shape, library and dtype; a Tensor only to be recorded."""
    if not isinstance(value, Tensor):
        value = as_array(value)
    elif not create_graph:
        value = value.data
    refuse_mixture((_raw(value), tensor.data))
    if value.shape != tensor.shape:
        raise ShapeError(f"{what} of shape {value.shape} for a tensor of shape {tensor.shape}")
    return value if value.dtype == tensor.dtype else value.astype(tensor.dtype)


Tensor.backward = backward  # type: ignore[attr-defined]
