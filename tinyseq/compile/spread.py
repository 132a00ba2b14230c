"""spread: what is the same in every step, in the form in which the loop reads it fastest.

A bias or a constant vector is repeated to the shape that it meets: arithmetic on arrays of one
shape is one run over memory, and costs half of what broadcasting costs if they are small. And for a
single row, h W^T is a product with the transpose written out.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinyseq.autograd.primitive import Primitive
from tinyseq.compile.program import Program, Value, in_order
from tinyseq.compile.schedule import Schedule, schedule
from tinyseq.compile.writing.slots import ELEMENTWISE
from tinyseq.ops.elementwise import add
from tinyseq.ops.linalg import matmul
from tinyseq.ops.shape import _permute

POINTWISE = {*ELEMENTWISE, "where"}
SMALL = 1 << 12  # elements: more than that are broadcast as quickly as they are read


def spread(found: Schedule) -> Schedule:
    """The Schedule with what is the same in every step prepared for the loop."""
    return schedule(_Rows(found).program())


class Forms:
    """Values in a new form, by their old ids.

    Attributes:
        before: the Program as it was.
        loop_values, loop: what its loops hold, and the ids of that.
        fixed: the ids of what is the same in every step, constants aside.
    """

    def __init__(self, found: Schedule) -> None:
        self.before = found.program
        once = found.forward["once"] + found.backward["once"]
        self.fixed = {id(v) for v in once + found.program.parameters}
        self.loop_values = found.forward["loop"] + found.backward["loop"]
        self.loop = {id(v) for v in self.loop_values}
        self.copies: dict[Any, Value] = {}

    def is_fixed(self, value: Value) -> bool:
        """Whether a value is the same in every step."""
        return value.kind == "constant" or id(value) in self.fixed

    def copied(self, value: Value, shape: tuple[int, ...]) -> Value:
        """An array of its own: a fixed value (or a view of one), repeated to the shape."""
        if value.kind == "constant":
            content = np.array(np.broadcast_to(value.content, shape), order="C")
            return replace(value, shape=shape, content=content)
        view = value.op in ("transpose", "reshape")
        key = (id(value.inputs[0] if view else value), value.op if view else "", shape)
        if key not in self.copies:
            self.copies[key] = Value("result", shape, value.dtype, COPY, (value,), {"shape": shape})
        return self.copies[key]


class _Rows(Forms):
    """The forms of values whose axes stay as they are."""

    def program(self) -> Program:
        """The Program in the new forms."""
        self.forms: dict[int, Value] = {}
        for value in in_order(self.before.results()):
            self.forms[id(value)] = self.form(value)
        return self.before.replaced(self.forms)

    def form(self, value: Value) -> Value:
        """A value made from new forms."""
        if value.kind != "result" or id(value) in self.fixed:
            return value
        if value.op == "identity":
            return self.forms[id(value.inputs[0])]
        inputs = [self.forms[id(v)] for v in value.inputs]
        if id(value) in self.loop:
            if value.op in POINTWISE and prod(value.shape) <= SMALL:
                inputs = [self.met(v, value) for v in inputs]
            elif value.op == "linear" and value.shape[:-1] == (1,) and self.is_fixed(inputs[1]):
                return self.row(value, inputs)
        return with_inputs(value, inputs)

    def met(self, value: Value, user: Value) -> Value:
        """An input of an elementwise value, in the shape of that."""
        if not value.shape or not self.is_fixed(value) or value.shape == user.shape:
            return value
        return self.copied(value, user.shape)

    def row(self, value: Value, inputs: list[Value]) -> Value:
        """A single row times a transpose, with the bias."""
        weight = transposed(inputs[1])
        product = replace(value, primitive=MATMUL, params={})
        product.inputs = (inputs[0], self.copied(weight, weight.shape))
        if len(inputs) == 2:
            return product
        product.label = None
        return replace(
            value, primitive=ADD, inputs=(product, self.met(inputs[2], value)), params={}
        )


def _copy(xp: Any, a: Any, shape: tuple[int, ...]) -> Any:
    return xp.array(xp.broadcast_to(a, shape), order="C")


def _no_rule(*_: Any) -> Any:
    raise AssertionError("what comes behind differentiation has no derivative")


COPY = Primitive("copy", "linear", _copy, _no_rule, _no_rule, None)
ADD, MATMUL, TRANSPOSE = (
    _op.primitive  # type: ignore[attr-defined]
    for _op in (add, matmul, _permute)
)


def with_inputs(value: Value, inputs: list[Value], **params: Any) -> Value:
    """The value made from other inputs, with some parameters changed."""
    return replace(value, inputs=tuple(inputs), params={**value.params, **params})


def transposed(value: Value) -> Value:
    """The transpose of a matrix."""
    shape = value.shape[::-1]
    if value.kind == "constant":
        return replace(value, shape=shape, content=np.asarray(value.content).T)
    return Value("result", shape, value.dtype, TRANSPOSE, (value,), {"axes": (1, 0)})
