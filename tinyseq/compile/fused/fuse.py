"""fuse: the steps of a schedule as nests of elementwise operations, products, and the rest.

A plan of a step is a list of Nest, Call and lines of NumPy, in the order of the schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinyseq.compile.emit_numpy import _Writer
from tinyseq.compile.fused.elements import AXES, Element, own, spread, viewed
from tinyseq.compile.fused.nests import (
    FLOATS,
    FORMULAS,
    SINES,
    Nest,
    Operation,
    is_fusible,
    is_number,
    meets_in,
)
from tinyseq.compile.fused.plans import Call, Plan, open_nests
from tinyseq.compile.program import Value
from tinyseq.compile.schedule import Schedule
from tinyseq.compile.writing.slots import VIEWS, Slot, dtype_of
from tinyseq.ops import identity

IDENTITY: Any = identity.primitive  # type: ignore[attr-defined]


NAMES = {  # of functions that the loops call, and that are no names of arrays, therefore
    "abs", "exp", "float32", "float64", "flush", "given", "loop", "packed", "product", "sigmoid",
}  # fmt: skip


Move = tuple[Value, Value, Slot]  # what it becomes, what is handed on, and its place


class Fused(_Writer):
    """Finds the plan of a step, once every value has its place in memory."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        super().__init__(schedule, steps)
        self.names |= {*AXES, *NAMES}
        self.homes: dict[str, Value] = {}  # of each array that is part of another, what it is
        self.tiles: dict[int, str] = {}  # of each product with the same matrix in every step

    # -- where elements are --------------------------------------------------------------------

    def find_homes(self) -> None:
        """Learn what the arrays are that are views, or pieces, of others."""
        self.pieces = {
            id(piece): (whole, start)
            for whole in self.all_values()
            if id(whole) in self.placed
            for k, (piece, start) in enumerate(_starts(whole))
            if k in self.placed[id(whole)]
        }
        for value in self.all_values():
            slot = self.slots.get(id(value))
            if slot is not None and not slot.whole:
                self.homes.setdefault(slot.array, value)

    def all_values(self) -> list[Value]:
        """The results of the schedule, in order."""
        passes = (self.schedule.forward, self.schedule.backward)
        return [v for places in passes for values in places.values() for v in values]

    def element(self, value: Value) -> Element | None:
        """The element (i, j, ...) of a value in step t; None if no formula says which it is."""
        if value.kind == "constant":
            array = self.constant(value).replace("[", "_").rstrip("]")
            return Element(array, "", own(value), value.shape)
        slot = self.slots.get(id(value))
        if slot is None or len(value.shape) > len(AXES):
            return None
        home = value if slot.whole else self.homes.get(slot.array, value)
        if id(home) in self.pieces:
            whole, start = self.pieces[id(home)]
            base = self.element(whole)
            return base and base.moved(whole.params["axis"], start)
        if home.op in VIEWS and not slot.whole:
            base, index = self.element(home.inputs[0]), viewed(home)
            if base is not None and index is not None:
                return base.of(index)
            if self.place.get(id(home)) != "once":
                return None  # an array that is part of another, as it would be passed twice
        when = {"T": "t" + " + 1" * slot.shift, "K": "t - lo", "": ""}[slot.span]
        return Element(slot.array, when, own(value), value.shape)

    # -- what is done to them ------------------------------------------------------------------

    def plan(self, values: list[Value], moves: list[Move]) -> Plan:
        """The plan of a step: its values, and what is handed on to the next one at its end."""
        plan: Plan = []
        for value in values:
            if value.op in VIEWS and not self.slots[id(value)].whole:
                continue
            sine = self.sine_of(value)
            if sine is not None:
                plan.append(sine)
                continue
            product, operations = self.product_of(value), self.operations(value)
            if operations is None or (id(value) in self.tiles and product is None):
                self.add_lines(plan, partial(self.step, value))
                continue
            if product is not None:
                plan.append(product)
            self.add(plan, operations)
        read_by_lines: set[int] = set()
        for like, value, slot in moves:
            target = Element(slot.array, "t + 1" if slot.span else "", own(like), like.shape)
            copied = self.operation(like, "{0}", [value], target, makes=False)
            if copied is None:
                line = f"{self.sliced(slot, like)}[...] = {self.ref(value, 'step')}"
                self.add_lines(plan, partial(self.write, line))
                read_by_lines.add(id(value))
            else:
                self.add(plan, [copied])
        moved = {id(value) for _, value, _ in moves}
        self.elide(plan, moved - read_by_lines)
        return plan

    def add(self, plan: Plan, operations: list[Operation]) -> None:
        """Put operations into nests: the last one that takes them before anything they wait for."""
        for operation in operations:
            if not any(nest.takes(operation) for nest in open_nests(plan, operation)):
                nest = Nest(operation.shape)
                nest.takes(operation)
                plan.append(nest)

    def add_lines(self, plan: Plan, write: Callable[[], None]) -> None:
        """Put lines of NumPy behind the others."""
        before, self.body = self.body, []
        write()
        lines, self.body = self.body, before
        if plan and isinstance(plan[-1], list):
            plan[-1] += lines
        else:
            plan.append(lines)

    def operations(self, value: Value) -> list[Operation] | None:
        """A value, element by element; None if that is not possible."""
        target = self.element(value)
        if target is None:
            return None
        if value.op in VIEWS:
            index = viewed(value)
            if index is None:
                return None
            found = [self.operation(value, "{0}", [value.inputs[0]], target, indices=[index])]
        elif value.op == "concatenate":
            placed, axis = self.placed.get(id(value), set()), value.params["axis"]
            found = [
                self.operation(piece, "{0}", [piece], target.moved(axis, start), False, value)
                for k, (piece, start) in enumerate(_starts(value))
                if k not in placed
            ]
            if any(dtype_of(v) != dtype_of(value) for v in value.inputs):
                return None
        elif id(value) in self.tiles:  # after the product, its bias is added
            bias = value.inputs[2:]
            found = [self.operation(value, "{0} + {1}", [value, b], target) for b in bias]
        elif is_fusible(value):
            found = [self.operation(value, *_formula(value), target)]
        else:
            return None
        return None if any(op is None for op in found) else [op for op in found if op]

    def operation(
        self,
        value: Value,
        formula: str,
        operands: list[Value],
        target: Element,
        makes: bool = True,
        user: Value | None = None,
        indices: list[tuple[Any, ...]] | None = None,
    ) -> Operation | None:
        """An operation on all elements of a value; None if a loop cannot do it."""
        meeting = meets_in(value) if makes and value.op not in VIEWS else dtype_of(value)
        kinds = {meeting, dtype_of(value), *(dtype_of(v) for v in operands)}
        if "float16" in kinds or (meeting not in FLOATS and len(kinds) > 1):
            return None
        indices = indices or [spread(v.shape, value.shape) for v in operands]
        reads: list[Element | None] = []
        for operand, index in zip(operands, indices, strict=True):
            if is_number(operand):
                reads.append(None)
                continue
            element = self.element(operand)
            if element is None:
                return None
            reads.append(element.of(index))
        if any(read and read.clashes(target, value.shape) for read in reads):
            return None  # it would read what it has written
        return Operation(value, formula, operands, reads, meeting, target, makes, user or value)

    def elide(self, plan: Plan, moved: set[int]) -> None:
        """Write to no array that nobody reads; what is moved is read by the operation that does."""
        program = self.program
        handed_on = [*program.new_states, *program.state_grads]
        kept = self.saved | ({id(v) for v in handed_on} - moved)
        for values in (program.outputs, program.input_grads, program.parameter_grads):
            kept |= {id(v) for v in values}
        nests = [nest for nest in plan if isinstance(nest, Nest)]
        inside: dict[int, set[int]] = {}  # of each value, who reads it as a variable
        for nest in nests:
            for op in nest.operations:
                for k, operand in enumerate(op.operands):
                    if nest.maker(op, k) is None:
                        kept.add(id(operand))
                    else:
                        inside.setdefault(id(operand), set()).add(id(op.user))
        for nest in nests:
            for op in nest.operations:
                readers = {id(user) for user in self.uses.get(id(op.value), [])}
                alone = readers <= inside.get(id(op.value), set())
                op.kept = not (op.makes and alone and id(op.value) not in kept)

    # -- functions of whole arrays ------------------------------------------------------------

    def fixed_matrix(self, value: Value) -> tuple[Value, bool] | None:
        """The matrix of a product that is the same in every step, and whether it is transposed."""
        if value.op not in ("linear", "matmul"):
            return None
        left, right = value.inputs[:2]
        kinds = {dtype_of(v) for v in (left, right, value)}
        if not len(left.shape) == len(right.shape) == 2 or len(kinds) > 1 or not kinds <= {*FLOATS}:
            return None
        if self.varies(right) or left.kind == "constant":
            return None
        return right, value.op == "linear"

    def product_of(self, value: Value) -> Call | None:
        """A value as a product inside of the loop, if it is one."""
        if id(value) not in self.tiles:
            return None
        left, out = self.whole(value.inputs[0]), self.whole(value)
        if left is None or out is None:
            return None
        tiles = self.tiles[id(value)]
        text = f"product({left[1]}, {tiles}, {out[1]})"
        return Call(value, text, [left[0], tiles, out[0]])

    def sine_of(self, value: Value) -> Call | None:
        """A sine or cosine as a function of a whole array, if it is one."""
        kinds = {dtype_of(v) for v in (value, *value.inputs)}
        if value.op not in SINES or len(kinds) > 1 or not kinds <= {*FLOATS}:
            return None
        x, out = self.whole(value.inputs[0]), self.whole(value)
        if x is None or out is None or x[0] == out[0] and x != out:
            return None
        return Call(value, f"{value.op}({x[1]}, {out[1]})", [x[0], out[0]])

    def whole(self, value: Value) -> tuple[str, str] | None:
        """The name of a value's array, and all of the value as an expression; None without one."""
        element = None if is_number(value) else self.element(value)
        text = element and element.whole(value.shape)
        return (element.array, text) if element and text else None


def _starts(whole: Value) -> list[tuple[Value, int]]:
    """The pieces of a concatenation, and where each begins."""
    found, start = [], 0
    for piece in whole.inputs:
        found.append((piece, start))
        start += piece.shape[whole.params["axis"]]
    return found


def _formula(value: Value) -> tuple[str, list[Value]]:
    """An elementwise value as a formula of its operands."""
    operands = list(value.inputs)
    if value.op == "relu":
        operands.append(_constant(0.0))
    if value.op == "where" and "condition" in value.params:
        operands.append(_constant(value.params["condition"]))
    if value.op == "pow" and is_number(operands[1]) and operands[1].content == 2:
        return "{0} * {0}", operands[:1]
    return FORMULAS[value.op], operands


def _constant(content: Any) -> Value:
    array = np.asarray(content)
    return Value("constant", array.shape, array.dtype, content=content)
