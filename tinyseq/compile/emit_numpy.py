"""emit_numpy: a Schedule as a page of NumPy.

    emitted = emit(schedule, steps)
    emitted.source              # def build(np, constants, ...): ... return forward, backward

Both passes go over chunks of steps that fit into the cache: first what can be done for all steps of
the chunk at once, then the loop, then again all steps at once, which is, in the backward pass,
where the gradients of the parameters come from. What the backward pass will read of the forward
pass is kept in arrays of all T steps. Within a step, a matrix (N, F) lies as (F, N): see
``columns``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyseq.backend import flush_tiny
from tinyseq.compile.columns import columns
from tinyseq.compile.program import Value
from tinyseq.compile.schedule import Schedule
from tinyseq.compile.writing.page import FROM_NUMPY, as_tuple, indented, words
from tinyseq.compile.writing.sections import Sections
from tinyseq.compile.writing.slots import VIEWS, Slot, bytes_of, dtype_of

CHUNK_BYTES = 1 << 21  # of what a chunk holds: about what fits into a core's cache

PRODUCTS = "from tinyseq.compile.writing.products import products"


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
    return _Writer(columns(schedule), steps).write_all()


class _Writer(Sections):
    """Puts the lines of a schedule into two functions."""

    # -- the whole -----------------------------------------------------------------------------

    def write_all(self) -> Emitted:
        """The source of build(), with forward() and backward() inside."""
        forward = self.write_forward()
        backward = self.write_backward()
        used = words(backward)
        kept = [name for name in self.kept if name in used or f"{name}_" in used]
        forward[-1] += f", {as_tuple(kept)}"
        backward[1:1] = [f"    {as_tuple(kept)} = kept"] if kept else []
        used = words([*self.build, *forward, *backward])
        lines = [
            *["from tinyseq.compile.writing.products import products", "", ""]
            * ("products" in used),
            "def build(np, constants, calls, flush_tiny):",
            f"    T = {self.steps}",
            *(f"    {name} = np.{name}" for name in sorted(FROM_NUMPY & used)),
            "",
            *indented(self.build),
            "",
        ]
        lines += [
            *indented(forward),
            "",
            *indented(backward),
            "",
            "    return forward, backward",
            "",
        ]
        return Emitted("\n".join(lines), self.constants, self.calls)

    # -- forward -------------------------------------------------------------------------------

    def write_forward(self) -> list[str]:
        """The lines of forward(inputs, states, parameters) -> (outputs, new states, kept)."""
        program, places = self.program, self.schedule.forward
        self.backward = False
        self.prelude, self.body, self.call_lists = [], [], set()
        self.chunk = self.steps_at_once(places["before"])
        inputs = [self.source(value, "x", "T").array for value in program.inputs]
        starts = self.place_states()
        parameters = [self.source(value, "p", "").array for value in program.parameters]
        self.assign_slots(places)
        self.section("once", places["once"])
        start = len(self.body)
        self.comment("for all steps of the chunk at once", places["before"])
        for value in places["before"]:
            self.slab(value)
        self.comment("step by step", places["loop"])
        self.forward_loop(places["loop"])
        self.comment("for all steps of the chunk at once", places["after"])
        for value in places["after"]:
            self.slab(value)
        outputs = [self.output(value, f"y{k}") for k, value in enumerate(program.outputs)]
        inside, once = self.body[start:], self.body[:start]
        made = list(self.given_away.values())
        for state, name in zip(program.states, starts, strict=True):
            made.append(f"{self.slots[id(state)].array}[0] = {name}{turned(state)}")
        lists = [self.list_of(a) for a in sorted(self.call_lists - self.lists_of_views)]
        self.kept = [*inputs, *self.given_away, *self.once_names, *sorted(self.lists_of_views)]
        finals = [f"{self.slots[id(v)].array}[T, ...]{turned(v)}.copy()" for v in program.states]
        loop = [
            f"for lo in range(0, T, {self.chunk}):",
            *indented([f"hi = min(lo + {self.chunk}, T)", "n = hi - lo", *inside]),
        ]
        result = f"return {as_tuple(outputs)}, {as_tuple(finals)}"
        return [
            f"def forward({', '.join([*inputs, *starts, *parameters])}):",
            *indented([*made, *lists, *self.with_lists(self.prelude), *once, *loop, result]),
        ]

    def place_states(self) -> list[str]:
        """Slots for the states and, where a step makes one, for the next; names for the first."""
        program, starts = self.program, []
        for state, value in zip(program.states, program.new_states, strict=True):
            name = self.name(value.label or state.label or f"s{state.index}")
            self.slots[id(state)] = Slot(name, "T", 0, "state")
            starts.append(self.name(f"{name}_start"))
            if value.kind == "result" and id(value) not in self.slots:
                if self.schedule.place(value) == "loop" and value.op not in VIEWS:
                    self.slots[id(value)] = Slot(name, "T", 1, "state")
                    state.label = state.label or value.label
            shape = ", ".join(["T + 1", *map(str, state.shape)]) + "," * (not state.shape)
            self.build.append(f"{name} = empty(({shape}), {dtype_of(state)!r})")
        return starts

    def output(self, value: Value, wish: str) -> str:
        """The array of an output: the one the loop writes, or a copy of what it is."""
        slot = self.slots.get(id(value))
        if slot is not None and slot.array in self.given_away:
            return slot.array
        name = self.name(wish)
        self.given_away[name] = self.array_line(name, value, "T")
        self.body.append(f"{name}[lo:hi] = {self.ref(value, 'slab')}")
        return name

    def forward_loop(self, values: list[Value]) -> None:
        """The steps, one after the other."""
        program = self.program
        self.body.append("for t in range(lo, hi):")
        self.indent = "    "
        for value in values:
            self.step(value)
        for state, value in zip(program.states, program.new_states, strict=True):
            target = replace(self.slots[id(state)], shift=1)
            if self.slots.get(id(value)) != target:
                self.write(f"{self.sliced(target, state)}[...] = {self.ref(value, 'step')}")
        if self.body[-1].startswith("for t in"):
            self.write("pass")
        self.indent = ""

    # -- backward ------------------------------------------------------------------------------

    def write_backward(self) -> list[str]:
        """The lines of backward(seeds, kept, parameters) -> gradients."""
        program, places = self.program, self.schedule.backward
        self.backward = True
        self.chunk = self.steps_at_once(places["before"] + places["loop"])
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
        self.assign_slots({**places, "after": needed})
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
        head = [
            self.array_line(self.input_arrays[k], program.inputs[k], "T")
            for k, grad in enumerate(program.input_grads)
            if grad is not None
        ]
        ends = [self.name(f"{name}_end") for name in carried]
        head += [
            f"{name} = {end}{turned(seed)}.copy()"
            for name, end, seed in zip(carried, ends, program.seeds_state, strict=True)
        ]
        head += zeros
        head += [self.list_of(a) for a in sorted(self.call_lists - self.lists_of_views)]
        parameters = [self.slots[id(v)].array for v in program.parameters]
        arguments = [*given, *ends, "kept", *parameters]
        loop = [
            f"for hi in range(T, 0, -{self.chunk}):",
            *indented([f"lo = max(hi - {self.chunk}, 0)", "n = hi - lo", *inside]),
        ]
        gx = [
            self.input_arrays[k] if v is not None else "None"
            for k, v in enumerate(program.input_grads)
        ]
        starts = [
            name + (f"{turned(seed)}.copy()" if turned(seed) else "")
            for name, seed in zip(carried, program.seeds_state, strict=True)
        ]
        result = f"return {as_tuple(gx)}, {as_tuple(starts)}, {as_tuple(grads)}"
        return [
            f"def backward({', '.join(arguments)}):",
            *indented([*head, *self.with_lists(self.prelude), *once, *loop, result]),
        ]

    def steps_at_once(self, values: list[Value]) -> int:
        """How many steps of some values fit into a chunk."""
        most = max(8, CHUNK_BYTES // max(self.room(values), 1))
        chunks = -(-self.steps // most)
        return max(1, -(-self.steps // chunks))

    def room(self, values: list[Value]) -> int:
        """The bytes that values take, a step."""
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


def turned(state: Value) -> str:
    """What turns a state as it is passed into the state as the loop has it, and back."""
    return ".T" if state.params.get("turned") else ""
