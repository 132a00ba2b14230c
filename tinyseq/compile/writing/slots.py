"""Slots: where the values of a step live.

A Slot is a place in memory. Spans: "T" is an array of all steps, "K" one of a chunk of steps, "" a
single one that every step uses again. ``array_`` is the list of an array's slices, made once, so
that a step need not slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tinyseq.compile.program import Value

UFUNCS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "neg": "negative",
    "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "sqrt": "sqrt", "sin": "sin",
    "cos": "cos", "tanh": "tanh", "abs": "abs", "pow": "power", "maximum": "maximum",
    "minimum": "minimum", "gt": "greater", "ge": "greater_equal", "lt": "less",
    "le": "less_equal", "eq": "equal", "ne": "not_equal", "and_": "logical_and",
    "or_": "logical_or", "xor": "logical_xor", "invert": "logical_not",
}  # fmt: skip
ELEMENTWISE = {*UFUNCS, "sigmoid", "relu"}
VIEWS = {"getitem", "transpose", "reshape", "broadcast_to", "identity"}


@dataclass
class Slot:
    """Where a value lives.

    Attributes:
        array: its name.
        span: "T", "K" or "".
        shift: 1 for a state after the step, in an array that begins with the initial state.
        owner: "build" if it is allocated once, "call" if every call brings its own; "state" if it
            is allocated once, and must not be written by other values.
        whole: whether the array is an array of its own, not a view of another.
    """

    array: str
    span: str
    shift: int = 0
    owner: str = "build"
    whole: bool = True

    def step(self) -> str:
        """The value of one step, in a loop over t."""
        later = " + 1" * self.shift
        return {"T": f"{self.array}_[t{later}]", "K": f"{self.array}_[t - lo]", "": self.array}[
            self.span
        ]

    def slab(self) -> str:
        """The values of all steps of the chunk, which are those from lo to hi."""
        steps = {"T": "[lo + 1 : hi + 1]" if self.shift else "[lo:hi]", "K": "[:n]", "": ""}
        return self.array + steps[self.span]


def bytes_of(value: Value) -> int:
    """What an array for a value of one step takes."""
    return prod(value.shape) * np.dtype(dtype_of(value)).itemsize


def dtype_of(value: Value) -> str:
    """The name of the dtype of a value; that of Python's numbers if it has none."""
    return np.dtype(value.dtype if value.dtype is not None else np.float64).name
