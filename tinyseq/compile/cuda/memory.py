"""memory: the arrays on the GPU that a Plan needs, and what is written to them.

What a captured loop reads and writes stays where it is, for as long as its graph lives: such arrays
are static, allocated once. Results for the caller are arrays of the call.
"""

from __future__ import annotations

from dataclasses import replace
from keyword import iskeyword
from typing import Any

from tinyseq.compile.cuda.boxes import Buffer
from tinyseq.compile.cuda.code import RESERVED, name_of
from tinyseq.compile.cuda.index import is_view
from tinyseq.compile.cuda.lines import Lines
from tinyseq.compile.cuda.plan import Plan
from tinyseq.compile.cuda.values import in_kernel, root_of
from tinyseq.compile.program import Value, in_order
from tinyseq.compile.schedule import Schedule
from tinyseq.ops.shape import _broadcast

BROADCAST: Any = _broadcast.primitive  # type: ignore[attr-defined]


class Memory(Lines):
    """Lines, with a buffer for every value that needs one.

    Attributes:
        memory: the lines that allocate the static arrays, and ``static`` their names.
        own: for each pass, the arrays that are made for the caller.
        arguments: the names of the inputs ("x"), parameters ("p") and cotangents ("gy").
    """

    def __init__(self, schedule: Schedule, steps: int) -> None:
        self.steps = steps
        self.plan = Plan(schedule)
        self.program = self.plan.program
        self.names: set[str] = set()
        self.buffers: dict[int, Buffer] = {}
        self.constants: list[Any] = []
        self.calls: list[tuple[Any, dict[str, Any]]] = []
        self.memory: list[str] = []
        self.static: set[str] = set()
        self.own: dict[str, list[Buffer]] = {"forward": [], "backward": []}
        self.arguments: dict[str, list[str]] = {"x": [], "p": [], "gy": []}

    def name(self, wish: str) -> str:
        """A name that is not taken, like the wish, for Python and for C."""
        base = "".join(c if c.isascii() and c.isalnum() else "_" for c in wish).strip("_") or "v"
        base = base if base[0].isalpha() else "v" + base
        name, number = base, 1
        while name in self.names or name in RESERVED or iskeyword(name):
            number += 1
            name = f"{base}_{number}"
        self.names.add(name)
        return name

    def allocate(self, value: Value, wish: str, rows: int, static: bool = True) -> Buffer:
        """A buffer for a value, in the memory of build() or of the call."""
        buffer = Buffer(self.name(wish), tuple(value.shape), name_of(value.dtype), rows)
        if static:
            self.memory.append(f"{buffer.name} = {empty(buffer)}")
            self.static.add(buffer.name)
        return buffer

    def sources(self) -> None:
        """Buffers for what is passed; static ones for what a loop reads."""
        program, n = self.program, self.steps
        given = {"x": (program.inputs, n), "p": (program.parameters, 0), "gy": (program.seeds_y, n)}
        for letter, (values, rows) in given.items():
            for k, v in enumerate(values):
                looped = id(v) in self.plan.looped
                buffer = self.allocate(v, v.label or f"{letter}{k}", rows, static=looped)
                self.buffers[id(v)] = buffer
                self.arguments[letter].append(buffer.name)
        for k, (state, new) in enumerate(zip(program.states, program.new_states, strict=True)):
            state.label = state.label or new.label or f"s{k}"
            self.buffers[id(state)] = self.allocate(state, state.label, n + 1)
        owners = [*range(len(program.states)), *self.plan.owners]
        for seed, k in zip(program.seeds_state, owners, strict=True):
            buffer = self.allocate(seed, f"g_{program.states[k].label}", n + 1)
            self.buffers[id(seed)] = replace(buffer, shift=1)
        for v in in_order(program.results()):
            if v.kind == "constant" and v.shape:
                buffer = self.allocate(v, v.label or "constant", 0, static=False)
                self.memory.append(f"{buffer.name} = xp.asarray(constants[{len(self.constants)}])")
                self.constants.append(v.content)
                self.buffers[id(v)] = buffer

    def forward_results(self) -> tuple[list[str], list[str]]:
        """Memory for the outputs and new states; the expressions that give them to the caller."""
        program = self.program
        for state, new in zip(program.states, program.new_states, strict=True):
            self.hand_on(new, "forward", replace(self.buffers[id(state)], shift=1), "state")
        outputs = [self.hand_out(v, "forward", f"y{k}") for k, v in enumerate(program.outputs)]
        finals = [f"{self.buffers[id(v)].name}[n].copy()" for v in program.states]
        return outputs, finals

    def backward_results(self) -> tuple[list[str], list[str]]:
        """Memory for the gradients by inputs and states; the expressions that give them."""
        program = self.program
        for seed, grad in zip(program.seeds_state, program.state_grads, strict=True):
            target = replace(self.buffers[id(seed)], shift=0)
            value = _zeros(seed) if grad is None else grad
            self.hand_on(value, "backward", target, "seed_state")
        inputs = [
            "None" if v is None else self.hand_out(v, "backward", f"gx{k}")
            for k, v in enumerate(program.input_grads)
        ]
        first = [f"{self.buffers[id(v)].name}[0]" for v in program.seeds_state]
        carried = [f"{array}.copy()" for array in first]
        for array, k in zip(first[len(program.states) :], self.plan.owners, strict=True):
            carried[k] = f"{carried[k].removesuffix('.copy()')} + {array}"
        return inputs, carried[: len(program.states)]

    def hand_on(self, value: Value, which: str, target: Buffer, kind: str) -> None:
        """Let a step leave what the next one receives where that one looks for it."""
        loop = self.plan.stages[f"{which} loop"]
        if self.plan.stage.get(id(value)) is loop and not is_view(value):
            if id(value) not in self.buffers:
                self.buffers[id(value)] = target
                self.plan.stored[id(value)] = value
                return
        root = root_of(value)
        looped = root.kind == kind or self.plan.stage.get(id(root)) is loop
        self.plan.store(loop if looped else self.plan.stages[f"{which} before"], value, target)

    def hand_out(self, value: Value, which: str, wish: str) -> str:
        """The values of all steps, in memory that is the caller's alone, as an expression."""
        after = self.plan.stages[f"{which} after"]
        home = self.plan.stage.get(id(value))
        varies = home is not None and home.name.startswith(which) and home.place != "once"
        if varies and not is_view(value):
            known = self.buffers.get(id(value))
            if known is None:
                mine = home is after and id(value) not in self.plan.kept
                known = self.allocate(value, value.label or wish, self.steps, static=not mine)
                self.buffers[id(value)] = known
                self.plan.stored[id(value)] = value
                self.plan.kept.add(id(value))
                if mine:
                    self.own[which].append(known)
                    return known.name
            return f"{self.held(known, 'slab')}.copy()"
        target = self.allocate(value, wish, self.steps, static=False)
        self.own[which].append(target)
        self.plan.store(after, value, target)
        return target.name

    def give_memory(self) -> None:
        """Buffers for all that needs one, and a kernel's store for what kernels compute."""
        for value in list(self.plan.stored.values()):
            stage = self.plan.stage[id(value)]
            if id(value) not in self.buffers:
                long = stage.place in ("before", "after") or id(value) in self.plan.kept
                rows = self.steps if long and stage.place != "once" else 0
                self.buffers[id(value)] = self.allocate(value, value.label or value.op, rows)
            if in_kernel(value):
                self.plan.store(stage, value, self.buffers[id(value)])


def empty(buffer: Buffer) -> str:
    """The expression that allocates a buffer."""
    shape = (buffer.rows, *buffer.shape) if buffer.rows else buffer.shape
    return f'xp.empty({shape}, "{buffer.dtype}")'


def _zeros(like: Value) -> Value:
    """A value of zeros."""
    zero = Value("constant", (), like.dtype, content=0.0)
    return Value("result", like.shape, like.dtype, BROADCAST, (zero,), {"shape": like.shape})
