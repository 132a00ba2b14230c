"""The recursive cell, for trees: two children become one parent."""

from __future__ import annotations

from typing import Any

from tinyseq.autograd.primitive import place
from tinyseq.errors import ShapeError, StructureError
from tinyseq.nn import init
from tinyseq.nn.cells.elman import positive
from tinyseq.nn.module import Module
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, tanh
from tinyseq.random import Seed, generator


class RecursiveCell(Module):
    """The recursive net (Socher et al. 2011; book, figure 10.14), a step of ``unroll_tree``.

        h = V x                     at a leaf
        h = tanh(b + U l + W r)     above the children l and r

    With the two matrices side by side that is p = tanh([U W] [l; r] + b). On a chain, with a leaf
    on the left and the state so far on the right, it is the Elman cell whose input matrix is U V.

    Shapes: x (N, I) at a leaf and None elsewhere, l and r (N, H); returns (h, h).

    Args:
        input_size: I.
        hidden_size: H.
        seed: for the initial values: uniform, V in +-1/sqrt(I), U, W and b in +-1/sqrt(2 H).

    Parameters: weight_leaf (H, I) is V, weight_left (H, H) is U, weight_right (H, H) is W, bias
    (H,) is b.
    """

    def __init__(self, input_size: int, hidden_size: int, seed: Seed = None) -> None:
        what = type(self).__name__
        self.input_size, self.hidden_size = positive(what, input_size, hidden_size)
        rng, bound = generator(seed), (2 * hidden_size) ** -0.5
        square = (hidden_size, hidden_size)
        leaf = init.uniform((hidden_size, input_size), input_size**-0.5, rng)
        self.weight_leaf = Parameter(leaf, "V")
        self.weight_left = Parameter(init.uniform(square, bound, rng), "U")
        self.weight_right = Parameter(init.uniform(square, bound, rng), "W")
        self.bias = Parameter(init.uniform((hidden_size,), bound, rng), "b")

    def __call__(self, x: Any, children: tuple[Any, ...]) -> tuple[Any, Any]:
        if not children:
            h = linear(self._checked(x), self.weight_leaf)
            return h, h
        if len(children) != 2:
            raise StructureError(
                f"RecursiveCell{place()}: a node with {len(children)} children; a parent has two"
            )
        if x is not None:
            raise ShapeError(f"RecursiveCell{place()}: only leaves read x, this node has children")
        left, right = children
        h = tanh(linear(left, self.weight_left, self.bias) + linear(right, self.weight_right))
        return h, h

    def _checked(self, x: Any) -> Any:
        shape = tuple(getattr(x, "shape", ()))
        if len(shape) != 2 or shape[1] != self.input_size:
            found = f"has shape {shape}" if hasattr(x, "shape") else f"is {type(x).__name__}"
            raise ShapeError(
                f"RecursiveCell{place()}: x should have shape (batch, {self.input_size}), but it "
                f"{found}"
            )
        return x
