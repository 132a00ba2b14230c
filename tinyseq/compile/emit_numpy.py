"""emit_numpy: a Schedule as a page of NumPy.

    emitted = emit(schedule, steps)
    emitted.source                        # def build(np, constants, calls): ... forward, backward

The forward pass keeps what the backward pass will read, in arrays of all T steps. The backward pass
goes back over chunks of steps that fit into the cache: first what can be done for all steps of the
chunk at once, then the loop, then again all steps at once, which is where the gradients of the
parameters come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.backend import flush_tiny
from tinyseq.compile.lines import ELEMENTWISE, VIEWS, Slot, bytes_of, dtype_of
from tinyseq.compile.program import Value
from tinyseq.compile.schedule import Schedule
from tinyseq.compile.sums import Sums

CHUNK_BYTES = 1 << 21  # of the backward pass's own arrays: what fits into a core's cache


@dataclass
class Emitted:
    """The source, and what it refers to by number."""

    source: str
    constants: list[Any]
    calls: list[Any]

    def __post_init__(self) -> None:
        self.code = compile(self.source, "<tinyseq compiled loop>", "exec")

    def build(self) -> tuple[Any, Any]:
        """forward and backward, over memory of their own."""
        names: dict[str, Any] = {}
        exec(self.code, names)
        return names["build"](np, self.constants, self.calls, flush_tiny)


def emit(schedule: Schedule, steps: int) -> Emitted:
    """The source of a schedule for a number of steps."""
    return _Writer(schedule, steps).write_all()


class _Writer(Sums):
    """Puts the lines of a schedule into two functions."""

    # -- the whole -----------------------------------------------------------------------------

    def write_all(self) -> Emitted:
        """The source of build(), with forward() and backward() inside."""
        forward = self.write_forward()
        backward = self.write_backward()
        ufuncs = sorted({line.split("(")[0].strip() for line in [*forward, *backward]} & set(NAMES))
        names = {*ufuncs, "add", "tanh", "multiply", "dot", "empty", "array", "concatenate"}
        head = [f"{name} = np.{name}" for name in [*sorted(names), "broadcast_to", "matmul"]]
        lines = [
            "def build(np, constants, calls, flush_tiny):",
            *_in(head),
            "",
            *_in(self.build),
            "",
        ]
        lines += [*_in(forward), "", *_in(backward), "", "    return forward, backward", ""]
        return Emitted("\n".join(lines), self.constants, self.calls)

    # -- forward -------------------------------------------------------------------------------

    def write_forward(self) -> list[str]:
        """The lines of forward(inputs, states, parameters) -> (outputs, new states, kept)."""
        program, places = self.program, self.schedule.forward
        self.prelude, self.body, self.call_lists = [], [], set()
        given: list[str] = []
        for value in program.inputs:
            slot = self.source(value, "x", "T")
            given.append(slot.array)
        for value in program.states:
            slot = self.source(value, f"s{value.index}", "T")
            given.append(self.name(slot.array + "_start"))
        for value in program.parameters:
            given.append(self.source(value, "p", "").array)
        for state, value in zip(program.states, program.new_states, strict=True):
            array = self.slots[id(state)].array
            if value.kind == "result" and id(value) not in self.slots:
                if self.place[id(value)] == "loop" and value.op not in VIEWS:
                    self.slots[id(value)] = Slot(array, "T", 1, "call", whole=True)
                    state.label = state.label or value.label
        self.assign_slots(places, backward=False)
        self.section("once", places["once"])
        self.comment("for all steps at once", places["before"])
        for value in places["before"]:
            self.slab(value)
        self.comment("step by step", places["loop"])
        self.forward_loop(places["loop"])
        self.comment("for all steps at once", places["after"])
        for value in places["after"]:
            self.slab(value)
        outputs = []
        for k, value in enumerate(program.outputs):
            if self.fresh(value):
                outputs.append(self.ref(value, "slab"))
            else:
                name = self.name(f"y{k}")
                shape = ", ".join(["n", *map(str, value.shape)])
                self.body.append(f"{name} = empty(({shape},), {dtype_of(value)!r})")
                self.body.append(f"{name}[...] = {self.ref(value, 'slab')}")
                outputs.append(name)
        states = [self.slots[id(v)].array for v in program.states]
        inputs = [self.slots[id(v)].array for v in program.inputs]
        self.kept = [*inputs, *states, *self.once_names, *sorted(self.lists_of_views)]
        finals = [f"{array}[n, ...]" for array in states]
        head = [f"n = {self.steps}"]
        starts = given[len(inputs) : len(inputs) + len(states)]
        for state, array, start in zip(program.states, states, starts, strict=True):
            shape = ", ".join([str(self.steps + 1), *map(str, state.shape)])
            head.append(f"{array} = empty(({shape},), {dtype_of(state)!r})")
            head.append(f"{array}[0] = {start}")
        head += [self.list_of(a) for a in sorted(self.call_lists - self.lists_of_views)]
        result = f"return ({_tuple(outputs)}), ({_tuple(finals)}), ({_tuple(self.kept)})"
        return [
            f"def forward({', '.join(given)}):",
            *_in([*head, *self.with_lists(self.prelude), *self.body, result]),
        ]

    def forward_loop(self, values: list[Value]) -> None:
        """The steps, one after the other."""
        program = self.program
        self.body.append("for t in range(n):")
        self.indent = "    "
        for value in values:
            self.step(value)
        for state, value in zip(program.states, program.new_states, strict=True):
            target = Slot(self.slots[id(state)].array, "T", 1, "call")
            if self.slots.get(id(value)) != target:
                self.write(f"{self.sliced(target, state)}[...] = {self.ref(value, 'step')}")
        if self.body[-1] == "for t in range(n):":
            self.write("pass")
        self.indent = ""

    def fresh(self, value: Value) -> bool:
        """Whether a value's array belongs to the call, and so can be given away."""
        slot = self.slots.get(id(value))
        return slot is not None and slot.owner == "call" and slot.whole and value.kind == "result"

    # -- backward ------------------------------------------------------------------------------

    def write_backward(self) -> list[str]:
        """The lines of backward(seeds, kept, parameters) -> gradients."""
        program, places = self.program, self.schedule.backward
        self.backward = True
        own = [v for p in ("before", "loop") for v in places[p]]
        self.chunk = max(1, min(self.steps, max(8, CHUNK_BYTES // max(self.room(own), 1))))
        self.prelude, self.body, self.call_lists = [], [], set()
        given = [self.source(v, f"gy{v.index}", "T").array for v in program.seeds_y]
        carried = []
        for value in program.seeds_state:
            slot = Slot(
                self.name(f"g_{program.new_states[value.index].label or 's'}"), "", 0, "call"
            )
            self.slots[id(value)] = slot
            carried.append(slot.array)
        needed = self.needed_after()
        self.input_arrays: dict[int, str] = {}
        for k in range(len(program.input_grads)):
            self.input_arrays[k] = self.name(f"gx{k}")
        self.carry_in_place(places["loop"], carried)
        self.assign_slots({**places, "after": needed}, backward=True)
        self.section("once", places["once"])
        start = len(self.body)
        self.comment("for all steps of the chunk at once", places["before"])
        for value in places["before"]:
            self.slab(value)
        self.comment("step by step, from the end", places["loop"])
        self.backward_loop(places["loop"], carried)
        self.comment("for all steps of the chunk at once", needed)
        for value in needed:
            self.slab(value)
        for k, grad in enumerate(program.input_grads):
            if grad is not None:
                self.body.append(f"{self.input_arrays[k]}[lo:hi] = {self.ref(grad, 'slab')}")
        grads, zeros = [], []
        same: dict[int, str] = {}  # two biases that are added have one gradient
        for k, grad in enumerate(program.parameter_grads):
            name = self.name(f"d_{program.parameters[k].label or 'p'}")
            grads.append(name if grad is not None else "None")
            if grad is None or same.setdefault(id(grad), name) != name:
                grads[k] = "None" if grad is None else f"{same[id(grad)]}.copy()"
                continue
            zeros.append(f"{name} = np.zeros({grad.shape}, {dtype_of(grad)!r})")
            self.body.append(f"{name} += {self.summed(grad)}")
        inside, once = self.body[start:], self.body[:start]
        head = [f"n = {self.steps}"]
        for k, grad in enumerate(program.input_grads):
            x = program.inputs[k]
            shape = ", ".join([str(self.steps), *map(str, x.shape)])
            if grad is not None:
                head.append(f"{self.input_arrays[k]} = empty(({shape},), {dtype_of(x)!r})")
        ends = [self.name(f"{name}_end") for name in carried]
        head += [f"{name} = {end}.copy()" for name, end in zip(carried, ends, strict=True)]
        head += zeros
        head += [self.list_of(a) for a in sorted(self.call_lists - self.lists_of_views)]
        parameters = [self.slots[id(v)].array for v in program.parameters]
        arguments = [*given, *ends, "kept", *parameters]
        unpack = [f"({_tuple(self.kept)}) = kept"] if self.kept else []
        loop = [
            f"for hi in range(n, 0, -{self.chunk}):",
            *_in([f"lo = max(hi - {self.chunk}, 0)", "n = hi - lo", *inside]),
        ]
        gx = [
            self.input_arrays[k] if v is not None else "None"
            for k, v in enumerate(program.input_grads)
        ]
        result = f"return ({_tuple(gx)}), ({_tuple(carried)}), ({_tuple(grads)})"
        return [
            f"def backward({', '.join(arguments)}):",
            *_in([*unpack, *head, *self.with_lists(self.prelude), *once, *loop, result]),
        ]

    def room(self, values: list[Value]) -> int:
        """The bytes that the backward pass's own values take, a step."""
        return sum(bytes_of(v) for v in values if v.op not in VIEWS)

    def backward_loop(self, values: list[Value], carried: list[str]) -> None:
        """The steps of a chunk, the last one first."""
        self.body.append("for t in range(hi - 1, lo - 1, -1):")
        self.indent = "    "
        for value in values:
            self.step(value)
        self.carry(carried)
        if self.body[-1].startswith("for t in"):
            self.write("pass")
        self.indent = ""

    def carry_in_place(self, loop: list[Value], carried: list[str]) -> None:
        """Let what a step hands back be written where it is read, if by then it has been read."""
        turn = {id(value): k for k, value in enumerate(loop)}
        pairs = zip(self.program.seeds_state, self.program.state_grads, carried, strict=True)
        for seed, value, name in pairs:
            if value is None or id(value) not in turn or id(value) in self.slots:
                continue
            if value.op not in ELEMENTWISE and value.op not in ("matmul", "linear"):
                continue
            if self.is_long(value, "loop", True) or value.shape != seed.shape:
                continue
            if any(seed is handed_on for handed_on in self.program.state_grads):
                continue  # as it is, to another state, after this value would have been written
            late = [
                u for u in self.uses.get(id(seed), []) if turn.get(id(u), -1) >= turn[id(value)]
            ]
            if not late or (late == [value] and value.op in ELEMENTWISE):
                self.slots[id(value)] = Slot(name, "", 0, "call")

    def carry(self, carried: list[str]) -> None:
        """At the end of a step: what the step before is to receive."""
        moves = []
        for name, value in zip(carried, self.program.state_grads, strict=True):
            if value is None:
                moves.append((name, "0"))
            elif self.slots[id(value)].array != name:
                moves.append((name, self.ref(value, "step")))
        for k, (name, text) in enumerate(moves):
            if text in carried:  # one state's cotangent becomes another's: all are read first
                moves[k] = (name, self.name("moved"))
                self.write(f"{moves[k][1]} = {text}.copy()")
        for name, text in moves:
            self.write(f"{name}[...] = {text}")
        if carried:
            self.write("if not t % 8:  # what vanishes ends as denormal numbers, which are slow")
            for name in carried:
                self.write(f"    {name}[...] = flush_tiny({name})")

    # -- lines ---------------------------------------------------------------------------------

    def section(self, title: str, values: list[Value]) -> None:
        """Values that are the same in every step: plain assignments."""
        self.comment(title, values)
        for value in values:
            name = self.name(value.label or value.op)
            self.slots[id(value)] = Slot(name, "", 0, "call", whole=False)
            refs = [self.ref(v, "step") for v in value.inputs]
            assert value.primitive is not None
            if value.op in VIEWS:
                self.write(f"{name} = {self.view(value, refs[0], 'step')}", value)
            else:
                self.calls.append((value.primitive.forward, value.params))
                k = len(self.calls) - 1
                self.write(f"{name} = calls[{k}][0](np, {', '.join(refs)}, **calls[{k}][1])", value)
            self.once_names += [] if self.backward else [name]

    def comment(self, title: str, values: list[Value]) -> None:
        """A heading, if anything follows."""
        if values:
            self.body.append(f"# {title}")

    def slab(self, value: Value) -> None:
        """A value of all steps, unless it is a view of one."""
        slot = self.slots[id(value)]
        if value.op in VIEWS and not slot.whole:
            return
        self.emit(value, "slab", slot.slab(self.backward))

    def step(self, value: Value) -> None:
        """A value of one step, unless it is a view of one."""
        slot = self.slots[id(value)]
        if value.op in VIEWS and not slot.whole:
            return
        self.emit(value, "step", self.sliced(slot, value))

    @property
    def lists_of_views(self) -> set[str]:
        """The arrays of the call that are views, whose lists are made behind their definition."""
        return {line.split(" = ")[0] for line in self.prelude}

    def with_lists(self, prelude: list[str]) -> list[str]:
        """The views of the call's arrays, and the lists of their slices."""
        lines = []
        for line in prelude:
            name = line.split(" = ")[0]
            lines += [line, *([self.list_of(name)] if name in self.call_lists else [])]
        return lines


NAMES = {
    "add", "subtract", "multiply", "divide", "negative", "exp", "expm1", "log", "log1p", "sqrt",
    "sin", "cos", "tanh", "abs", "power", "maximum", "minimum", "greater", "greater_equal", "less",
    "less_equal", "equal", "not_equal", "dot", "matmul",
}  # fmt: skip


def _in(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def _tuple(names: list[str]) -> str:
    return ", ".join(names) + ("," if len(names) == 1 else "")
