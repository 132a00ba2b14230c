"""Memory: which array every value of a schedule is written to.

A value that is needed beyond its step has an array of all steps, any other a single one. What can
be a view is one; the pieces of a concatenation are written where they belong; and an elementwise
value takes over the array of an input that nobody reads any more.
"""

from __future__ import annotations

from tinyseq.compile.program import Value
from tinyseq.compile.schedule import Schedule
from tinyseq.compile.writing.lines import Lines
from tinyseq.compile.writing.slots import ELEMENTWISE, VIEWS, Slot, dtype_of

SPANS = ("", "K", "T")


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
        self.side_by_side: dict[int, str] = {}  # names of values arranged for products
        self.once_names: list[str] = []
        self.flat: set[str] = set()  # arrays of a chunk in which the steps lie side by side
        self.given_away: dict[str, str] = {}  # the outputs' arrays, and the lines that make them
        self.chunk = 1

    def source(self, value: Value, name: str, span: str) -> Slot:
        """The slot of what is passed to the call."""
        slot = Slot(self.name(value.label or name), span, 0, "call")
        self.slots[id(value)] = slot
        return slot

    def assign_slots(self, places: dict[str, list[Value]]) -> None:
        """A slot for every value: shared where a value's input has had its last use."""
        order = [v for place in ("before", "loop", "after") for v in places[place]]
        self.join_pieces(order)
        for value in order:
            if id(value) in self.slots:
                continue
            span = self.span_of(value)
            if value.op in VIEWS and self.as_view(value):
                continue
            shared = self.shared_slot(value, span, self.place[id(value)])
            self.slots[id(value)] = shared or self.allocate(value, span)

    def carry_in_place(self, loop: list[Value], carried: list[str]) -> None:
        """Let what a step hands back be written where it is read, if by then it has been read."""
        turn = {id(value): k for k, value in enumerate(loop)}
        pairs = zip(self.program.seeds_state, self.program.state_grads, carried, strict=True)
        for seed, value, name in pairs:
            if value is None or id(value) not in turn or id(value) in self.slots:
                continue
            if value.op not in ELEMENTWISE and value.op not in ("matmul", "linear"):
                continue
            if self.span_of(value) or value.shape != seed.shape:
                continue
            if any(seed is handed_on for handed_on in self.program.state_grads):
                continue  # as it is, to another state, after this value would have been written
            late = [
                u for u in self.uses.get(id(seed), []) if turn.get(id(u), -1) >= turn[id(value)]
            ]
            if not late or (late == [value] and value.op in ELEMENTWISE):
                self.slots[id(value)] = Slot(name, "", 0, "call")

    def allocate(self, value: Value, span: str) -> Slot:
        """A new array: in build(), or in every call if it is given away."""
        name = self.name(self.wish(value))
        if span == "T" and any(value is v for v in self.program.outputs):
            self.given_away[name] = self.array_line(name, value, "T")
            return Slot(name, span, owner="call")
        self.build.append(self.array_line(name, value, span))
        return Slot(name, span)

    def wish(self, value: Value) -> str:
        """The name that a value should have: its own, or one after what it is made from."""
        words = {"getitem": "piece", "transpose": "T", "reshape": "as", "copy": "all"}
        fixed = id(value) in self.fixed
        if value.label or not (value.op in words or fixed):
            return value.label or value.op
        known = [self.slots[id(v)].array for v in value.inputs if id(v) in self.slots]
        return "_".join([*known[:1], words.get(value.op, value.op)])

    def array_line(self, name: str, value: Value, span: str) -> str:
        """The line that makes an array for a value of one step, of a chunk, or of all steps."""
        shape = [str(size) for size in value.shape]
        dtype = repr(dtype_of(value))
        if span == "K" and self.lies_flat(value):
            self.flat.add(name)
            first, *rest = shape
            shape = [first, str(self.chunk), *rest]
            return f"{name} = empty(({', '.join(shape)}), {dtype}).swapaxes(0, 1)"
        lead = {"T": ["T"], "K": [str(self.chunk)], "": []}[span]
        shown = ", ".join([*lead, *shape]) + "," * (len(lead + shape) == 1)
        return f"{name} = empty(({shown}), {dtype})"

    def lies_flat(self, value: Value) -> bool:
        """Whether a value is had for all steps by one product, which leaves them side by side."""
        outside = self.place[id(value)] != "loop" and len(value.shape) == 2
        return value.op == "matmul" and outside and not self.varies(value.inputs[0])

    def span_of(self, value: Value) -> str:
        """ "T" if the other pass reads a value, "K" if something outside the loop does, else ""."""
        users = self.uses.get(id(value), [])
        gradients = [*self.program.input_grads, *self.program.parameter_grads]
        if not self.backward:
            if id(value) in self.saved or any(value is v for v in self.program.outputs):
                return "T"
        elif any(value is v for v in gradients):
            return "K"
        outside = [v for v in (value, *users) if self.place[id(v)] != "loop"]
        spans = ["K" if outside else ""]
        # a view keeps what it is a view of
        spans += [self.span_of(user) for user in users if user.op in VIEWS]
        return max(spans, key=SPANS.index)

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
        if value.op == "transpose" and base.kind == "seed_y" and self.read_in_loop(value):
            return False  # turned round for all steps at once, it is read faster in each
        name = self.name(self.wish(value))
        mode = "slab" if slot.span else "step"
        expression = self.view(value, slot.array, mode).replace("(n, ", f"(len({slot.array}), ")
        if value.op == "broadcast_to" and slot.span:
            return False
        self.slots[id(value)] = self.view_slot(slot, name, expression)
        self.flat |= {name} if slot.array in self.flat else set()
        return True

    def read_in_loop(self, value: Value) -> bool:
        """Whether a step reads a value."""
        return any(self.place[id(user)] == "loop" for user in self.uses.get(id(value), []))

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
                and SPANS.index(slot.span) >= SPANS.index(span)
                and self.is_last_use(v, value)
                and (self.place[id(v)] == where or slot.span)
                and where != "after"
                and not slot.shift
                and (slot.array not in self.flat or where == "before")
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

    def join_pieces(self, order: list[Value]) -> None:
        """Let pieces of a concatenation be written where they belong."""
        inside = {id(v) for v in order}
        for value in order:
            if value.op != "concatenate" or id(value) in self.slots:
                continue
            slot = self.slots[id(value)] = self.allocate(value, self.span_of(value))
            axis, start, placed = value.params["axis"], 0, set()
            for k, piece in enumerate(value.inputs):
                end = start + piece.shape[axis]
                if id(piece) in inside and self.fits(piece, value, slot):
                    index = ", ".join((":",) * (axis + bool(slot.span)) + (f"{start}:{end}",))
                    name = self.name(piece.label or f"{slot.array}_{k}")
                    self.slots[id(piece)] = self.view_slot(slot, name, f"{slot.array}[{index}]")
                    placed.add(k)
                start = end
            self.placed[id(value)] = placed

    def fits(self, piece: Value, whole: Value, slot: Slot) -> bool:
        """Whether a value may live in its part of a concatenation."""
        return (
            piece.op in ELEMENTWISE
            and id(piece) not in self.slots
            and self.place[id(piece)] == self.place[id(whole)]
            and whole.inputs.count(piece) == 1
            and dtype_of(piece) == dtype_of(whole)
            and SPANS.index(self.span_of(piece)) <= SPANS.index(slot.span)
            and not any(piece is r for r in self.results())
        )


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
