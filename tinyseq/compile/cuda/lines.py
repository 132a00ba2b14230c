"""lines: lines of CuPy, for what is computed of whole arrays: products, sums, anything else.

A line is written for a place: "once" for what is the same in every step, "step" for step t inside a
loop, "slab" for all steps at once.
"""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

from tinyseq.compile.cuda.boxes import Buffer
from tinyseq.compile.cuda.code import name_of
from tinyseq.compile.cuda.index import slices_of
from tinyseq.compile.cuda.kernel import plain
from tinyseq.compile.cuda.plan import Plan
from tinyseq.compile.cuda.values import is_product, untransposed
from tinyseq.compile.program import Value

STATES = {"state": "(t-1)", "seed_state": "'", "seed_y": "'"}


class Lines:
    """Writes the lines for one value at a time."""

    plan: Plan
    steps: int
    buffers: dict[int, Buffer]
    calls: list[tuple[Any, dict[str, Any]]]

    # -- arrays ------------------------------------------------------------------------------------

    def held(self, buffer: Buffer, place: str) -> str:
        """What is in a buffer, as an array of CuPy."""
        if not buffer.rows:
            return buffer.name
        if place != "slab":
            return f"{buffer.name}[t + 1]" if buffer.shift else f"{buffer.name}[t]"
        if buffer.rows == self.steps:
            return buffer.name
        return f"{buffer.name}[1:]" if buffer.shift else f"{buffer.name}[:-1]"

    def array(self, value: Value, place: str) -> str:
        """A value as an array of CuPy in one piece; a number as it is."""
        if value.kind == "constant" and not value.shape:
            number = value.content.item() if hasattr(value.content, "item") else value.content
            return repr(number) if isfinite(number) else f'float("{number}")'
        base = self.plan.array_of(value)
        text = self.held(self.buffers[id(base)], place)
        views = []
        while value is not base:
            views.append(value)
            value = value.inputs[0]
        for view in reversed(views):
            if view.op == "getitem":
                first = slices_of(view)[0]
                assert isinstance(first, slice)
                start, stop, _ = first.indices(view.inputs[0].shape[0])
                text += f"[{start}:{stop}]"
            elif view.op == "reshape":
                text += f".reshape({self.shape_of(view, place)})"
        return text

    def shape_of(self, value: Value, place: str) -> str:
        """The shape of a value's array, as Python writes it."""
        if place == "slab" and self.plan.varies(value):
            return f"({', '.join(['n', *map(str, value.shape)])},)"
        return str(tuple(value.shape))

    # -- lines -------------------------------------------------------------------------------------

    def lines(self, value: Value, place: str) -> list[str]:
        """The lines that compute a value into its buffer."""
        about = f"  # {plain(self.equation(value))}"
        if is_product(value):
            first, *rest = self._product(value, place)
        elif value.op == "sum" and name_of(value.dtype) == name_of(value.inputs[0].dtype):
            first, *rest = self._sum(value, place)
        else:
            self.calls.append((value.primitive.forward, value.params))  # type: ignore[union-attr]
            k = len(self.calls) - 1
            arrays = "".join(f", {self.array(v, 'step')}" for v in value.inputs)
            first, *rest = self._each_step(
                value, f"calls[{k}][0](xp{arrays}, **calls[{k}][1])", place
            )
        return [first + about, *rest]

    def _each_step(self, value: Value, text: str, place: str) -> list[str]:
        """An expression for one step, on its own or for all steps in turn."""
        line = f"{self.held(self.buffers[id(value)], 'step')}[...] = {text}"
        if place != "slab" or not self.buffers[id(value)].rows:
            return [line]
        return ["for t in range(n):", f"    {line}"]

    def _sum(self, value: Value, place: str) -> list[str]:
        shift = place == "slab" and self.plan.varies(value.inputs[0])
        axis = tuple(k + shift for k in value.params["axis"])
        array, out = self.array(value.inputs[0], place), self.held(self.buffers[id(value)], place)
        return [f"{array}.sum(axis={axis}, out={out}, keepdims={value.params['keepdims']})"]

    def _product(self, value: Value, place: str) -> list[str]:
        a, b = value.inputs
        left, right = self._factor(a, place), self._factor(b, place, value.op == "linear")
        out = self.held(self.buffers[id(value)], place)
        slab = place == "slab"
        if self.is_rows(value) and (not slab or (self.plan.varies(a) and not self.plan.varies(b))):
            if slab or len(a.shape) != 2:
                rows = prod(a.shape[:-1])
                count = (f"n * {rows}" if rows > 1 else "n") if slab else str(rows)
                left = f"{left}.reshape({count}, {a.shape[-1]})"
                out = f"{out}.reshape({count}, {value.shape[-1]})"
            return [f"xp.dot({left}, {right}, out={out})"]
        if len(a.shape) == len(b.shape) == 2:
            call = "xp.matmul" if slab else "xp.dot"
            return [f"{call}({left}, {right}, out={out})"]
        left, right = self._factor(a, "step"), self._factor(b, "step", value.op == "linear")
        return self._each_step(value, f"xp.matmul({left}, {right})", place)

    def is_rows(self, value: Value) -> bool:
        """Whether a product is one of rows, however they are stacked, with one matrix."""
        a, b = value.inputs
        return len(b.shape) == 2 and len(a.shape) >= 1 and untransposed(a) is a and (
            value.op == "linear" or len(a.shape) == 2
        )  # fmt: skip

    def _factor(self, value: Value, place: str, turned: bool = False) -> str:
        """A factor of a product; a transposed matrix is read as it lies."""
        inner = untransposed(value)
        text = self.array(inner, place)
        if (inner is not value) == turned:
            return text
        both = place == "slab" and self.plan.varies(value)
        return f"{text}.transpose(0, 2, 1)" if both else f"{text}.T"

    def can_be_captured(self, value: Value) -> bool:
        """Whether a line of a step allocates nothing: true of most products by cuBLAS.

        Of one row with one column CuPy makes a sum, of factors of two dtypes copies.
        """
        if not is_product(value) or prod(value.shape) == 1:
            return False
        flat = len(value.inputs[0].shape) == len(value.inputs[1].shape) == 2
        kinds = {name_of(v.dtype) for v in (value, *value.inputs)}
        return (flat or self.is_rows(value)) and len(kinds) == 1

    # -- words -------------------------------------------------------------------------------------

    def title(self, value: Value) -> str:
        """What a value is called in a comment."""
        if value.kind == "constant":
            return "constant" if value.shape else self.array(value, "step")
        if value.label:
            return value.label + STATES.get(value.kind, "")
        return self.buffers[id(value)].name if id(value) in self.buffers else value.op

    def equation(self, value: Value) -> str:
        """A value and what it is made from."""
        made = ", ".join(self.title(v) for v in value.inputs)
        return f"{self.title(value)} = {value.op}({made})"
