"""back: the walk back over a sum, a difference and a product, written out for speed.

What ``walk_back`` does with ``vjp`` for a node of these, when nothing is recorded: the cotangents
of the parents grow by what the node contributes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyseq.autograd.walk import sum_to

PARTNER = object()  # the derivative of a product by one factor: the other one


def back_of_sum(g: Any, node: Any, cotangents: dict[Any, Any]) -> None:
    """The walk back of a + b."""
    for parent in node.parents:
        if parent is not None and parent.requires_grad:
            p = g if parent.shape == node.shape else sum_to(g, parent.shape)
            if p.dtype is not parent.dtype:
                p = p.astype(parent.dtype, copy=False)
            old = cotangents.get(parent)
            cotangents[parent] = p if old is None else old + p


def back_of_difference(g: Any, node: Any, cotangents: dict[Any, Any]) -> None:
    """The walk back of a - b."""
    left, right = node.parents
    if left is not None and left.requires_grad:
        p = g if left.shape == node.shape else sum_to(g, left.shape)
        if p.dtype is not left.dtype:
            p = p.astype(left.dtype, copy=False)
        old = cotangents.get(left)
        cotangents[left] = p if old is None else old + p
    if right is not None and right.requires_grad:
        p = -g if right.shape == node.shape else sum_to(-g, right.shape)
        if p.dtype is not right.dtype:
            p = p.astype(right.dtype, copy=False)
        old = cotangents.get(right)
        cotangents[right] = p if old is None else old + p


def back_of_product(g: Any, node: Any, cotangents: dict[Any, Any]) -> None:
    """The walk back of a b."""
    left, right = node.parents
    x, y = node.saved
    if left is right:  # a square: twice the same, without a second array of that size
        p = g * x
        p += p
        old = cotangents.get(left)
        cotangents[left] = p if old is None else old + p
        return
    if y is not None:
        p = g * y
        if p.shape != left.shape or p.dtype is not left.dtype:
            p = sum_to(p, left.shape).astype(left.dtype, copy=False)
        old = cotangents.get(left)
        cotangents[left] = p if old is None else old + p
    if x is not None:
        p = g * x
        if p.shape != right.shape or p.dtype is not right.dtype:
            p = sum_to(p, right.shape).astype(right.dtype, copy=False)
        old = cotangents.get(right)
        cotangents[right] = p if old is None else old + p


# By the derivatives of the operation.
BACK: dict[Any, Callable[[Any, Any, dict[Any, Any]], None]] = {
    (1, 1): back_of_sum,
    (1, -1): back_of_difference,
    (PARTNER, PARTNER): back_of_product,
}
