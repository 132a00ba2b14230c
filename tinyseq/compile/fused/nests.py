"""nests: elementwise operations that follow each other, as one loop over the elements.

What one operation makes of an element, the next one reads from a variable, not from an array; an
array is written only where somebody else reads it. Operations of one shape join a nest unless one
of them needs an element that another iteration writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import Any

import numpy as np

from tinyseq.compile.fused.elements import AXES, Element
from tinyseq.compile.program import Value
from tinyseq.compile.writing.slots import dtype_of

COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
SINES = ("sin", "cos")  # functions of whole arrays, wherever a value is one
FORMULAS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "pow": "{0} ** {1}",
    "relu": "maximum({0}, {1})",
    "where": "{0} if {2} else {1}",
    "maximum": "maximum({0}, {1})",
    "minimum": "minimum({0}, {1})",
    "abs": "abs({0})",
    "exp": "exp({0})",
    "expm1": "expm1({0})",
    "tanh": "tanh({0})",
    "sigmoid": "sigmoid({0})",
    **{op: f"np.{op}({{0}})" for op in ("log", "log1p", "sqrt", *SINES)},
    **{op: f"{{0}} {sign} {{1}}" for op, sign in COMPARISONS.items()},
}
FLOATS = ("float32", "float64")


def is_fusible(value: Value) -> bool:
    """Whether an element of a value is a formula of one element of each operand."""
    if value.op not in FORMULAS or len(value.shape) > len(AXES):
        return False
    if value.op == "where" and len(value.inputs) + ("condition" in value.params) != 3:
        return False
    return meets_in(value) in FLOATS


def meets_in(value: Value) -> str:
    """The dtype in which the operands of an operation meet."""
    if value.op not in COMPARISONS:
        return dtype_of(value)
    return np.result_type(*(_example(v) for v in value.inputs)).name


def _example(value: Value) -> Any:
    if value.kind == "constant" and isinstance(value.content, int | float):
        return value.content  # takes on the dtype of what it meets
    return np.dtype(dtype_of(value))


def is_number(value: Value) -> bool:
    """Whether a value is a number that can be written down."""
    return value.kind == "constant" and np.ndim(value.content) == 0


@dataclass(eq=False)
class Operation:
    """One formula, for every element of a shape.

    Attributes:
        value: whose element it computes.
        formula: with a place for each operand.
        operands: the values it reads; reads: their elements, None for a number.
        meets_in: the dtype of the operands in the formula.
        target: what is written.
        makes: whether the result is the value's element: not, if it is a copy to another place.
        user: the value on whose behalf the operands are read.
        kept: whether the target is written: not, if all that read the value are in the nest.
        variable: the name of the result, if it is read again in the nest.
    """

    value: Value
    formula: str
    operands: list[Value]
    reads: list[Element | None]
    meets_in: str
    target: Element
    makes: bool
    user: Value
    kept: bool = True
    variable: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the nest."""
        return self.value.shape


@dataclass(eq=False)
class Nest:
    """Operations on all elements of a shape, in one loop."""

    shape: tuple[int, ...]
    operations: list[Operation] = field(default_factory=list)
    made: dict[int, Operation] = field(default_factory=dict)  # by the ids of the values

    def takes(self, new: Operation) -> bool:
        """Add an operation, if all that is computed stays the same."""
        if new.shape != self.shape:
            return False
        written = [op.target for op in self.operations]
        read = [e for op in self.operations for e in self.loads(op)]
        if any(e.clashes(w, self.shape) for e in self.loads(new) for w in written):
            return False
        if any(new.target.clashes(e, self.shape) for e in [*written, *read]):
            return False
        self.operations.append(new)
        if new.makes:
            self.made[id(new.value)] = new
        return True

    def maker(self, operation: Operation, operand: int) -> Operation | None:
        """The operation of this nest whose variable an operand is."""
        value = operation.operands[operand]
        found = self.made.get(id(value))
        if found is operation or operation.reads[operand] is None or value.shape != self.shape:
            return None
        return found

    def loads(self, operation: Operation) -> list[Element]:
        """The elements that an operation reads from arrays."""
        return [
            read
            for k, read in enumerate(operation.reads)
            if read is not None and self.maker(operation, k) is None
        ]

    def arrays(self) -> list[str]:
        """The names of the arrays that it reads or writes, in their order."""
        names = []
        for op in self.operations:
            names += [e.array for e in self.loads(op)] + [op.target.array] * op.kept
        return list(dict.fromkeys(names))

    def lines(self, name: Callable[[str], str], comment: Callable[[Value], str]) -> list[str]:
        """The loop; ``name`` finds a free name, ``comment`` says what a value is."""
        indent = "    " * len(self.shape)
        lines = [
            "    " * axis + f"for {AXES[axis]} in range({self.length(axis)}):"
            for axis in range(len(self.shape))
        ]
        read_again = {
            id(self.maker(op, k)) for op in self.operations for k in range(len(op.operands))
        }
        for op in self.operations:
            text = op.formula.format(*(self.operand(op, k) for k in range(len(op.operands))))
            said = f"  # {comment(op.value)}" if comment(op.value) else ""
            if id(op) in read_again:
                op.variable = name(op.value.label or op.value.op)
                lines.append(f"{indent}{op.variable} = {text}{said}")
                text, said = op.variable, ""
            if op.kept:
                lines.append(f"{indent}{op.target} = {text}{said}")
        return lines

    def length(self, axis: int) -> str:
        """How many elements there are along an axis: of an array, so that any batch will do."""
        elements = [op.target for op in self.operations if op.kept]
        elements += [e for op in self.operations for e in self.loads(op)]
        found = (element.length(axis, self.shape) for element in elements)
        return next((text for text in found if text), str(self.shape[axis]))

    def operand(self, operation: Operation, k: int) -> str:
        """An operand, as it stands in the formula."""
        value, read = operation.operands[k], operation.reads[k]
        if read is None:
            return number(value.content, operation.meets_in)
        maker = self.maker(operation, k)
        text = maker.variable if maker else str(read)
        condition = operation.value.op == "where" and k == 2
        if condition:
            return text if dtype_of(value) == "bool" else f"({text} != 0)"
        return text if dtype_of(value) == operation.meets_in else f"{operation.meets_in}({text})"


def number(content: Any, dtype: str) -> str:
    """A number of a dtype, as it is written in a loop."""
    if dtype not in FLOATS:
        return repr(np.dtype(dtype).type(content).item())
    if not isfinite(content):
        text = "np.nan" if isnan(content) else "np.inf" if content > 0 else "-np.inf"
    else:
        text = repr(float(content))
    if dtype != "float64":
        return f"{dtype}({text})"
    return f"({text})" if text.startswith("-") else text
