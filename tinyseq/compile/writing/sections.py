"""Sections: what a function does once, for all steps of a chunk, and in a step."""

from __future__ import annotations

from tinyseq.compile.program import Value
from tinyseq.compile.writing.slots import UFUNCS, VIEWS, Slot
from tinyseq.compile.writing.sums import Sums


class Sections(Sums):
    """Sums, with the parts of a function that values are written into."""

    def section(self, title: str, values: list[Value]) -> None:
        """Values that are the same in every step: plain assignments."""
        self.comment(title, values)
        for value in values:
            name = self.name(self.wish(value))
            self.slots[id(value)] = Slot(name, "", 0, "call", whole=False)
            self.write(f"{name} = {self.expression(value)}", value)
            self.once_names += [] if self.backward else [name]

    def expression(self, value: Value) -> str:
        """A value as a new array."""
        refs = [self.ref(v, "step") for v in value.inputs]
        if value.op in VIEWS:
            return self.view(value, refs[0], "step")
        if value.op == "copy":
            base = refs[0]
            repeated = value.shape != value.inputs[0].shape
            return f"broadcast_to({base}, {value.shape}).copy()" if repeated else f"{base}.copy()"
        if value.op in UFUNCS and value.shape:
            return f"{UFUNCS[value.op]}({', '.join(refs)})"
        assert value.primitive is not None
        self.calls.append((value.primitive.forward, value.params))
        k = len(self.calls) - 1
        return f"calls[{k}][0](np, {', '.join(refs)}, **calls[{k}][1])"

    def comment(self, title: str, values: list[Value]) -> None:
        """A heading, if anything follows."""
        if values:
            self.body.append(f"# {title}")

    def slab(self, value: Value) -> None:
        """A value of all steps, unless it is a view of one."""
        slot = self.slots[id(value)]
        if value.op in VIEWS and not slot.whole:
            return
        self.emit(value, "slab", slot.slab())

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
