"""How strongly the loss depends on every labelled value: the norms of its gradient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinyseq.autograd.engine import grad
from tinyseq.autograd.node import FREED, Node
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import namespace
from tinyseq.errors import DrawError, GraphError


def gradient_norms(
    outputs: Sequence[Tensor], nodes: Sequence[Node], variables: Iterable[Node]
) -> dict[Node, float]:
    """The Euclidean norm of d output / d variable, over all elements of the batch, for each.

    One backward pass from the output, which keeps the graph and touches no ``.grad``. Variables
    that need no gradient (token ids, targets) and those that the output does not depend on are
    left out.

    Args:
        outputs: one Tensor of one element.
        nodes: everything behind it, in order of creation.
        variables: the labelled ones.

    Raises:
        DrawError: several outputs, or one of several elements.
        GraphError: the graph was freed by a backward pass, or a parameter was assigned to since.
    """
    if len(outputs) != 1 or outputs[0].size != 1:
        shapes = ", ".join(str(tensor.shape) for tensor in outputs)
        raise DrawError(
            f"gradients=True wants the gradient of one number, the loss, not of outputs of shape "
            f"{shapes}: sum them to one element first"
        )
    learned = {node for node in variables if node.requires_grad}
    if any(node.saved is FREED for node in learned):
        raise GraphError(
            "gradients=True: the graph was freed by backward(). Draw before it, or keep the graph "
            "with loss.backward(retain_graph=True)."
        )
    found: dict[Node, float] = {}

    def observe(node: Node, cotangent: Any) -> None:
        if node in learned:
            found[node] = _norm(cotangent)

    first = _first(nodes, learned)
    if first:
        targets = [Tensor(node.value, node) for node in first]
        grad(outputs[0], targets, retain_graph=True, allow_unused=True, observe=observe)
    return found


def _first(nodes: Sequence[Node], wanted: set[Node]) -> list[Node]:
    """The wanted nodes behind which there is no other one: on the way to them, all are met."""
    found, behind = [], set()
    for node in nodes:
        if any(parent in behind for parent in node.parents):
            behind.add(node)
        elif node in wanted:
            found.append(node)
            behind.add(node)
    return found


def _norm(array: Any) -> float:
    xp = namespace(array)
    return float(xp.sqrt(xp.sum(xp.square(array.astype(xp.float64)))))
