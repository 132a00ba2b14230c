"""elements: which element of which array the element (i, j, ...) of a value is.

A value that is a view of another, or a piece of one, has no array of its own: its elements are some
of those of the array that it comes from, and their places there are linear in i, j, ...
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tinyseq.compile.program import Value

AXES = ("i", "j", "k", "l", "m", "o")


@dataclass(frozen=True)
class Index:
    """offset + step * (the index along ``axis`` of the value); a constant if axis is None."""

    axis: int | None
    offset: int = 0
    step: int = 1

    def of(self, inner: tuple[Index, ...]) -> Index:
        """This index, where that along each of its axes is given by another index."""
        if self.axis is None:
            return self
        other = inner[self.axis]
        return Index(other.axis, self.offset + self.step * other.offset, self.step * other.step)

    def range(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The least and the greatest that it can be."""
        end = self.offset if self.axis is None else self.offset + self.step * (shape[self.axis] - 1)
        return min(self.offset, end), max(self.offset, end)

    def __str__(self) -> str:
        if self.axis is None:
            return str(self.offset)
        text = AXES[self.axis] if abs(self.step) == 1 else f"{abs(self.step)} * {AXES[self.axis]}"
        if self.step < 0:
            return f"{self.offset} - {text}"
        return f"{text} + {self.offset}" if self.offset else text


@dataclass(frozen=True)
class Element:
    """An element of an array, in one step.

    Attributes:
        array: its name.
        when: the index of the step, if the array has one of each step: "t", "t + 1", "t - lo", "".
        index: the other indices.
        sizes: the lengths of the array along these.
    """

    array: str
    when: str
    index: tuple[Index, ...]
    sizes: tuple[int, ...]

    def of(self, inner: tuple[Index, ...]) -> Element:
        """The element for other indices of the value."""
        return replace(self, index=tuple(index.of(inner) for index in self.index))

    def moved(self, axis: int, offset: int) -> Element:
        """The element further along one axis of the value."""
        shift = tuple(Index(k, offset * (k == axis)) for k in range(len(AXES)))
        return self.of(shift)

    def clashes(self, other: Element, shape: tuple[int, ...]) -> bool:
        """Whether (i, j) of the one may be (k, l) of the other, another element of the value."""
        if self.array != other.array or self == other or self.when != other.when:
            return False
        pairs = zip(self.index, other.index, strict=True)
        ranges = [(a.range(shape), b.range(shape)) for a, b in pairs]
        return all(a[0] <= b[1] and b[0] <= a[1] for a, b in ranges)

    def __str__(self) -> str:
        inside = ", ".join([self.when] * bool(self.when) + [str(index) for index in self.index])
        return f"{self.array}[{inside or '()'}]"

    def length(self, axis: int, shape: tuple[int, ...]) -> str | None:
        """The length of the value along an axis, if it is that of the array along one of its."""
        for place, (index, size) in enumerate(zip(self.index, self.sizes, strict=True)):
            if index == Index(axis) and size == shape[axis]:
                return f"{self.array}.shape[{place + bool(self.when)}]"
        return None

    def whole(self, shape: tuple[int, ...]) -> str | None:
        """All elements of a value, as an expression; None for a number, and out of order."""
        axes = [index.axis for index in self.index]
        if not axes or axes != [*range(len(shape))] or any(k.step != 1 for k in self.index):
            return None
        parts = [self.when] * bool(self.when)
        for index, size, wanted in zip(self.index, self.sizes, shape, strict=True):
            whole = (index.offset, size) == (0, wanted)
            parts.append(":" if whole else f"{index.offset}:{index.offset + wanted}")
        while parts and parts[-1] == ":":
            parts.pop()
        return f"{self.array}[{', '.join(parts)}]" if parts else self.array


def own(value: Value) -> tuple[Index, ...]:
    """The indices of a value, as they are."""
    return tuple(Index(k) for k in range(len(value.shape)))


def spread(shape: tuple[int, ...], over: tuple[int, ...]) -> tuple[Index, ...]:
    """The indices of an operand of this shape, in an operation whose result has another."""
    ahead = len(over) - len(shape)
    return tuple(
        Index(None) if size == 1 != over[k + ahead] else Index(k + ahead)
        for k, size in enumerate(shape)
    )


def viewed(value: Value) -> tuple[Index, ...] | None:
    """The indices in what a view is a view of; None where they are not linear."""
    (base,) = value.inputs[:1]
    if value.op == "identity":
        return own(value)
    if value.op == "getitem":
        return _sliced(value.params["index"], base.shape)
    if value.op == "transpose":
        axes = value.params["axes"]
        return tuple(Index(axes.index(k)) for k in range(len(axes)))
    if value.op == "broadcast_to":
        return spread(base.shape, value.shape)
    if value.op == "reshape":
        long = [k for k, size in enumerate(value.shape) if size != 1]
        if [value.shape[k] for k in long] == [size for size in base.shape if size != 1]:
            axes = iter(long)
            return tuple(Index(None if size == 1 else next(axes)) for size in base.shape)
    return None


def _sliced(index: Any, shape: tuple[int, ...]) -> tuple[Index, ...] | None:
    parts = list(index) if isinstance(index, tuple) else [index]
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    rest = [slice(None)] * (len(shape) - taken)
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    where = next(k for k, part in enumerate(parts) if part is Ellipsis)
    parts[where : where + 1] = rest
    found: list[Index] = []
    axis = 0
    for part in parts:
        if part is None:
            axis += 1
            continue
        size = shape[len(found)]
        if isinstance(part, slice):
            start, _, step = part.indices(size)
            found.append(Index(axis, start, step))
            axis += 1
        elif isinstance(part, int) and not isinstance(part, bool):
            found.append(Index(None, part % size))
        else:
            return None
    return tuple(found)
