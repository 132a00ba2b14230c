"""Parameter: a leaf that is learned."""

from __future__ import annotations

from typing import Any

from tinyseq.autograd.node import Leaf
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, as_array, is_cupy, namespace, refuse_mixture
from tinyseq.errors import DTypeError, GraphError, ShapeError


class Parameter(Tensor):
    """A learned array: a leaf with a name, and with the letter that the book gives it.

    ``data`` is read-only: ``assign`` is the one way to change the values, so that a graph recorded
    before the change can be told from one recorded after it.

    Args:
        values: the initial values, floating point; copied.
        symbol: the letter in the pictures, in the book's notation: W, U, V, b, c.
        requires_grad: False for weights that are never trained.
    """

    __slots__ = ("_store",)

    def __init__(self, values: Any, symbol: str | None = None, requires_grad: bool = True) -> None:
        array = as_array(values.data if isinstance(values, Tensor) else values)
        if array.dtype.kind != "f":
            raise DTypeError(f"a parameter is floating point, not {array.dtype}")
        super().__init__(array, None)
        self._hold(array.copy(), None, requires_grad)
        self.leaf.symbol = symbol

    def _hold(self, array: Array, old: Leaf | None, requires_grad: bool) -> None:
        self._store = array
        self.data = array
        if not is_cupy(array):
            self.data = array.view()
            self.data.flags.writeable = False
        self.node = Leaf(array.shape, array.dtype, requires_grad)
        if old is not None:
            old.stale = True
            self.node.symbol, self.node.parameter_name = old.symbol, old.parameter_name
            self.node.label = old.label

    @property
    def leaf(self) -> Leaf:
        """The current leaf; ``assign`` replaces it."""
        assert isinstance(self.node, Leaf)
        return self.node

    @property
    def symbol(self) -> str | None:
        """The letter in the pictures."""
        return self.leaf.symbol

    @property
    def name(self) -> str | None:
        """The name in the state_dict of the outermost module."""
        return self.leaf.parameter_name

    def assign(self, values: Any) -> None:
        """Replace the values; graphs that were recorded with the old ones become stale.

        The old array is left as it is, so that what else reads it (the graph of a frozen parameter,
        a detached copy) still reads the values of its time.

        Args:
            values: an array (or Tensor) of the same shape; copied, in the parameter's dtype.

        Raises:
            ShapeError: another shape.
            DTypeError: values that are no real numbers.
            BackendError: an array of the other library.
        """
        array = as_array(values.data if isinstance(values, Tensor) else values)
        what = f"assign to {self.name or 'a parameter'}"
        if array.dtype.kind not in "biuf":
            raise DTypeError(f"{what}: real numbers are wanted, not {array.dtype}")
        if array.shape != self.shape:
            raise ShapeError(f"{what} of shape {self.shape}: the values have shape {array.shape}")
        refuse_mixture((self._store, array))
        fresh = namespace(self._store).empty_like(self._store)
        fresh[...] = array
        old = self.leaf
        self._hold(fresh, old, old.requires_grad)
        self.leaf.grad = old.grad

    def requires_grad_(self, requires_grad: bool = True) -> Parameter:
        """Freeze or thaw the parameter, for graphs that are yet to be recorded; gives it back."""
        if requires_grad != self.requires_grad:
            self._hold(self._store, self.leaf, requires_grad)
        return self

    def move(self, array: Array) -> None:
        """Hold another array: of another dtype, or in another library. The gradient is dropped."""
        if array.shape != self.shape:
            raise ShapeError(f"move: shape {array.shape} for a parameter of shape {self.shape}")
        self._hold(array, self.leaf, self.requires_grad)

    def __reduce__(self) -> tuple:
        return _restored, (self._store, self.symbol, self.name, self.requires_grad)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise GraphError("a parameter is changed by param.assign(array), not by element")

    def __repr__(self) -> str:
        return f"Parameter({self.name or ''} {self.symbol or ''}, shape={self.shape}, {self.dtype})"


def _restored(array: Array, symbol: str | None, name: str | None, grad: bool) -> Parameter:
    parameter = Parameter(array, symbol, grad)
    parameter.leaf.parameter_name = name
    return parameter
