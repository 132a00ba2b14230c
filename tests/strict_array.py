"""The array of the strict double of CuPy: ``ndarray``, with what it refuses and what it counts.

See ``strict_cupy.py`` for what the double is for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import cupy_names
from strict_capture import capture

NO_CONVERSION = (
    "Implicit conversion to a NumPy array is not allowed. "
    "Please use `.get()` to construct a NumPy array explicitly."
)
_, NAMES = cupy_names.read_names()
_DTYPES = "?bhilqBHILQefdFD"  # what CuPy can store, one character a dtype

_recorders: list[list[str]] = []


@contextmanager
def count_syncs() -> Iterator[list[str]]:
    """A list that gets the name of each call in the block that makes the host wait for the GPU."""
    recorder: list[str] = []
    _recorders.append(recorder)
    try:
        yield recorder
    finally:
        del _recorders[next(i for i, other in enumerate(_recorders) if other is recorder)]


def sync(name: str) -> None:
    """Note that the call of this name waits for the GPU, which it must not during a capture."""
    if capture.launches is not None:
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {name} waits for the GPU")
    for recorder in _recorders:
        recorder.append(name)


class ndarray:
    """``cupy.ndarray``. Operators and the methods that NumPy has too are added below."""

    __slots__ = ("__weakref__", "_host")
    __module__ = "cupy"
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape: Any, dtype: Any = float, order: Any = "C") -> None:
        self._host = np.empty(shape, supported(np.dtype(dtype)), order)

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: _Flags(self._host.flags))
    T = property(lambda self: wrap(self._host.T))
    mT = property(lambda self: wrap(self._host.mT))
    real = property(lambda self: wrap(self._host.real))
    imag = property(lambda self: wrap(self._host.imag))
    base = property(lambda self: None if self._host.base is None else wrap(self._host.base))
    data = property(lambda self: _Memory(self._host.ctypes.data))

    # Leaving the GPU on purpose: each of these waits for it.

    def get(self, stream: Any = None, order: Any = "C", out: Any = None, blocking: bool = True):
        sync("get")
        if out is None:
            return self._host.copy(order)
        out[...] = self._host
        return out

    def item(self) -> Any:
        sync("item")
        return self._host.item()

    def tolist(self) -> Any:
        sync("tolist")
        return self._host.tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        sync("tobytes")
        return self._host.tobytes(order)

    def __float__(self) -> float:
        sync("float")
        return float(self._host)

    def __int__(self) -> int:
        sync("int")
        return int(self._host)

    def __complex__(self) -> complex:
        sync("complex")
        return complex(self._host)

    def __bool__(self) -> bool:
        sync("bool")
        return bool(self._host)

    def __repr__(self) -> str:
        sync("repr")
        return repr(self._host)

    def __str__(self) -> str:
        sync("str")
        return str(self._host)

    def __format__(self, spec: str) -> str:
        sync("format")
        return format(self._host.item() if self.ndim == 0 else self._host, spec)

    def __reduce__(self):
        return from_host, (self.get(),)

    # Leaving it by accident: refused.

    def __array__(self, dtype: Any = None, copy: Any = None):
        raise TypeError(NO_CONVERSION)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any):
        name = ufunc.__name__
        raise TypeError(
            f"np.{name} was given an array of CuPy: call xp.{name}, on arrays of one kind"
        )

    def __array_function__(self, function: Callable, types: Any, args: Any, kwargs: Any):
        name = function.__name__
        raise TypeError(
            f"np.{name} was given an array of CuPy: call xp.{name}, on arrays of one kind"
        )

    # Reading and writing elements.

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> "Iterator[ndarray]":
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> "ndarray":
        index, advanced = host_index(key, self.shape)
        if advanced:
            return wrap(np.array(self._host[index]))
        return wrap(self._host[index if Ellipsis in index else (*index, ...)])

    def __setitem__(self, key: Any, value: Any) -> None:
        if capture.launches is not None:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: the double captures no copies")
        index, _ = host_index(key, self.shape)
        value = operand(value)
        self._host[index] = value.astype(self.dtype) if isinstance(value, np.ndarray) else value

    def fill(self, value: Any) -> None:
        self[...] = value

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError(f"set: {arr.dtype}{arr.shape} does not fit {self.dtype}{self.shape}")
        self._host[...] = arr

    def __copy__(self) -> "ndarray":
        return wrap(self._host.copy())

    def __deepcopy__(self, memo: Any) -> "ndarray":
        return wrap(self._host.copy())


class _Memory:
    """``cupy.ndarray.data``: where the elements lie, which is not where the host can read them."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


class _Flags:
    """What CuPy has of NumPy's flags: nothing about writing."""

    def __init__(self, flags: Any) -> None:
        self.c_contiguous = flags.c_contiguous
        self.f_contiguous = flags.f_contiguous
        self.owndata = flags.owndata

    def __getitem__(self, name: str) -> bool:
        return getattr(self, name.lower())


def supported(dtype: np.dtype) -> np.dtype:
    """The dtype, if CuPy can store it."""
    if dtype.char not in _DTYPES:
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def from_host(array: np.ndarray) -> ndarray:
    """An array of the double that has taken over the memory of this one."""
    supported(array.dtype)
    wrapped = ndarray.__new__(ndarray)
    wrapped._host = array
    return wrapped


def wrap(result: Any) -> Any:
    """A result of NumPy as CuPy gives it: every number is an array."""
    if isinstance(result, np.ndarray | np.generic):
        return from_host(np.asarray(result))
    if isinstance(result, tuple | list):
        return (list if isinstance(result, list) else tuple)(wrap(r) for r in result)
    return result


def operand(value: Any) -> Any:
    """What may take part in arithmetic, for NumPy: an array of the double or a Python number."""
    if isinstance(value, ndarray):
        return value._host
    if type(value) in (bool, int, float, complex):
        return value
    if isinstance(value, np.generic):
        raise TypeError(
            f"{type(value)} is a foreign scalar, whose dtype would take part in the promotion: "
            "use float(value), or xp.asarray(value, dtype=...)"
        )
    raise TypeError(f"Unsupported type {type(value)}")


def compute(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call NumPy as CuPy computes: a division by zero or an overflow gives no warning."""
    if capture.launches is not None:
        return capture.call(function, args, kwargs)
    with np.errstate(all="ignore"):
        return function(*args, **kwargs)


def host_index(key: Any, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], bool]:
    """The index for NumPy, its integer arrays wrapped around; and whether it holds any array."""
    items = [_index_item(item) for item in (key if isinstance(key, tuple) else (key,))]
    spans = [_axes_taken(item) for item in items]
    axis, advanced = 0, False
    for i, item in enumerate(items):
        if item is Ellipsis:
            axis = len(shape) - sum(spans[i + 1 :])
        elif isinstance(item, np.ndarray):
            advanced = True
            if item.dtype.kind == "b":
                sync("boolean mask")
            elif axis < len(shape) and shape[axis]:
                items[i] = item % shape[axis]
        axis += spans[i]
    return tuple(items), advanced


def _index_item(item: Any) -> Any:
    """CuPy uploads index arrays and lists from the host by itself, so they pass here too."""
    if isinstance(item, ndarray):
        item = item._host
    elif isinstance(item, list):
        item = np.asarray(item) if item else np.zeros(0, np.int64)
    if isinstance(item, np.ndarray):
        if item.dtype.kind not in "biu":
            raise IndexError(f"an index array must hold integers or booleans, not {item.dtype}")
    elif isinstance(item, bool) or not isinstance(
        item, int | np.integer | slice | type(None) | type(Ellipsis)
    ):
        raise IndexError(f"{type(item)} is no index: use integers, slices, ..., None or arrays")
    return item


def _axes_taken(item: Any) -> int:
    if isinstance(item, np.ndarray) and item.dtype.kind == "b":
        return item.ndim
    return 0 if item is None or item is Ellipsis else 1


def _leaves_it_to(other: Any) -> bool:
    """Whether CuPy lets the other operand's class do the operation (a Tensor's, for example)."""
    if isinstance(other, ndarray) or not hasattr(other, "__array_ufunc__"):
        return 100 < getattr(other, "__array_priority__", 0)
    return other.__array_ufunc__ is None


def _binary(ufunc: Callable, in_place: bool = False, swapped: bool = False) -> Callable:
    def operator(self: ndarray, other: Any) -> Any:
        if other is None or _leaves_it_to(other):
            return NotImplemented
        if in_place:
            compute(ufunc, self._host, operand(other), out=self._host)
            return self
        pair = (self._host, operand(other))
        return wrap(compute(ufunc, *(reversed(pair) if swapped else pair)))

    return operator


def _unary(ufunc: Callable) -> Callable:
    return lambda self: wrap(compute(ufunc, self._host))


_ARITHMETIC = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
for _name, _ufunc in _ARITHMETIC.items():
    setattr(ndarray, f"__{_name}__", _binary(_ufunc))
    setattr(ndarray, f"__r{_name}__", _binary(_ufunc, swapped=True))
    setattr(ndarray, f"__i{_name}__", _binary(_ufunc, in_place=True))
for _name, _ufunc in {"matmul": np.matmul, "divmod": np.divmod}.items():  # CuPy has no in-place @
    setattr(ndarray, f"__{_name}__", _binary(_ufunc))
    setattr(ndarray, f"__r{_name}__", _binary(_ufunc, swapped=True))
for _name, _ufunc in {
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}.items():
    setattr(ndarray, f"__{_name}__", _binary(_ufunc))
for _name, _ufunc in {
    "neg": np.negative,
    "pos": np.positive,
    "abs": np.absolute,
    "invert": np.invert,
}.items():
    setattr(ndarray, f"__{_name}__", _unary(_ufunc))
