"""emit_numba: a Schedule as NumPy around loops that are compiled to machine code.

    emitted = emit(schedule, steps)
    emitted.source               # the compiled functions, and then build(), as emit_numpy writes it

What is done for all steps at once stays NumPy. What is done step by step is one function: gate
arithmetic in one loop over the elements, and the products with the weights in between. A step that
holds something else is several such functions, with NumPy in between. The functions do not depend
on T or on the batch, and what they are compiled to is kept on disk (see ``compiled_files``).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyseq.backend import flush_tiny
from tinyseq.compile.fused import fused_math, fused_products, fused_sines
from tinyseq.compile.fused.compiled_files import load
from tinyseq.compile.fused.fuse import IDENTITY, Fused, Move
from tinyseq.compile.fused.nests import SINES, Nest, is_fusible
from tinyseq.compile.fused.plans import Call, Plan
from tinyseq.compile.fused.sink import with_sunk
from tinyseq.compile.program import Value
from tinyseq.compile.schedule import Schedule
from tinyseq.compile.writing.lines import _printable
from tinyseq.compile.writing.page import indented
from tinyseq.compile.writing.slots import VIEWS, Slot, bytes_of

OF_LOOPS = {
    fused_math: ("exp", "expm1", "flush", "loop", "maximum", "minimum", "sigmoid", "tanh"),
    fused_products: ("product",),
    fused_sines: ("cos", "sin"),
}
OF_BUILD = {fused_math: ("given",), fused_products: ("dot", "packed")}


@dataclass
class Emitted:
    """The source, and what it refers to by number."""

    functions: str
    builder: str
    constants: list[Any]
    calls: list[Any]

    def __post_init__(self) -> None:
        self.module = load(self.functions)
        self.code = compile(self.builder, "<tinyseq compiled loop>", "exec")

    @property
    def source(self) -> str:
        """All of it, as one page."""
        return f"{self.functions}\n\n{self.builder}"

    def build(self) -> tuple[Any, Any]:
        """forward and backward, over memory of their own."""
        names = dict(vars(self.module))
        exec(self.code, names)
        return names["build"](np, self.constants, self.calls, flush_tiny)


def emit(schedule: Schedule, steps: int) -> Emitted:
    """The source of a schedule for a number of steps."""
    return _Writer(with_sunk(schedule), steps).page()


class _Writer(Fused):
    """Writes the plan of a step as functions, and calls them in place of the lines of the loop."""

    def page(self) -> Emitted:
        """Both parts of the source."""
        self.functions: list[str] = []
        self.brought: set[str] = set()  # arrays of the call that functions read
        self.once_arrays: set[str] = set()
        whole = self.write_all()
        functions = "\n".join(self.functions)
        numpy = "import numpy as np\nfrom numpy import float32, float64"
        functions = "\n".join([numpy, *_imports(OF_LOOPS, functions), functions])
        builder = without_unused(whole.source.replace("    dot = np.dot\n", ""))
        builder = "\n".join([*_imports(OF_BUILD, builder), "", builder])
        return Emitted(functions, builder, self.constants, self.calls)

    def write_forward(self) -> list[str]:
        """As it is, with the call's arrays in the one form for which functions are compiled."""
        lines = super().write_forward()
        return self.with_given(lines, self.program.inputs, self.program.parameters)

    def write_backward(self) -> list[str]:
        """As it is, with the call's arrays in the one form for which functions are compiled."""
        lines = super().write_backward()
        return self.with_given(lines, self.program.seeds_y, self.program.parameters)

    def with_given(self, lines: list[str], every: list[Value], some: list[Value]) -> list[str]:
        """The lines of a function of build(), behind those for its arguments."""
        arrays = [self.slots[id(v)].array for v in every]
        arrays += [a for a in (self.slots[id(v)].array for v in some) if a in self.brought]
        self.brought = set()
        return [lines[0], *(f"    {array} = given({array})" for array in arrays), *lines[1:]]

    def section(self, title: str, values: list[Value]) -> None:
        """What is done once, and after it the matrices of the loop, arranged for the products."""
        super().section(title, values)
        self.once_arrays |= {self.slots[id(v)].array for v in values}
        places = self.schedule.backward if self.backward else self.schedule.forward
        known: dict[tuple[int, bool], str] = {}
        for value in places["loop"]:
            found = self.fixed_matrix(value)
            if found is None:
                continue
            matrix, transposed = found
            key = id(matrix), transposed
            if key not in known:
                text = self.ref(matrix, "step")
                known[key] = self.name(f"{self.title(matrix)}_tiles")
                self.write(f"{known[key]} = packed({text}{'.T' * transposed})")
            self.tiles[id(value)] = known[key]

    def room(self, values: list[Value]) -> int:
        """The bytes that a step reads and writes: of its own values, those that have an array."""
        held = [v for v in values if v.op not in VIEWS and not self.is_passing(v)]
        read = [v for v in self.schedule.saved if v.op not in VIEWS] if self.backward else []
        return sum(bytes_of(v) for v in [*held, *read])

    def is_passing(self, value: Value) -> bool:
        """Whether a value is likely to be a variable in a nest, or a piece of another."""
        users = self.uses.get(id(value), [])
        inside = all(
            self.place[id(u)] == "loop" and (_joins(u) or u.op == "concatenate") for u in users
        )
        return _joins(value) and inside

    # -- the loops -----------------------------------------------------------------------------

    def forward_loop(self, values: list[Value]) -> None:
        """The steps, one after the other."""
        self.find_homes()
        moves = []
        for state, value in zip(self.program.states, self.program.new_states, strict=True):
            target = replace(self.slots[id(state)], shift=1)
            if self.slots.get(id(value)) != target:
                moves.append((state, value, target))
        self.write_loop("forward", "for t in range(lo, hi):", self.plan(values, moves), [])

    def backward_loop(self, values: list[Value], carried: list[str]) -> None:
        """The steps of a chunk, the last one first."""
        self.find_homes()
        moves: list[Move] = []
        copies: list[Value] = []
        grads = zip(carried, self.program.seeds_state, self.program.state_grads, strict=True)
        for name, seed, value in grads:
            if value is None:
                value = Value("constant", (), seed.dtype, content=0.0)
            array = self.slots[id(value)].array if id(value) in self.slots else ""
            if array in carried and array != name:  # all are read before the first is written
                value = Value("result", value.shape, value.dtype, IDENTITY, (value,))
                self.slots[id(value)] = self.allocate(value, "")
                copies.append(value)
            if array != name:
                moves.append((seed, value, Slot(name, "", 0, "call")))
        plan = self.plan([*values, *copies], moves)
        head = "for t in range(hi - 1, lo - 1, -1):"
        self.write_loop("backward", head, plan, carried)

    def write_loop(self, kind: str, head: str, plan: Plan, carried: list[str]) -> None:
        """The loop as one function; as several, if there are lines of NumPy between them."""
        if not any(isinstance(part, list) for part in plan):
            if plan:
                name = self.name(f"{kind}_steps")
                self.body.append(self.function(name, "lo, hi", head, plan, carried))
            return
        self.body.append(head)
        self.indent = "    "
        pending: Plan = []
        for part in [*plan, []]:
            if not isinstance(part, list):
                pending.append(part)
                continue
            if pending:
                name = self.name(f"{kind}_step")
                self.write(self.function(name, "t, lo", "", pending, []))
                pending = []
            for line in part:
                self.write(line)
        if carried:
            self.write("if not t % 8:  # what vanishes ends as denormal numbers, which are slow")
            for name in carried:
                self.write(f"    {name}[...] = flush_tiny({name})")
        self.indent = ""

    def function(self, name: str, span: str, head: str, plan: Plan, carried: list[str]) -> str:
        """Write a function; what is returned is its call."""
        arrays: list[str] = []
        lines: list[str] = []
        for part in plan:
            if isinstance(part, Call):
                arrays += part.arrays
                lines.append(f"{part.text}  # {self.equation(part.value)}")
            elif isinstance(part, Nest):
                arrays += part.arrays()
                lines += part.lines(self.name, self.comment_on)
        if carried:
            lines.append("if not t % 8:  # what vanishes ends as denormal numbers, which are slow")
            lines += [f"    flush({array})" for array in carried]
        arrays = list(dict.fromkeys([*arrays, *carried]))
        self.brought |= set(arrays)
        if head:
            lines = [head, *indented(lines)]
        self.functions += ["", "", "@loop", f"def {name}({', '.join([span, *arrays])}):"]
        self.functions += indented(lines)
        return f"{name}({', '.join([span, *(self.argument(array) for array in arrays)])})"

    def argument(self, array: str) -> str:
        """An array of a function, where it is called."""
        place = re.fullmatch(r"constants_(\d+)", array)
        if place:
            return f"given(constants[{place[1]}])"
        return f"given({array})" if array in self.once_arrays else array

    def comment_on(self, value: Value) -> str:
        """What a line of a nest is in the pictures, and whose it is."""
        known = [value.label or "", value.where.partition(" in ")[2]]
        return _printable(", ".join(word for word in known if word))


def _joins(value: Value) -> bool:
    """Whether a value is likely to be part of a nest."""
    return is_fusible(value) and value.op not in SINES


def without_unused(source: str) -> str:
    """The source without the assignments to names that it does not mention again."""
    lines = source.split("\n")
    while True:
        words = Counter(w for line in lines for w in re.findall(r"\w+", line.partition("  # ")[0]))
        made = [re.match(r" +(\w+) = ", line) for line in lines]
        kept = [
            line for line, name in zip(lines, made, strict=True) if not name or words[name[1]] > 1
        ]
        if len(kept) == len(lines):
            return "\n".join(lines)
        lines = kept


def _imports(names: dict[Any, tuple[str, ...]], source: str) -> list[str]:
    """The lines that import those of the names which a source mentions."""
    words = set(re.findall(r"\w+", source))
    lines = []
    for module, offered in names.items():
        used = sorted(words & {*offered})
        if used:
            lines.append(f"from {module.__name__} import {', '.join(used)}")
    return lines
