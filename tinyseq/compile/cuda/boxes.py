"""boxes: what the threads of a kernel compute, and in which groups.

A kernel is told what to store where. What lies between those values and what is in memory already
is worked out in the thread, in registers: a value that is needed at another place as well is
computed there again, so that no thread waits for another. A concatenation is cut where its pieces
meet, a value where slices of it begin and end; boxes of one shape then share their threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import prod

from tinyseq.compile.cuda.index import Axis, Index, broadcast, is_view, through, whole
from tinyseq.compile.program import Value

MOST_BOXES = 16  # into which a value is cut only to share threads with others


@dataclass(frozen=True)
class Buffer:
    """An array on the GPU, in one piece, that holds a value.

    Attributes:
        name: in the kernels and on the page.
        shape, dtype: of the value in one step.
        rows: how many steps the array holds; 0 if it holds the value of one, without a time axis.
        shift: 1 for what a step hands on, in an array that begins with the initial state.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    rows: int = 0
    shift: int = 0

    def element(self, place: str) -> str:
        """The element at a place of the step's array, in C."""
        if not self.rows:
            return f"{self.name}[{place}]"
        size = prod(self.shape)
        time = f"(t + {self.shift})" if self.shift else "t"
        row = f"{time} * {size}" if size > 1 else time.strip("()")
        return f"{self.name}[{row}{'' if place == '0' else ' + ' + place}]"


@dataclass(frozen=True)
class Store:
    """A value that is to be in memory after the kernel."""

    buffer: Buffer
    value: Value


@dataclass(frozen=True)
class Box:
    """A part of a value to be stored, with the coordinates of a thread for each of its elements."""

    store: Store
    start: tuple[int, ...]
    shape: tuple[int, ...]


class _Cut(Exception):
    """Along an axis of a box, elements before this coordinate are made in another way."""

    def __init__(self, axis: int, at: int) -> None:
        self.axis, self.at = axis, at


class Fusion:
    """The values that a kernel works out, from its stores back to what is in memory.

    Args:
        stores: what it leaves in memory.
        source: for a value, the Buffer it can be read from; None if it is to be computed.

    Attributes:
        order: the values, makers first.
        groups: the boxes of each shape.
    """

    def __init__(self, stores: list[Store], source: Callable[[Value], Buffer | None]) -> None:
        self.source = source
        self.order = self._in_order([store.value for store in stores])
        self.groups: dict[tuple[int, ...], list[Box]] = {}
        for store in stores:
            for box in self._boxes(store):
                self.groups.setdefault(box.shape, []).append(box)

    def _in_order(self, values: list[Value]) -> list[Value]:
        """What the values are made from, as far as it is not read from memory; makers first."""
        order: list[Value] = []
        done: set[int] = set()
        stack = [(value, False) for value in reversed(values)]
        while stack:
            value, ready = stack.pop()
            if id(value) in done:
                continue
            if ready:
                done.add(id(value))
                order.append(value)
                continue
            stack.append((value, True))
            stack += [(v, False) for v in reversed(self.made_from(value))]
        return order

    def made_from(self, value: Value) -> tuple[Value, ...]:
        return () if value.kind == "constant" or self.source(value) else value.inputs

    def _boxes(self, store: Store) -> list[Box]:
        """The value to be stored, cut into boxes of which each is made in one way."""
        shape = store.value.shape
        if not prod(shape):
            return []
        cuts = [sorted({0, n, *c}) for n, c in zip(shape, self._cuts(store.value), strict=True)]
        if prod(len(c) - 1 for c in cuts) > MOST_BOXES:
            cuts = [[0, n] for n in shape]
        spans = [list(zip(c, c[1:], strict=False)) for c in cuts]
        waiting = [
            Box(store, tuple(a for a, _ in part), tuple(b - a for a, b in part))
            for part in product(*spans)
        ]
        boxes = []
        while waiting:
            box = waiting.pop(0)
            try:
                self.wanted([box], box.shape)
            except _Cut as cut:
                first, second = list(box.shape), list(box.shape)
                first[cut.axis], second[cut.axis] = cut.at, box.shape[cut.axis] - cut.at
                start = list(box.start)
                start[cut.axis] += cut.at
                waiting[:0] = [
                    Box(store, box.start, tuple(first)),
                    Box(store, tuple(start), tuple(second)),
                ]
            else:
                boxes.append(box)
        return boxes

    def _cuts(self, stored: Value) -> list[set[int]]:
        """Where slices of a value begin and end: cut there, it is computed once for both."""
        cuts = {id(v): [set[int]() for _ in v.shape] for v in self.order}
        for value in reversed(self.order):
            for v in self.made_from(value):
                if is_view(value):
                    for at, axis in zip(
                        cuts[id(v)], through(value, whole((0,) * len(value.shape))), strict=True
                    ):
                        if axis.coordinate is not None and axis.step == 1:
                            its = {*cuts[id(value)][axis.coordinate], 0}
                            at |= {axis.start + n for n in (*its, value.shape[axis.coordinate])}
                elif v.shape == value.shape:
                    for at, its in zip(cuts[id(v)], cuts[id(value)], strict=True):
                        at |= its
        return [
            {at for at in axis if 0 < at < n}
            for axis, n in zip(cuts[id(stored)], stored.shape, strict=True)
        ]

    def wanted(self, boxes: list[Box], shape: tuple[int, ...]) -> dict[int, dict[Index, None]]:
        """For every value, which of its elements the thread of a box of this shape needs."""
        wanted: dict[int, dict[Index, None]] = {id(v): {} for v in self.order}
        for box in boxes:
            wanted[id(box.store.value)][whole(box.start)] = None
        for value in reversed(self.order):
            if self.made_from(value):
                for index in wanted[id(value)]:
                    read = self.operands(value, index, shape)
                    for v, at in read[value.op == "take" :]:  # which row of a table is not known
                        wanted[id(v)][at] = None
        return wanted

    def operands(
        self, value: Value, index: Index, box: tuple[int, ...]
    ) -> list[tuple[Value, Index]]:
        """The elements that an element of a value is made from."""
        if is_view(value):
            return [(value.inputs[0], through(value, index))]
        if value.op == "concatenate":
            return [_piece(value, index, box)]
        if value.op == "take":
            first, ndim = value.params["axis"], len(value.inputs[1].shape)
            at = (*index[:first], Axis(None), *index[first + ndim :])
            return [(value.inputs[0], at), (value.inputs[1], index[first : first + ndim])]
        return [(v, broadcast(index, v.shape)) for v in value.inputs]


def _piece(value: Value, index: Index, box: tuple[int, ...]) -> tuple[Value, Index]:
    """Which input an element of a concatenation comes from, for a whole box, and where it is."""
    axis = value.params["axis"]
    at = index[axis]

    def piece(k: int) -> int:
        place, start = at.start + at.step * k, 0
        for number, v in enumerate(value.inputs):
            start += v.shape[axis]
            if place < start:
                return number
        raise IndexError(f"{place} of a concatenation of {start}")

    first = piece(0)
    if at.coordinate is not None:
        for k in range(1, box[at.coordinate]):
            if piece(k) != first:
                raise _Cut(at.coordinate, k)
    before = sum(v.shape[axis] for v in value.inputs[:first])
    moved = Axis(at.coordinate, at.start - before, at.step)
    return value.inputs[first], (*index[:axis], moved, *index[axis + 1 :])
