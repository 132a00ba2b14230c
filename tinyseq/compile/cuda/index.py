"""index: which element of an array a thread needs, followed back through views.

A thread of a kernel stands for one element of a box and has a coordinate along each of its axes. An
Index says, for every axis of a value, which element that is: start + step * coordinate. Slices,
transposes and broadcasting only turn one Index into another, so that in a kernel they cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyseq.compile.program import Value


@dataclass(frozen=True)
class Axis:
    """Along one axis: start + step * coordinate, or always ``start`` if coordinate is None."""

    coordinate: int | None
    start: int = 0
    step: int = 1


Index = tuple[Axis, ...]


def whole(start: tuple[int, ...]) -> Index:
    """The index of a box that begins at ``start``, in an array of as many axes."""
    return tuple(Axis(k, n) for k, n in enumerate(start))


def broadcast(index: Index, shape: tuple[int, ...]) -> Index:
    """The index into an operand of this shape, from that into the result it is broadcast to."""
    tail = index[len(index) - len(shape) :]
    return tuple(
        Axis(None) if length == 1 else axis for axis, length in zip(tail, shape, strict=True)
    )


def is_view(value: Value) -> bool:
    """Whether a value is a view that an Index can be followed through."""
    if value.op == "getitem":
        return all(_is_plain(part) for part in parts_of(value))
    if value.op == "reshape":
        return squeezed(value.shape) == squeezed(value.inputs[0].shape)
    return value.op in ("identity", "transpose", "broadcast_to")


def through(value: Value, index: Index) -> Index:
    """The index into what a view is a view of."""
    shape = value.inputs[0].shape
    if value.op == "getitem":
        return _sliced(value, index)
    if value.op == "transpose":
        axes = value.params["axes"]
        return tuple(index[axes.index(k)] for k in range(len(axes)))
    if value.op == "reshape":  # axes of length 1 come and go
        axis = iter([a for a, length in zip(index, value.shape, strict=True) if length != 1])
        return tuple(Axis(None) if length == 1 else next(axis) for length in shape)
    return broadcast(index, shape)


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its axes of length 1."""
    return tuple(length for length in shape if length != 1)


def parts_of(value: Value) -> tuple[Any, ...]:
    """The index of a getitem, a part for each axis."""
    index = value.params["index"]
    return index if isinstance(index, tuple) else (index,)


def slices_of(value: Value) -> list[slice | int | None]:
    """The index of a getitem in full: for each axis of its input a slice or a number, and None."""
    parts = parts_of(value)
    ndim = len(value.inputs[0].shape)
    missing = ndim - sum(part is not None and part is not Ellipsis for part in parts)
    full: list[slice | int | None] = []
    for part in parts if Ellipsis in parts else (*parts, Ellipsis):
        full += [slice(None)] * missing if part is Ellipsis else [part]
    return full


def _is_plain(part: Any) -> bool:
    return part is None or part is Ellipsis or isinstance(part, slice) or type(part) is int


def _sliced(value: Value, index: Index) -> Index:
    shape, given = value.inputs[0].shape, iter(index)
    result: list[Axis] = []
    for part in slices_of(value):
        if part is None:
            next(given)
        elif isinstance(part, int):
            result.append(Axis(None, part % shape[len(result)]))
        else:
            start, _, step = part.indices(shape[len(result)])
            axis = next(given)
            result.append(Axis(axis.coordinate, start + step * axis.start, step * axis.step))
    return tuple(result)


def address(index: Index, shape: tuple[int, ...], box: tuple[int, ...]) -> str:
    """The place of an element in an array that lies in one piece, as an expression of C.

    ``k`` counts the elements of the box, ``k0``, ``k1`` ... are its coordinates.
    """
    factors, constant = [0] * len(box), 0
    for axis, stride in zip(index, strides(shape), strict=True):
        constant += axis.start * stride
        if axis.coordinate is not None:
            factors[axis.coordinate] += axis.step * stride
    moving = [(k, f) for k, f in enumerate(factors) if f and box[k] > 1]
    if (
        moving
        and all(f == strides(box)[k] for k, f in moving)
        and len(moving) == sum(length > 1 for length in box)
    ):
        terms = ["k"]
    else:
        terms = [f"k{k}" if f == 1 else f"k{k} * {f}" for k, f in moving]
    if constant or not terms:
        terms.append(str(constant))
    return " + ".join(terms).replace("+ -", "- ")


def strides(shape: tuple[int, ...]) -> list[int]:
    """By how many elements the elements along each axis are apart."""
    result = [1] * len(shape)
    for k in range(len(shape) - 1, 0, -1):
        result[k - 1] = result[k] * shape[k]
    return result
