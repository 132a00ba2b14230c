"""Memory: which array every value of a schedule is written to.

A value that is needed beyond its step has an array of all steps, any other a single one. What can
be a view is one; the pieces of a concatenation are written where they belong; and an elementwise
value takes over the array of an input that nobody reads any more.
"""

from __future__ import annotations

from tinyseq.compile.lines import ELEMENTWISE, VIEWS, Lines, Slot, dtype_of
from tinyseq.compile.program import Value
from tinyseq.compile.schedule import Schedule


class Memory(Lines):
    """Lines, with the slots of a schedule's values."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        super().__init__()
        self.schedule = schedule
        self.program = schedule.program
        self.steps = steps
        self.uses: dict[int, list[Value]] = {}
        for places in (schedule.forward, schedule.backward):
            for values in places.values():
                for value in values:
                    for v in value.inputs:
                        self.uses.setdefault(id(v), []).append(value)
        self.saved = {id(v) for v in schedule.saved}
        self.place = {
            id(v): where
            for places in (schedule.forward, schedule.backward)
            for where, values in places.items()
            for v in values
        }
        self.fixed = {id(v) for p in (schedule.forward, schedule.backward) for v in p["once"]} | {
            id(v) for v in self.program.parameters
        }
        self.once_names: list[str] = []
        self.chunk = 1

    def source(self, value: Value, name: str, span: str) -> Slot:
        """The slot of what is passed to the call."""
        slot = Slot(self.name(value.label or name), span, 0, "call")
        self.slots[id(value)] = slot
        return slot

    def assign_slots(self, places: dict[str, list[Value]], backward: bool) -> None:
        """A slot for every value: shared where a value's input has had its last use."""
        span = "K" if backward else "T"
        order = [v for place in ("before", "loop", "after") for v in places[place]]
        self.join_pieces(order, span)
        for value in order:
            if id(value) in self.slots:
                continue
            where = self.place[id(value)]
            long = span if self.is_long(value, where, backward) else ""
            if value.op in VIEWS and self.as_view(value):
                continue
            shared = self.shared_slot(value, long, where)
            if shared is not None:
                self.slots[id(value)] = shared
                continue
            self.slots[id(value)] = self.allocate(value, long)

    def allocate(self, value: Value, span: str) -> Slot:
        """A new array, allocated in build()."""
        slot = Slot(self.name(value.label or value.op), span)
        lead = {"T": [str(self.steps)], "K": [str(self.chunk)], "": []}[span]
        shape = ", ".join([*lead, *map(str, value.shape)])
        self.build.append(
            f"{slot.array} = empty(({shape}{',' * bool(shape)}), {dtype_of(value)!r})"
        )
        return slot

    def is_long(self, value: Value, where: str, backward: bool) -> bool:
        """Whether a value is kept for every step: made or read outside the loop."""
        if where != "loop" or (not backward and id(value) in self.saved):
            return True
        if not backward and any(value is v for v in self.program.outputs):
            return True
        if backward and any(value is v for v in self.program.backward_results()):
            results = [*self.program.input_grads, *self.program.parameter_grads]
            if any(value is v for v in results):
                return True
        if any(self.place[id(user)] != "loop" for user in self.uses.get(id(value), [])):
            return True
        # a view keeps what it is a view of
        return any(
            self.is_long(user, self.place[id(user)], backward)
            for user in self.uses.get(id(value), [])
            if user.op in VIEWS
        )

    def as_view(self, value: Value) -> bool:
        """Give a view a slot that is a view, if its base stays where it is."""
        (base,) = value.inputs
        slot = self.slots.get(id(base))
        if slot is None or (value.op == "reshape" and not slot.whole) or slot.shift:
            return False
        if value.op == "broadcast_to" and len(value.shape) != len(base.shape):
            return False
        if not slot.span and base.kind == "seed_state":
            return False
        name = self.name(value.label or f"{slot.array}_{value.op}")
        mode = "slab" if slot.span else "step"
        expression = self.view(value, slot.array, mode).replace("(n, ", f"(len({slot.array}), ")
        if value.op == "broadcast_to" and slot.span:
            return False
        self.slots[id(value)] = self.view_slot(slot, name, expression)
        return True

    def shared_slot(self, value: Value, span: str, where: str) -> Slot | None:
        """The slot of an input that nobody reads any more, for an elementwise value."""
        if value.op not in ELEMENTWISE:
            return None
        for v in value.inputs:
            slot = self.slots.get(id(v))
            if (
                slot is not None
                and v.kind == "result"
                and v.shape == value.shape
                and dtype_of(v) == dtype_of(value)
                and slot.owner == "build"
                and len(slot.span) >= len(span)
                and self.is_last_use(v, value)
                and (self.place[id(v)] == where or slot.span)
                and where != "after"
                and not slot.shift
            ):
                return slot
        return None

    def is_last_use(self, v: Value, value: Value) -> bool:
        """Whether ``value`` alone reads ``v``, and nothing else reads ``v``'s memory."""
        if [u for u in self.uses.get(id(v), []) if u is not value] or id(v) in self.saved:
            return False
        if value.inputs.count(v) != 1 or any(v is r for r in self.results()):
            return False
        if v.op in VIEWS:
            if v.op != "getitem" or self.place.get(id(v)) is None:
                return False
            base = v.inputs[0]
            others = [u for u in self.uses.get(id(base), []) if u is not v]
            if (
                base.kind != "result"
                or id(base) in self.saved
                or any(base is r for r in self.results())
            ):
                return False
            return all(u.op == "getitem" and _disjoint(u, v) for u in others) and not self.aliased(
                base
            )
        return not self.aliased(v)

    def aliased(self, v: Value) -> bool:
        """Whether another living value shares the slot: then it must not be written."""
        slot = self.slots.get(id(v))
        return slot is not None and slot.owner != "build"

    def results(self) -> list[Value]:
        """Everything that leaves the step."""
        return self.program.forward_results() + self.program.backward_results()

    def join_pieces(self, order: list[Value], span: str) -> None:
        """Let pieces of a concatenation be written where they belong, if that is all they do."""
        for value in order:
            if value.op != "concatenate" or id(value) in self.slots:
                continue
            where = self.place[id(value)]
            long = span if self.is_long(value, where, span == "K") else ""
            slot = self.slots[id(value)] = self.allocate(value, long)
            axis, start, placed = value.params["axis"], 0, set()
            for k, piece in enumerate(value.inputs):
                end = start + piece.shape[axis]
                alone = self.uses.get(id(piece)) == [value] and value.inputs.count(piece) == 1
                inside = any(piece is v for v in order) and piece.op in ELEMENTWISE
                if (
                    alone
                    and inside
                    and self.place[id(piece)] == where
                    and not any(piece is r for r in self.results())
                ):
                    index = ", ".join((":",) * (axis + bool(long)) + (f"{start}:{end}",))
                    name = self.name(piece.label or f"{slot.array}_{k}")
                    self.slots[id(piece)] = self.view_slot(slot, name, f"{slot.array}[{index}]")
                    placed.add(k)
                start = end
            self.placed[id(value)] = placed


def _disjoint(a: Value, b: Value) -> bool:
    """Whether two slices of one base share no element."""
    first, second = a.params["index"], b.params["index"]
    if not isinstance(first, tuple) or not isinstance(second, tuple) or len(first) != len(second):
        return False
    for p, q in zip(first, second, strict=True):
        if (
            isinstance(p, slice)
            and isinstance(q, slice)
            and p != q
            and None not in (p.stop, q.stop)
        ):
            if (p.start or 0) >= q.stop or (q.start or 0) >= p.stop:
                return True
    return False
