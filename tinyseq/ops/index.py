"""Reading and writing by index: slices, integer arrays and masks, take, scatter-add."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.autograd.kinds import Op, linear_map
from tinyseq.autograd.primitive import (
    TRACED,
    Primitive,
    array_like,
    explaining,
    place,
    recording,
    shape_error,
)
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, check_index, is_cupy, namespace
from tinyseq.backend import scatter_add as _add_at
from tinyseq.errors import DTypeError
from tinyseq.ops.elementwise import raw

Index = Any


def _plain_index(index: Index, what: str) -> Index:
    """An index without Tensors, lists and NumPy scalars; refuses what is no index."""
    if isinstance(index, tuple):
        return tuple([_plain(part, what) for part in index])
    return _plain(index, what)


def _plain(part: Any, what: str) -> Any:
    kind = type(part)
    if kind is int or kind is slice or part is None or part is Ellipsis:
        return part
    if isinstance(part, bool | float | str):
        raise DTypeError(f"{what}{place()}: {part!r} is no index")
    if isinstance(part, Tensor):
        part = part.data
    if isinstance(part, list):
        part = as_array(part)
        part = part.astype(int) if not part.size else part
    if getattr(part, "dtype", np.dtype(bool)).kind not in "iub":
        raise DTypeError(f"{what}{place()}: an index is an integer or a boolean, not {part.dtype}")
    if isinstance(part, np.ndarray | np.generic) and not part.ndim and part.dtype.kind != "b":
        return int(part)
    return part


def is_basic(index: Index, or_mask: bool = False) -> bool:
    """Whether there is no array in the index (but masks): it names no element twice then."""
    return all(
        p is None
        or p is Ellipsis
        or isinstance(p, int | slice)
        or (or_mask and hasattr(p, "dtype") and p.dtype.kind == "b")
        for p in (index if isinstance(index, tuple) else (index,))
    )


def _check(index: Index, shape: tuple[int, ...], what: str) -> None:
    """CuPy wraps integers that are out of range in silence: check them (NumPy does it itself)."""
    parts = index if isinstance(index, tuple) else (index,)
    if Ellipsis in [p for p in parts if not hasattr(p, "dtype")]:
        return _check_from_both_ends(parts, shape, what)
    axis = 0
    for part in parts:
        if part is None:
            continue
        if hasattr(part, "dtype") and part.dtype.kind == "b":
            axis += part.ndim
            continue
        if hasattr(part, "dtype") and axis < len(shape):
            check_index(part, shape[axis], f"{what}{place()}")
        axis += 1


def _check_from_both_ends(parts: tuple[Any, ...], shape: tuple[int, ...], what: str) -> None:
    k = next(i for i, p in enumerate(parts) if p is Ellipsis)
    _check(parts[:k], shape, what)
    tail = [p for p in parts[k + 1 :] if p is not None]
    used = sum(p.ndim if hasattr(p, "dtype") and p.dtype.kind == "b" else 1 for p in tail)
    _check(tuple(tail), shape[len(shape) - used :], what)


_get = linear_map(
    "getitem",
    lambda xp, a, index: a[index],
    transpose=lambda g, shape, index: _put(g, shape=shape, index=index),
)

_put: Op = linear_map(
    "put",
    lambda xp, g, shape, index: _scattered(xp, g, shape, index),
    transpose=lambda g, shape_in, shape, index: _get(g, index=index),
)


def _scattered(xp: Any, values: Any, shape: tuple[int, ...], index: Index) -> Any:
    target = xp.zeros(shape, values.dtype)
    if is_basic(index, or_mask=True):
        target[index] = values
    else:
        _add_at(target, index, values)
    return target


def getitem(a: Any, index: Index) -> Any:
    """``a[index]`` for integers, slices, None, ``...``, integer arrays and boolean masks.

    A Tensor of integers chooses along the first axis, as ``take`` does, and shows in the pictures.
    """
    if isinstance(index, Tensor) and index.node is not None and index.dtype.kind in "iu":
        return take(a, index)
    index = _plain_index(index, "getitem")
    array = a.data if isinstance(a, Tensor) else a  # its shape is asked for, not its values
    if is_cupy(array) and not is_basic(index):
        _check(index, array.shape, "getitem")
    return _get(a, index=index)


def _along(indices: Any, axis: int) -> Index:
    return (slice(None),) * axis + (indices,)


# The indices are an input of their own, not a parameter: they have no gradient, but a picture wants
# to show that the token x(t) leads to h(t), and y(t) to L(t).
_take: Primitive = Primitive(
    "take",
    "linear",
    lambda xp, a, indices, axis: a[_along(indices, axis)],
    lambda g, node, i: _untake(
        g, node.saved[1], shape=node.parents[0].shape, axis=node.params["axis"]
    ),
    lambda tangents, node: _take(tangents[0], raw(node.saved[1]), axis=node.params["axis"]),
    "partners",
)

_untake: Primitive = Primitive(
    "untake",
    "linear",
    lambda xp, g, indices, shape, axis: _scattered(xp, g, shape, _along(indices, axis)),
    lambda g, node, i: _take(g, node.saved[1], axis=node.params["axis"]),
    lambda tangents, node: _untake(tangents[0], node.saved[1], **node.params),
    "partners",
)

_take_along: Primitive = Primitive(
    "take_along_axis",
    "linear",
    lambda xp, a, indices, axis: a[_grid(indices, axis)],
    lambda g, node, i: _untake_along(
        g, node.saved[1], shape=node.parents[0].shape, axis=node.params["axis"]
    ),
    lambda tangents, node: _take_along(tangents[0], raw(node.saved[1]), axis=node.params["axis"]),
    "partners",
)

_untake_along: Primitive = Primitive(
    "untake_along_axis",
    "linear",
    lambda xp, g, indices, shape, axis: _scattered(xp, g, shape, _grid(indices, axis)),
    lambda g, node, i: _take_along(g, node.saved[1], axis=node.params["axis"]),
    lambda tangents, node: _untake_along(tangents[0], node.saved[1], **node.params),
    "partners",
)


def _grid(indices: Any, axis: int) -> Index:
    """The index that picks one element along the axis for every place of ``indices``."""
    xp = namespace(indices)
    grid = [
        xp.arange(n).reshape((-1,) + (1,) * (indices.ndim - 1 - k))
        for k, n in enumerate(indices.shape)
    ]
    grid[axis] = indices
    return tuple(grid)


def take(a: Any, indices: Any, axis: int = 0) -> Any:
    """The slices with the given numbers along an axis; what an embedding does.

    Args:
        a: (..., K, ...) with length K along ``axis``.
        indices: integers in [-K, K), of any shape; they replace the axis.
        axis: the axis.
    """
    a = array_like(a, "take")
    ndim = len(a.shape)
    if not -ndim <= axis < ndim:
        raise shape_error("take", f"axis {axis} of an array of {ndim} dimensions")
    indices = _integers(indices, a.shape[axis], "take")
    return _take(a, indices, axis=axis % ndim)


def _integers(indices: Any, size: int, what: str) -> Any:
    """Indices (a raw array or a Tensor) checked to be integers in range."""
    indices = indices if hasattr(indices, "dtype") else as_array(indices)
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"{what}{place()}: indices are integers, not {indices.dtype}")
    if recording.get() is not TRACED:  # what is compiled is checked when it runs, by NumPy
        check_index(raw(indices), size, f"{what}{place()}")
    return indices


def take_along_axis(a: Any, indices: Any, axis: int = -1) -> Any:
    """One element for every place of ``indices``: y[i, j] = a[i, indices[i, j]] for the last axis.

    Args:
        a: an array.
        indices: integers, of a's number of dimensions, equal to a's shape but for ``axis``.
        axis: the axis along which to choose.
    """
    a = array_like(a, "take_along_axis")
    shape = tuple(a.shape)
    if not -len(shape) <= axis < len(shape):
        raise shape_error("take_along_axis", f"axis {axis} of {len(shape)} dimensions")
    axis = axis % len(shape)
    indices = _integers(indices, shape[axis], "take_along_axis")
    if indices.ndim != len(shape) or any(
        n != m for k, (n, m) in enumerate(zip(shape, indices.shape, strict=True)) if k != axis
    ):
        raise shape_error(
            "take_along_axis",
            f"indices of shape {indices.shape} for an array of shape "
            f"{shape}: all but axis {axis} must agree",
        )
    return _take_along(a, indices, axis=axis)


_scatter_add = Primitive(
    "scatter_add",
    "linear",
    lambda xp, a, values, index: _added(a.copy(), index, values),
    lambda g, node, i: g if i == 0 else _get(g, index=node.params["index"]),
    lambda tangents, node: _scatter_push(tangents, node),
    None,
)


def _added(target: Any, index: Index, values: Any) -> Any:
    _add_at(target, index, values)
    return target


def _scatter_push(tangents: Any, node: Any) -> Any:
    base, values = tangents
    if values is None:
        return base
    spread = _put(values, shape=node.shape, index=node.params["index"])
    return spread if base is None else base + spread


def scatter_add(a: Any, index: Index, values: Any) -> Any:
    """A copy of ``a`` with ``values`` added at the index; an element named twice is added to twice.

    Raises:
        ShapeError: if ``values`` does not have the shape of ``a[index]``, or an index is out of
            range.
    """
    index = _plain_index(index, "scatter_add")
    # their shapes and dtypes are asked for, not their values
    array, added = (as_array(v.data if isinstance(v, Tensor) else v) for v in (a, values))
    if is_cupy(array) and not is_basic(index):
        _check(index, array.shape, "scatter_add")
    with explaining("scatter_add", a, values):
        given, wanted = added.shape, getitem(array, index).shape
    if given != wanted:
        raise shape_error("scatter_add", f"values of shape {given} for places of shape {wanted}")
    if array.dtype.kind != "f" and added.dtype.kind == "f":
        raise DTypeError(f"scatter_add{place()}: fractions do not fit into {array.dtype}")
    return _scatter_add(a if isinstance(a, Tensor) else array, values, index=index)
