"""Names for the pictures: inputs, states and outputs of every step become labelled nodes."""

from __future__ import annotations

from typing import Any

from numpy import ndarray

from tinyseq import structure
from tinyseq.autograd.node import Leaf
from tinyseq.autograd.primitive import recording
from tinyseq.autograd.tensor import Tensor, label
from tinyseq.ops import identity


def labelled(value: Any, names: list[str]) -> Any:
    """The structure with every array a labelled Tensor; labels that are there stay.

    Under ``no_grad`` nothing is labelled: there is no picture to make.
    """
    if value.__class__ is ndarray and recording.get() is True:  # x(t), in every step
        leaf = Leaf(value.shape, value.dtype, False)
        leaf.label, leaf.value = names[0], value
        return Tensor(value, leaf)
    if isinstance(value, Tensor) and value.node is not None:
        if value.node.label is None:
            value.node.label = names[0]
            value.node.value = value.data
        return value
    k = 0
    for array in value if isinstance(value, tuple) else structure.leaves(value):
        node = array.node if isinstance(array, Tensor) else None
        if node is None:
            break
        if node.label is None:
            node.label, node.value = names[k], array.data
        k += 1
    else:
        return value  # the usual case: nothing had to be replaced
    pending = iter(names)
    return structure.map(lambda array: _with_label(array, next(pending)), value)


def _with_label(value: Any, name: str) -> Any:
    if value is None:
        return None
    node = value.node if isinstance(value, Tensor) else None
    if node is None:
        return label(value, name) if recording.get() else value
    if node.label is None:
        node.label = name
        node.value = value.data
    return value


def called(value: Any, alone: str, names: dict[str, str]) -> Any:
    """A state, input or output with every array labelled by the name that it has there, or None.

    Args:
        value: the structure.
        alone: the name of an array that is no part of a structure.
        names: what to call them instead.
    """
    if value is None:
        return None
    return labelled(value, [names.get(n, n) for n in structure.names(value, alone)])


def own_node(value: Any) -> Any:
    """A given initial state under a node of this recurrence, which is labelled as its time 0."""
    return identity(value) if isinstance(value, Tensor) and value.node is not None else value
