"""Which array library an array belongs to.

``xp = namespace(array)`` is ``numpy`` or ``cupy``; code written against ``xp`` runs on both. This
is the only file that knows CuPy, and it never imports it on its own account: an array that belongs
to CuPy proves that it has been imported. ``gpu_namespace`` is the one function that asks for a GPU.
"""

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

from tinyseq.errors import BackendError, DTypeError, ShapeError

Array = Any  # numpy.ndarray or cupy.ndarray: the two share no base class.


def namespace(*arrays: Array) -> ModuleType:
    """The array library of the given arrays; anything that is no CuPy array counts as NumPy.

    Raises BackendError if NumPy arrays (of one dimension or more) and CuPy arrays are mixed.
    """
    on_gpu = [is_cupy(array) for array in arrays]
    if not any(on_gpu):
        return np
    if not all(on_gpu):
        refuse_mixture(arrays)
    return sys.modules["cupy"]


def common_namespace(values: Iterable[Any]) -> ModuleType:
    """The array library of those of the values that are arrays; Python numbers go with either."""
    return namespace(*(value for value in values if hasattr(value, "shape")))


def is_cupy(array: Array) -> bool:
    """Whether the array belongs to CuPy."""
    return type(array).__module__.partition(".")[0] == "cupy"


def is_array(value: Any) -> bool:
    """Whether the value is an array of either library (scalars and lists are not)."""
    return isinstance(value, np.ndarray) or (is_cupy(value) and hasattr(value, "shape"))


def refuse_mixture(arrays: tuple[Array, ...]) -> None:
    """Raise BackendError if the values hold arrays of both libraries; numbers are welcome."""
    kinds = ["cupy" if is_cupy(a) else "numpy" for a in arrays if is_array(a)]
    if len(set(kinds)) > 1:
        raise BackendError(
            f"arrays of two libraries in one operation: {', '.join(kinds)}. Nothing is copied "
            "silently: move one with ts.to_numpy(array) or ts.to_cupy(array)."
        )


def as_array(value: Any) -> Array:
    """The value as an array; NumPy and CuPy arrays stay what and where they are.

    Raises ShapeError for ragged lists and DTypeError for what is no number at all.
    """
    if type(value) is np.ndarray or is_cupy(value):
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(
            f"cannot make an array of a ragged list: {error}. Pad it (ts.data.pad), pass lengths."
        ) from None
    if array.dtype.kind not in "biuf":
        kind = type(value).__name__
        raise DTypeError(f"cannot make an array of numbers from {kind} {value!r:.80}")
    return array


def to_numpy(array: Array) -> np.ndarray:
    """A NumPy array with the same content; copies from the GPU, and so waits for it."""
    return sys.modules["cupy"].asnumpy(array) if is_cupy(array) else np.asarray(array)


def to_cupy(array: Array) -> Array:
    """A CuPy array with the same content.

    Raises BackendError, with the way out, where there is no CuPy or no GPU.
    """
    return gpu_namespace().asarray(array)


def gpu_namespace() -> ModuleType:
    """CuPy, checked to have a GPU under it; raises BackendError where it has none."""
    try:
        import cupy
    except ImportError:
        raise BackendError(
            "the GPU was asked for, but CuPy is not installed: pip install 'tinyseq[cuda12]' "
            "(or cuda13), or stay on NumPy."
        ) from None
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises its own class, which needs the driver to be named
        raise BackendError(
            f"the GPU was asked for, but CuPy finds no usable one ({error}). Stay on NumPy, or "
            "check the driver with nvidia-smi."
        ) from None
    if devices == 0:
        raise BackendError("the GPU was asked for, but CuPy finds none. Stay on NumPy.")
    return cupy


def scatter_add(target: Array, index: Any, values: Array) -> None:
    """``target[index] += values`` in place, where an element named twice is added to twice.

    For many rows on the host, what is added to one row is summed first: NumPy's ``add.at`` takes
    seven times as long for the gradient of an embedding.
    """
    rows = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if type(rows) is not np.ndarray or rows.dtype.kind == "b" or rows.size < 32 or target.ndim < 2:
        namespace(target).add.at(target, index, values)
        return
    rows = rows.ravel() % len(target)
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    ordered = values.reshape(rows.size, *target.shape[1:])[order]
    target[rows[starts]] += np.add.reduceat(ordered, starts, axis=0)


def check_index(index: Any, size: int, what: str) -> None:
    """Raise ShapeError if an integer index (array or scalar) is outside ``[-size, size)``.

    NumPy checks by itself; CuPy wraps around in silence, so a CuPy index is fetched and checked
    here. That waits for the GPU: keep indices on the host where speed matters.
    """
    host = to_numpy(index)
    if host.size and (host.min() < -size or host.max() >= size):
        bad = host[(host < -size) | (host >= size)].flat[0]
        raise ShapeError(f"{what}: index {bad} is out of range for a size of {size}")


_DENORMAL_GATE = {np.dtype(np.float32): (1e-30, 1e-30), np.dtype(np.float64): (1e-300, 1e-290)}


def flush_tiny(array: Array) -> Array:
    """The array with magnitudes that head for denormals set to zero (float32: below 1e-30).

    A gradient that vanishes through time ends as denormal numbers, which a CPU handles 10 to 90
    times slower. One dot product decides whether there is anything to do. GPUs handle denormals at
    full speed, so CuPy arrays pass.
    """
    if type(array) is not np.ndarray:
        return array
    gate = _DENORMAL_GATE.get(array.dtype)
    if gate is None or not array.size or not np.vdot(array, array) < gate[0]:
        return array
    return np.where(np.abs(array) < gate[1], array.dtype.type(0), array)
