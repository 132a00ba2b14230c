"""Tensor: a thin handle on an array and on the node that made it.

    x = tensor(array, requires_grad=True)     # a leaf, whose .grad backward() fills
    y = (x * x).sum()
    y.backward(); x.grad

The arithmetic (``+ - * / @ []`` and methods like ``sum``) is hung on the class by ``tinyseq.ops``.
Arrays stay where they are: NumPy in, NumPy out; CuPy in, CuPy out.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from tinyseq.autograd.node import TRACED, Leaf, Node, recording
from tinyseq.backend import Array, as_array, is_cupy, to_numpy
from tinyseq.errors import CompileError, DTypeError, GraphError, ShapeError


class Tensor:
    """An array in the graph.

    Attributes:
        data: the raw NumPy or CuPy array. Not to be changed in place: a graph may hold it.
        node: how it was made; None if nothing was recorded (a constant, or under ``no_grad``).
    """

    __slots__ = ("__weakref__", "data", "node")
    __array_ufunc__ = None  # numpy_array * tensor is Tensor.__rmul__, not a loop over elements
    __array_priority__ = 1000

    def __init__(self, data: Array, node: Node | None = None) -> None:
        self.data = data
        self.node = node

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient can flow back to or through this tensor."""
        return self.node is not None and self.node.requires_grad

    @property
    def is_leaf(self) -> bool:
        """Whether no operation made this tensor."""
        return self.node is None or self.node.primitive is None

    @property
    def label(self) -> str | None:
        """The name that ``label`` gave it for the pictures."""
        return None if self.node is None else self.node.label

    @property
    def grad(self) -> Any:
        """The accumulated gradient of a leaf: a raw array, or None before the first backward.

        A Tensor if the backward pass was recorded (``create_graph=True``).
        """
        return self.node.grad if isinstance(self.node, Leaf) else None

    @grad.setter
    def grad(self, value: Any) -> None:
        if not isinstance(self.node, Leaf) or not self.node.requires_grad:
            raise GraphError("only a leaf that requires a gradient has a .grad to set")
        if value is not None and value.shape != self.shape:
            raise ShapeError(f".grad of shape {value.shape} set on a tensor of shape {self.shape}")
        self.node.grad = value

    def detach(self) -> Tensor:
        """The same array, cut off from the graph: no gradient flows back from here."""
        if self.node is None or recording.get() is not TRACED:
            return Tensor(self.data)
        apart = Leaf(self.shape, self.dtype, False)  # the compiler is to know whose values they are
        apart.parents, apart.value = (self.node,), self.data
        return TracedTensor(self.data, apart)

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array (copied from the GPU if they are there)."""
        self._may_be_looked_at()
        return to_numpy(self.data)

    def item(self) -> float | int:
        """The only element as a Python number; waits for the GPU."""
        self._may_be_looked_at()
        if self.size != 1:
            raise ShapeError(f"item() wants a tensor of one element, not one of shape {self.shape}")
        return self.data.item()

    def _may_be_looked_at(self) -> None:
        """Raise CompileError while the compiler traces: the values are those of an example."""
        if recording.get() is TRACED:
            raise CompileError(
                "the step looks at a value that it computes (.data, numpy, float, int, bool, item, "
                "if or while on a tensor): what it does would depend on the data. ts.ops.where "
                "chooses without looking; .shape and .dtype can be read."
            )

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        if not self.ndim:
            raise ShapeError("a tensor of no dimensions has no length")
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise GraphError(
                "this tensor is part of a graph: turning it into a NumPy array would lose the "
                "gradient in silence. Take .data or .detach() if that is meant."
            )
        self._may_be_looked_at()
        if is_cupy(self.data):
            raise DTypeError("this tensor lives on the GPU: use .numpy() to copy it")
        return np.array(self.data, dtype=dtype, copy=copy)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise GraphError(
            "a tensor is not changed in place, since a graph may need its old values: build a new "
            "one with ts.ops.where or ts.ops.scatter_add; a parameter is changed by "
            "param.assign(array)."
        )

    def __reduce__(self) -> tuple:
        if not self.is_leaf:
            raise GraphError(
                "a tensor that was computed cannot be pickled or deep-copied: the whole graph "
                "behind it would go with it. Take .detach() (or .data), or save a module's "
                "state_dict()."
            )
        return tensor, (self.data, self.requires_grad)

    def __repr__(self) -> str:
        values = np.array2string(to_numpy(self.data), precision=4, threshold=20, prefix="tensor(")
        notes = [f"shape={self.shape}, dtype={self.dtype}"]
        notes += [f"label={self.label!r}"] if self.label else []
        notes += ["requires_grad=True"] if self.requires_grad and self.is_leaf else []
        notes += [f"made by {self.node.name}"] if self.node is not None and not self.is_leaf else []
        return f"tensor({values}, {', '.join(notes)})"


class TracedTensor(Tensor):
    """A Tensor of a step that the compiler traces: only this library's functions see its array."""

    __slots__ = ()

    @property
    def data(self) -> Array:
        """The array, for the operations; for the step itself a CompileError."""
        reader = sys._getframe(1).f_globals.get("__name__", "")
        if reader.partition(".")[0] != "tinyseq":
            self._may_be_looked_at()
        return _ARRAY.__get__(self)

    @data.setter
    def data(self, array: Array) -> None:
        _ARRAY.__set__(self, array)


_ARRAY: Any = Tensor.__dict__["data"]  # the slot behind the property


def tensor(value: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """A Tensor of the given values: a leaf of the graph if it requires a gradient.

    Args:
        value: an array (NumPy or CuPy, not copied: leave it unchanged while a graph holds it), a
            number, a nested list, or a Tensor (detached).
        requires_grad: whether backward() is to fill its ``.grad``.
        dtype: converts; by default arrays keep theirs and Python floats become float64.

    Raises:
        DTypeError: the values are no real numbers, or a gradient is asked for and they are integers
            or booleans.
        ShapeError: a ragged list.
    """
    array = as_array(value.data if isinstance(value, Tensor) else value)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"a tensor holds real numbers or booleans, not {array.dtype}")
    if dtype is not None and array.dtype != dtype:
        array = array.astype(dtype)
    if not requires_grad:
        return Tensor(array)
    if array.dtype.kind != "f":
        raise DTypeError(
            f"requires_grad=True wants floating-point values, these are {array.dtype}: "
            "pass dtype=float, or leave requires_grad out for token ids and masks."
        )
    return Tensor(array, Leaf(array.shape, array.dtype, True))


def label(value: Any, name: str) -> Any:
    """Name a tensor for the pictures and for messages, and give it back.

    A constant gets a leaf of its own, so that the pictures can show it; the gradient passes it
    over. A raw array becomes a (constant) Tensor.

    Args:
        value: a Tensor or a raw array.
        name: the variable, in the book's notation where there is one: x, h, c, o, L, y.
    """
    if not isinstance(name, str) or not name:
        raise DTypeError(f"a label is a non-empty string, not {name!r}")
    result = value if isinstance(value, Tensor) else Tensor(as_array(value))
    node = result.node
    if node is None:
        node = Leaf(result.data.shape, result.data.dtype, False)
        result = Tensor(result.data, node)
    node.label = name
    node.value = result.data
    return result
