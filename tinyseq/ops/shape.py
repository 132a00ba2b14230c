"""Moving elements about: reshape, transpose, stack, split, roll, pad ... All are linear maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from operator import index
from typing import Any

import numpy as np

from tinyseq.autograd.kinds import Op, linear_map
from tinyseq.autograd.primitive import Primitive, place, recorded_outputs, recording, shape_error
from tinyseq.autograd.tensor import Tensor
from tinyseq.autograd.walk import sum_to
from tinyseq.backend import as_array, namespace
from tinyseq.errors import DTypeError


def _axis(axis: int, ndim: int, what: str) -> int:
    if not -ndim <= axis < ndim:
        raise shape_error(what, f"axis {axis} of an array of {ndim} dimensions")
    return axis % ndim


def _shape_of(value: Any) -> tuple[int, ...]:
    return value.shape if hasattr(value, "shape") else as_array(value).shape


# -- the same elements in another shape -----------------------------------------------------------

_reshape: Op = linear_map(
    "reshape",
    lambda xp, a, shape: xp.reshape(a, shape),
    transpose=lambda g, shape_in, shape: _reshape(g, shape=shape_in),
)


def reshape(a: Any, *shape: Any) -> Any:
    """The same elements in another shape; one length may be -1."""
    return _reshape(a, shape=_lengths(shape, "reshape"))


def _lengths(shape: Any, what: str) -> tuple[int, ...]:
    """A shape given as one sequence or as several numbers."""
    wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    return _integers(wanted, what)


def _integers(values: Any, what: str) -> tuple[int, ...]:
    try:
        return tuple(index(value) for value in values)
    except TypeError:
        raise DTypeError(f"{what}{place()}: integers are wanted, not {values!r:.60}") from None


def squeeze(a: Any, axis: int) -> Any:
    """Without an axis of length 1."""
    shape = list(_shape_of(a))
    k = _axis(axis, len(shape), "squeeze")
    if shape[k] != 1:
        raise shape_error("squeeze", f"axis {axis} of shape {tuple(shape)} has no length of 1")
    del shape[k]
    return _reshape(a, shape=tuple(shape))


def expand_dims(a: Any, axis: int) -> Any:
    """With a new axis of length 1."""
    shape = list(_shape_of(a))
    shape.insert(_axis(axis, len(shape) + 1, "expand_dims"), 1)
    return _reshape(a, shape=tuple(shape))


_permute: Op = linear_map(
    "transpose",
    lambda xp, a, axes: xp.transpose(a, axes),
    transpose=lambda g, shape, axes: _permute(
        g, axes=tuple(sorted(range(len(axes)), key=axes.__getitem__))
    ),
)


def transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    """The axes in another order; reversed if none is given."""
    ndim = len(_shape_of(a))
    order = range(ndim)[::-1] if axes is None else [_axis(k, ndim, "transpose") for k in axes]
    if sorted(order) != list(range(ndim)):
        raise shape_error("transpose", f"{tuple(axes or ())} is no permutation of {ndim} axes")
    return _permute(a, axes=tuple(order))


def swapaxes(a: Any, first: int, second: int) -> Any:
    """Two axes exchanged."""
    ndim = len(_shape_of(a))
    order = list(range(ndim))
    i, j = _axis(first, ndim, "swapaxes"), _axis(second, ndim, "swapaxes")
    order[i], order[j] = j, i
    return _permute(a, axes=tuple(order))


def moveaxis(a: Any, source: int, destination: int) -> Any:
    """One axis moved to another place."""
    ndim = len(_shape_of(a))
    order = list(range(ndim))
    axis = order.pop(_axis(source, ndim, "moveaxis"))
    order.insert(_axis(destination, ndim, "moveaxis"), axis)
    return _permute(a, axes=tuple(order))


_broadcast = linear_map(
    "broadcast_to",
    lambda xp, a, shape: xp.broadcast_to(a, shape),
    transpose=lambda g, shape_in, shape: sum_to(g, shape_in),
)


def broadcast_to(a: Any, shape: Sequence[int]) -> Any:
    """Repeated to a larger shape by the rules of broadcasting; nothing is copied."""
    return _broadcast(a, shape=tuple(shape))


def expand(a: Any, *shape: Any) -> Any:
    """``broadcast_to`` in PyTorch's form: -1 keeps a length."""
    old, new = _shape_of(a), _lengths(shape, "expand")
    lead = len(new) - len(old)
    wanted = tuple(old[k - lead] if n == -1 and k >= lead else n for k, n in enumerate(new))
    if lead < 0 or any(
        n < 0 or (k >= lead and old[k - lead] not in (1, n)) for k, n in enumerate(wanted)
    ):
        raise shape_error("expand", f"an array of shape {tuple(old)} to {new}")
    return _broadcast(a, shape=wanted)


def tile(a: Any, repeats: Sequence[int]) -> Any:
    """The array laid side by side, so many times along every axis.

    With fewer numbers than axes, they are for the last axes.."""
    shape = _shape_of(a)
    reps = (1,) * (len(shape) - len(repeats)) + _integers(repeats, "tile")
    if min(reps, default=0) < 0:
        raise shape_error("tile", f"nothing is repeated {min(reps)} times")
    shape = (1,) * (len(reps) - len(shape)) + shape
    apart = tuple(n for pair in zip((1,) * len(shape), shape, strict=True) for n in pair)
    wide = tuple(n for pair in zip(reps, shape, strict=True) for n in pair)
    result = tuple(r * n for r, n in zip(reps, shape, strict=True))
    return _reshape(_broadcast(_reshape(a, shape=apart), shape=wide), shape=result)


_astype = linear_map(
    "astype",
    lambda xp, a, dtype: a.astype(dtype),
    transpose=lambda g, shape, dtype: g,  # the engine gives every cotangent its input's dtype
)


def astype(a: Any, dtype: Any) -> Any:
    """Converted to another dtype; to integers or booleans, no gradient flows back."""
    try:
        dtype = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"astype{place()}: {error}") from None
    if isinstance(a, Tensor) and dtype.kind != "f":
        a = a.detach()
    return _astype(a, dtype=dtype)


identity = linear_map(
    "identity",
    lambda xp, a: a,
    transpose=lambda g, shape: g,
    doc="The same values under a node of their own, which can carry another label.",
)

# -- the same shape, elements elsewhere -----------------------------------------------------------

flip: Op = linear_map(
    "flip",
    lambda xp, a, axis: xp.flip(a, axis),
    transpose=lambda g, shape, axis: flip(g, axis),
    prepare=lambda axis: {"axis": axis},
    doc="In reverse order along an axis, or along several.",
)


def _roll_params(shift: Any, axis: Any) -> dict[str, Any]:
    shift, axis = _integers((shift, axis), "roll")
    return {"shift": shift, "axis": axis}


roll: Op = linear_map(
    "roll",
    lambda xp, a, shift, axis: xp.roll(a, shift, axis),
    transpose=lambda g, shape, shift, axis: roll(g, -shift, axis),
    prepare=lambda shift, axis: _roll_params(shift, axis),
    doc="Moved on by ``shift`` places along an axis; what leaves at the end enters at the start.",
)


def _unpad(g: Any, shape: tuple[int, ...], widths: tuple[tuple[int, int], ...]) -> Any:
    return g[tuple(slice(w[0], w[0] + n) for w, n in zip(widths, shape, strict=True))]


_pad = linear_map("pad", lambda xp, a, widths: xp.pad(a, widths), transpose=_unpad)


def _pair(width: Any) -> tuple[int, int]:
    if not isinstance(width, tuple | list) or len(width) != 2:
        raise DTypeError(f"pad{place()}: a width is a pair (before, after), not {width!r:.60}")
    before, after = _integers(width, "pad")
    return before, after


def pad(a: Any, widths: Sequence[tuple[int, int]]) -> Any:
    """Zeros around: ``widths`` gives (before, after) for every axis."""
    pairs = tuple(_pair(width) for width in widths)
    if len(pairs) != len(_shape_of(a)) or any(n < 0 for pair in pairs for n in pair):
        raise shape_error(
            "pad",
            f"widths {pairs} for an array of shape {tuple(_shape_of(a))}: every axis wants a "
            "pair (before, after) of numbers from 0 on",
        )
    return _pad(a, widths=pairs) if pairs else a


# -- several arrays into one ----------------------------------------------------------------------


def _zeros_for(tangents: Sequence[Any], node: Any) -> list[Any]:
    """The tangents of a primitive with many inputs, with zeros where there are none."""
    known = next(t for t in tangents if t is not None)
    xp = namespace(known.data if isinstance(known, Tensor) else known)
    return [
        xp.zeros(shape, known.dtype) if tangent is None else tangent
        for tangent, shape in zip(tangents, node.params["shapes"], strict=True)
    ]


def _concatenate_pull(g: Any, node: Any, i: int) -> Any:
    axis, start = node.params["axis"], node.params["starts"][i]
    index = (slice(None),) * axis + (slice(start, start + node.parents[i].shape[axis]),)
    return g[index]


_concatenate: Primitive = Primitive(
    "concatenate",
    "linear",
    lambda xp, *arrays, axis, starts, shapes: xp.concatenate(arrays, axis),
    _concatenate_pull,
    lambda tangents, node: _concatenate(*_zeros_for(tangents, node), **node.params),
    None,
)


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Arrays joined along an axis that they have."""
    arrays = list(arrays)
    if not arrays:
        raise shape_error("concatenate", "an empty list")
    shapes = tuple(_shape_of(a) for a in arrays)
    k = _axis(axis, len(shapes[0]), "concatenate")
    starts = [0]
    for shape in shapes:
        if len(shape) != len(shapes[0]):
            raise shape_error("concatenate", f"arrays of different dimensions, {list(shapes)}")
        starts.append(starts[-1] + shape[k])
    return _concatenate(*arrays, axis=k, starts=tuple(starts), shapes=shapes)


def _stack_pull(g: Any, node: Any, i: int) -> Any:
    axis = node.params["axis"]
    return g[(slice(None),) * axis + (i,)] if axis else g[i]


_stack: Primitive = Primitive(
    "stack",
    "linear",
    lambda xp, *arrays, axis, shapes: xp.stack(arrays, axis),
    _stack_pull,
    lambda tangents, node: _stack(*_zeros_for(tangents, node), **node.params),
    None,
)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape joined along a new axis."""
    arrays = list(arrays)
    if not arrays:
        raise shape_error("stack", "an empty list")
    shapes = tuple(_shape_of(a) for a in arrays)
    if len(set(shapes)) > 1:
        raise shape_error("stack", f"arrays of different shapes, {sorted(set(shapes))}")
    return _stack(*arrays, axis=_axis(axis, len(shapes[0]) + 1, "stack"), shapes=shapes)


# -- one array into several -----------------------------------------------------------------------


def _joined(g: list[Any], node: Any, join: Any) -> Any:
    """The outputs' cotangents joined again, with zeros for the outputs that nobody used."""
    known = next(part for part in g if part is not None)
    xp = namespace(known.data if isinstance(known, Tensor) else known)
    if not any(part is None or isinstance(part, Tensor) for part in g):
        return getattr(xp, join.__name__)(g, node.params["axis"])
    shapes = node.params["shapes"]
    parts = [
        xp.zeros(shape, known.dtype) if part is None else part
        for part, shape in zip(g, shapes, strict=True)
    ]
    return join(parts, node.params["axis"])


@lru_cache(maxsize=1024)
def _split_plan(
    shape: tuple[int, ...], axis: int, sizes: tuple[int, ...] | int
) -> tuple[list[Any], dict[str, Any]]:
    """The index of every piece, and the parameters: worked out once, not in every time step."""
    k = _axis(axis, len(shape), "split")
    length = shape[k]
    if isinstance(sizes, int):
        if sizes < 1 or length % sizes:
            raise shape_error("split", f"an axis of length {length} has no {sizes} equal parts")
        sizes = (length // sizes,) * sizes
    if sum(sizes) != length or min(sizes, default=0) < 0:
        raise shape_error("split", f"sizes {sizes} do not make up an axis of length {length}")
    index = [
        (slice(None),) * k + (slice(end - n, end),)
        for n, end in zip(sizes, accumulate(sizes), strict=True)
    ]
    shapes = tuple((*shape[:k], n, *shape[k + 1 :]) for n in sizes)
    return index, {"axis": k, "sizes": sizes, "outputs": len(sizes), "shapes": shapes}


def _pieces(xp: Any, a: Any, axis: int, sizes: tuple[int, ...], **_: Any) -> list[Any]:
    return [a[index] for index in _split_plan(a.shape, axis, sizes)[0]]


def _split_pull(g: list[Any], node: Any, i: int) -> Any:
    for part in g:
        if type(part) is not np.ndarray:
            return _joined(g, node, concatenate)
    return np.concatenate(g, node.params["axis"])  # the usual case, written out for speed


_split = Primitive(
    "split",
    "outputs",
    _pieces,
    _split_pull,
    lambda tangents, node: split(tangents[0], node.params["sizes"], node.params["axis"]),
    None,
)


def split(a: Any, sizes: int | Sequence[int], axis: int = 0) -> list[Any]:
    """The array cut along an axis: into pieces of the given sizes, or into so many equal ones."""
    array = a.data if isinstance(a, Tensor) else as_array(a)
    wanted = sizes if isinstance(sizes, int) else tuple(sizes)
    index, params = _split_plan(array.shape, axis, wanted)
    parts = [array[piece] for piece in index]
    return recorded_outputs(_split, parts, a.node, params) if isinstance(a, Tensor) else parts


_unbind = Primitive(
    "unbind",
    "outputs",
    lambda xp, a, axis, **_: [a[(slice(None),) * axis + (t,)] for t in range(a.shape[axis])],
    lambda g, node, i: _joined(g, node, stack),
    lambda tangents, node: unbind(tangents[0], node.params["axis"]),
    None,
)


def unbind(a: Any, axis: int = 0) -> list[Any]:
    """The slices along an axis, as a list: one operation, whose gradient is one stack.

    Undoing a ``stack`` along the same axis gives back the very values that were stacked, with their
    own place in the graph: a layer above reads h(t) of the layer below, not all of them.
    """
    array = a.data if isinstance(a, Tensor) else as_array(a)
    k = _axis(axis, array.ndim, "unbind")
    parts = _unbind.forward(None, array, axis=k)
    node = a.node if isinstance(a, Tensor) else None
    if node is not None and node.primitive is _stack and node.params["axis"] == k:
        made_of = node.parents
        if recording.get() and all(p is None or p.dtype == array.dtype for p in made_of):
            return [Tensor(part, parent) for part, parent in zip(parts, made_of, strict=True)]
    if not isinstance(a, Tensor):
        return parts
    shapes = (array.shape[:k] + array.shape[k + 1 :],) * len(parts)
    params = {"axis": k, "outputs": len(parts), "shapes": shapes}
    return recorded_outputs(_unbind, [as_array(part) for part in parts], node, params)
