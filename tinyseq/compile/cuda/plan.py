"""plan: which launches a GPU makes for a schedule, and what is in memory between them.

Elementwise values are fused: between two products there is one kernel, however many values lie
there. A value gets memory only if something outside of its kernel reads it: a product, a kernel
behind a product, another place of the schedule, or the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tinyseq.compile.cuda.boxes import Buffer, Store
from tinyseq.compile.cuda.carry import in_parts
from tinyseq.compile.cuda.index import is_view, slices_of
from tinyseq.compile.cuda.sums import total
from tinyseq.compile.cuda.values import apart, in_kernel, operands, root_of, size_of
from tinyseq.compile.program import Program, Value, in_order
from tinyseq.compile.schedule import PLACES, Schedule, schedule


@dataclass
class Stage:
    """The values of one place of one pass.

    Attributes:
        name: "forward once", "forward before" ... "backward after".
        values: in order.
        stores: what a kernel is to leave in memory, by level: the kernel of a level runs after the
            products of that level, which run after the kernel of the level before.
    """

    name: str
    values: list[Value]
    stores: dict[int, list[Store]] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """One of PLACES."""
        return self.name.split()[1]


class Plan:
    """What is computed where, for a schedule; ``emit_cupy`` writes it down.

    Attributes:
        stages: by name.
        level: of every value, by id, in its stage.
        stored: the values that need memory, by id; ``kept`` those of them of which all steps do.
        owners: whose parts the carried cotangents behind those of the states are.
        looped: the sources that a loop reads: a captured loop reads from where it was captured.
    """

    def __init__(self, given: Schedule) -> None:
        program, self.owners = in_parts(apart(given.program))
        made = schedule(program)
        self.program: Program = made.program
        self.after = {id(v) for v in made.backward["after"]}
        self.fixed = {id(v) for p in (made.forward, made.backward) for v in p["once"]}
        self.stages = {
            f"{which} {place}": Stage(f"{which} {place}", list(places[place]))
            for which, places in (("forward", made.forward), ("backward", made.backward))
            for place in PLACES
        }
        self.stages["backward after"].values = self._needed_after()
        self.uses: dict[int, list[Value]] = {}
        for stage in self.stages.values():
            for value in stage.values:
                for v in value.inputs:
                    self.uses.setdefault(id(v), []).append(value)
        self.results = {id(v) for v in self.program.results()}
        for which in ("forward", "backward"):
            self._sink(self.stages[f"{which} before"], self.stages[f"{which} loop"])
        self.stage = {id(v): s for s in self.stages.values() for v in s.values}
        self.level: dict[int, int] = {}
        for stage in self.stages.values():
            for value in stage.values:
                self.level[id(value)] = self._level(value, stage)
        self.stored: dict[int, Value] = {}
        self.kept: set[int] = set()
        self.looped: set[int] = set()
        for stage in self.stages.values():
            for value in stage.values:
                self._read_operands(value, stage)
        for leaf in self.summed_leaves():
            self.read_array(leaf, self.stages["backward after"], outside=True)

    # -- the schedule, made ready ------------------------------------------------------------------

    def summed_leaves(self) -> list[Value]:
        """What the sums over the steps are made from."""
        leaves: list[Value] = []

        def read(value: Value) -> str:
            leaves.append(value)
            return ""

        for value in self.program.parameter_grads:
            if value is not None:
                total(value, self.after, self.varies, read)
        return leaves

    def varies(self, value: Value) -> bool:
        """Whether a value differs from step to step."""
        return value.kind not in ("parameter", "constant") and id(value) not in self.fixed

    def _needed_after(self) -> list[Value]:
        """Of what comes after the loop, what is not only met on the way to a sum over the steps."""
        wanted = [v for v in self.program.input_grads if v is not None] + self.summed_leaves()
        needed = {id(v) for v in in_order(wanted)}
        return [v for v in self.stages["backward after"].values if id(v) in needed]

    def _sink(self, before: Stage, loop: Stage) -> None:
        """Elementwise values that only the loop's kernels read are computed there, in registers."""
        inside = {id(v) for v in loop.values}
        sunk = []
        for value in reversed(before.values):
            users = self.uses.get(id(value), [])
            if (
                id(value) not in self.results
                and in_kernel(value)
                and value.op != "take"
                and users
                and all(id(u) in inside and in_kernel(u) for u in users)
                and all(size_of(u) <= size_of(value) or is_view(value) for u in users)
            ):
                inside.add(id(value))
                sunk.append(value)
        loop.values[:0] = reversed(sunk)
        before.values = [v for v in before.values if id(v) not in inside]

    # -- levels ------------------------------------------------------------------------------------

    def _level(self, value: Value, stage: Stage) -> int:
        """The kernel that computes a value, or the one before which a product runs."""
        if is_view(value):
            return self.ready(value, stage)
        elements, arrays = operands(value)
        levels = [self.ready(v, stage) for v in elements]
        levels += [self._array_ready(v, stage) for v in arrays]
        return max(levels, default=0)

    def ready(self, value: Value, stage: Stage) -> int:
        """The first kernel of a stage that can have the elements of a value."""
        root = root_of(value)
        if root.op == "reshape":
            return self._array_ready(root, stage)
        return self.level[id(root)] if self.stage.get(id(root)) is stage else 0

    def _array_ready(self, value: Value, stage: Stage) -> int:
        """The first product, or kernel, of a stage that can read a value from memory."""
        base = self.array_of(value)
        if self.stage.get(id(base)) is not stage:
            return 0
        return self.level[id(base)] + in_kernel(base)

    def array_of(self, value: Value) -> Value:
        """What a value is a view of that lies in one piece and can be had by CuPy for nothing."""
        while value.op in ("identity", "reshape") or self._is_rows(value):
            value = value.inputs[0]
        return value

    def _is_rows(self, value: Value) -> bool:
        """Whether a value is some rows of what is the same in every step."""
        if value.op != "getitem" or not is_view(value) or self.varies(value):
            return False
        first, *rest = slices_of(value)
        return (
            isinstance(first, slice)
            and first.step in (None, 1)
            and all(part == slice(None) for part in rest)
        )

    # -- what is in memory -------------------------------------------------------------------------

    def _read_operands(self, value: Value, stage: Stage) -> None:
        if is_view(value):
            return
        elements, arrays = operands(value)
        if not in_kernel(value):
            self.stored[id(value)] = value
        for v in elements:
            self.read(v, stage, self.level[id(value)])
        for v in arrays:
            self.read_array(v, stage)

    def read(self, value: Value, stage: Stage, level: int) -> None:
        """A kernel of a stage reads a value: from memory, unless it computes it itself."""
        root = root_of(value)
        if root.op == "reshape":
            self.read_array(root, stage)
        elif root.kind != "result":
            self._read_source(root, stage)
        elif self.stage[id(root)] is not stage:
            self.stored[id(root)] = root
            self.kept.add(id(root))
        elif not in_kernel(root) or self.level[id(root)] < level:
            self.stored[id(root)] = root

    def read_array(self, value: Value, stage: Stage, outside: bool = False) -> None:
        """A product, or the caller, reads the array of a value."""
        base = self.array_of(value)
        if base.kind != "result":
            self._read_source(base, stage)
            return
        home = self.stage[id(base)]
        self.stored[id(base)] = base
        if home is not stage or outside:
            self.kept.add(id(base))
        if is_view(base):
            self.read(base.inputs[0], home, self.level[id(base)])

    def _read_source(self, value: Value, stage: Stage) -> None:
        if stage.place == "loop":
            self.looped.add(id(value))

    def store(self, stage: Stage, value: Value, buffer: Buffer) -> None:
        """Have a kernel of a stage write a value, as soon as it can be had."""
        known = self.stage.get(id(value)) is stage and in_kernel(value) and not is_view(value)
        level = self.level[id(value)] if known else self.ready(value, stage)
        self.read(value, stage, level)
        stage.stores.setdefault(level, []).append(Store(buffer, value))

    def source(
        self, value: Value, stage: Stage, level: int, buffers: dict[int, Buffer]
    ) -> Buffer | None:
        """Where the kernel of a level of a stage reads a value; None if it computes it."""
        if value.kind == "constant" and not value.shape:
            return None
        if value.op == "reshape" and not is_view(value):
            return replace(buffers[id(self.array_of(value))], shape=value.shape)
        if is_view(value):
            return None
        inside = self.stage.get(id(value)) is stage
        if inside and in_kernel(value) and self.level[id(value)] == level:
            return None
        return buffers[id(value)]
