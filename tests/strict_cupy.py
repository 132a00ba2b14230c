"""A strict double of CuPy: it computes with NumPy and refuses what breaks on a GPU.

``cupy`` is a module to be used as CuPy is; its arrays (``strict_array.py``) hold a NumPy array that
nothing but ``.get()`` and its like hand out. Code that passes here has no hidden traffic:

* no implicit conversion: ``np.asarray(x)``, ``np.tanh(x)``, ``x + np.ones(3)`` are a TypeError;
* no foreign scalars: a NumPy scalar as an operand is a TypeError (CuPy takes it, but lets its dtype
  decide the result's, so that one ``np.float64`` doubles the size of everything after it);
* no names, methods or parameters that CuPy lacks (``cupy_names.txt`` lists what it has);
* reductions and single elements are arrays of no dimensions, never NumPy scalars;
* integer index arrays that are out of range wrap around in silence;
* ``with count_syncs() as syncs`` lists every call that waits for the GPU.

``install(monkeypatch)`` puts the double where ``import cupy`` and ``sys.modules["cupy"]`` find it.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

import cupy_names
from strict_array import (
    NAMES,
    NO_CONVERSION,
    compute,
    count_syncs,
    host_index,
    ndarray,
    operand,
    supported,
    sync,
    wrap,
)
from strict_cuda import RawModule, cuda

__all__ = ["count_syncs", "cupy", "install", "ndarray", "to_host"]

# Functions that need the content of an array on the host to know the shape of their result.
_SYNCHRONISING = {"argwhere", "bincount", "compress", "extract", "flatnonzero", "nonzero", "unique"}
# A first parameter of these names is an array of CuPy's own, lists and numbers are refused ...
_ARRAY_PARAMETERS = {"A", "M", "a", "ar", "arr", "array", "ary", "condition", "m", "x"}
# ... but for these functions.
_TAKES_ANYTHING = {"broadcast_to", "iscomplexobj", "isrealobj", "ndim", "result_type", "shape"}
# NumPy answers with a Python bool, CuPy with an array.
_ANSWERS_WITH_ARRAY = {"allclose", "array_equal", "array_equiv"}
# The dtypes for which CuPy has the atomic operation on the GPU.
_ATOMIC = {"add": "iILQefd", "subtract": "iILQefd", "maximum": "iILQfd", "minimum": "iILQfd"}


def install(monkeypatch: Any) -> ModuleType:
    """Make the double what ``import cupy`` finds until the test ends, and return it."""
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


def to_host(array: Any) -> np.ndarray:
    """An array of NumPy, of CuPy or of the double as a NumPy array to compare with."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


# Arguments on their way to NumPy.


def _argument(parameter: str, value: Any) -> Any:
    """Shapes, axes and dtypes pass as they are; arrays and numbers must be operands."""
    if parameter == "out":
        return _output(value)
    if parameter == "indices" and isinstance(value, np.ndarray):
        return value  # CuPy uploads indices by itself
    if type(value) in (tuple, list):
        return type(value)(_argument(parameter, v) for v in value)
    if isinstance(value, np.ndarray | np.generic | ndarray) and not isinstance(value, np.integer):
        return operand(value)
    return value


def _output(out: Any) -> np.ndarray | None:
    if out is not None and not isinstance(out, ndarray):
        raise TypeError("Output arguments type must be cupy.ndarray")
    return None if out is None else out._host


def _result(result: Any, *given: Any) -> Any:
    """A result for the caller, who gets its own object back where NumPy handed back its memory."""
    for value in given:
        if isinstance(value, ndarray) and value._host is result:
            return value
    return wrap(result)


def _checked(path: str, compute_it: Callable, is_method: bool = False) -> Callable:
    """CuPy's function or method of this path, with the parameters that CuPy has."""
    name = path.rpartition(".")[2]
    signature = cupy_names.signature(NAMES[path])
    parameters = list(signature.parameters) if signature else []
    needs_array = parameters[:1] if not is_method and name not in _TAKES_ANYTHING else []
    needs_array = [p for p in needs_array if p in _ARRAY_PARAMETERS]
    if is_method:
        parameters.insert(0, "self")

    def parameter_at(position: int) -> str:
        return parameters[min(position, len(parameters) - 1)] if parameters else ""

    def call(*args: Any, **kwargs: Any) -> Any:
        if signature:
            try:
                bound = signature.bind(*args[is_method:], **kwargs).arguments
            except TypeError as error:
                raise TypeError(f"{path}{NAMES[path].detail}: {error}") from None
            for parameter in needs_array:
                if not isinstance(bound[parameter], ndarray):
                    kind = type(bound[parameter])
                    raise TypeError(f"{path}: {parameter} must be a cupy.ndarray, not {kind}")
        if name in _SYNCHRONISING or (name == "where" and len(args) + len(kwargs) == 1):
            sync(name)
        positional = [_argument(parameter_at(i), value) for i, value in enumerate(args)]
        named = {key: _argument(key, value) for key, value in kwargs.items()}
        result = compute(compute_it, *positional, **named)
        if name in _ANSWERS_WITH_ARRAY:
            result = np.asarray(result)
        return _result(result, *args, *kwargs.values())

    call.__name__ = call.__qualname__ = name
    return call


class ufunc:
    """A universal function of CuPy: ``out``, ``dtype`` and ``casting``, and few methods."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self._numpy = getattr(np, name)
        self._methods = NAMES[f"cupy.{name}"].detail.split()
        self.nin = getattr(self._numpy, "nin", 1)

    def __call__(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        if set(kwargs) - {"dtype", "casting"}:
            raise TypeError(f"cupy.{self.__name__}: Wrong arguments {kwargs}")
        if len(args) > self.nin:
            *args, out = args  # type: ignore[assignment]
        if out is not None:
            kwargs["out"] = _output(out)
        return _result(compute(self._numpy, *map(operand, args), **kwargs), out)

    def _require(self, method: str) -> None:
        if method not in self._methods:
            raise NotImplementedError(f"`cupy_{self.__name__}.{method}` is not supported yet")

    def outer(self, a: ndarray, b: ndarray) -> ndarray:
        self._require("outer")
        return wrap(compute(self._numpy.outer, operand(a), operand(b)))

    def reduce(
        self, array: ndarray, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims=False
    ):
        self._require("reduce")
        host = compute(self._numpy.reduce, array._host, axis, dtype, _output(out), keepdims)
        return _result(host, out)

    def accumulate(self, array: ndarray, axis: Any = 0, dtype: Any = None, out: Any = None):
        self._require("accumulate")
        return _result(compute(self._numpy.accumulate, array._host, axis, dtype, _output(out)), out)

    def reduceat(
        self, array: ndarray, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None
    ):
        self._require("reduceat")
        points = _argument("indices", indices)
        return _result(
            compute(self._numpy.reduceat, array._host, points, axis, dtype, _output(out)), out
        )

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        self._require("at")
        index, advanced = host_index(indices, a.shape)
        atomic = _ATOMIC.get(self.__name__, "iILQ")
        if advanced and a.dtype.char not in atomic:
            raise TypeError(f"{self.__name__}.at only supports the dtypes {atomic}, not {a.dtype}")
        value = operand(b)
        value = value.astype(a.dtype) if isinstance(value, np.ndarray) else value
        compute(self._numpy.at, a._host, index, value)


# Where NumPy's function of the same name does something else.


def _take(a: np.ndarray, indices: Any, axis: int | None = None, out: Any = None) -> np.ndarray:
    return np.take(a, indices, axis, out, mode="wrap")


def _wrapped(indices: np.ndarray, a: np.ndarray, axis: int | None) -> np.ndarray:
    size = a.size if axis is None else a.shape[axis]
    return indices % size if size else indices


def _take_along_axis(a: np.ndarray, indices: np.ndarray, axis: int | None) -> np.ndarray:
    return np.take_along_axis(a, _wrapped(indices, a, axis), axis)


def _put_along_axis(arr: np.ndarray, indices: np.ndarray, values: Any, axis: int | None) -> None:
    np.put_along_axis(arr, _wrapped(indices, arr, axis), values, axis)


def _eigvals(a: np.ndarray) -> np.ndarray:
    """Complex even where all are real, as CuPy has it."""
    values = np.linalg.eigvals(a)
    return values.astype(np.result_type(values, np.complex64))


def _holds_own(data: Any) -> set[bool]:
    """Whether the leaves of a nested list are arrays of the double: all, none, or both."""
    if type(data) in (list, tuple):
        return set().union(*map(_holds_own, data))
    return {isinstance(data, ndarray)}


def _strip(data: Any) -> Any:
    if type(data) in (list, tuple):
        return [_strip(item) for item in data]
    return data._host if isinstance(data, ndarray) else data


def _creator(name: str) -> Callable:
    """``array``, ``asarray`` and their like: the one way in for data of the host."""
    signature = cupy_names.signature(NAMES[f"cupy.{name}"])
    assert signature

    def create(*args: Any, **kwargs: Any) -> ndarray:
        given = signature.bind(*args, **kwargs).arguments
        data = given.pop(next(iter(signature.parameters)))
        given.pop("blocking", None)
        if given.get("copy") is False:
            given["copy"] = None  # CuPy: no copy where none is needed
        if len(_holds_own(data)) > 1:
            raise TypeError(NO_CONVERSION)
        host = getattr(np, name)(_strip(data), **given)
        supported(host.dtype)
        on_host = not isinstance(data, ndarray)
        return _result(np.array(host, copy=True, subok=False) if on_host else host, data)

    create.__name__ = create.__qualname__ = name
    return create


def _unwritten(create: Callable) -> Callable:
    """Memory that has not been written to yet: whoever reads it anyway gets NaN."""

    def unwritten(*args: Any, **kwargs: Any) -> np.ndarray:
        array = create(*args, **kwargs)
        if array.dtype.kind == "f":
            array.fill(np.nan)
        return array

    return unwritten


def _asnumpy(
    a: Any, stream: Any = None, order: Any = "C", out: Any = None, *, blocking: bool = True
):
    return a.get(stream, order, out) if isinstance(a, ndarray) else np.asarray(a, order=order)


def _get_array_module(*args: Any) -> ModuleType:
    return cupy if any(isinstance(a, ndarray) for a in args) else np


_OWN: dict[str, Any] = {
    "ndarray": ndarray,
    "ufunc": ufunc,
    "asnumpy": _asnumpy,
    "get_array_module": _get_array_module,
    "is_available": lambda: True,
    "take": _checked("cupy.take", _take),
    "take_along_axis": _checked("cupy.take_along_axis", _take_along_axis),
    "put_along_axis": _checked("cupy.put_along_axis", _put_along_axis),
    "cuda": cuda,
    "RawModule": RawModule,
    "empty": _checked("cupy.empty", _unwritten(np.empty)),
    "empty_like": _checked("cupy.empty_like", _unwritten(np.empty_like)),
} | {
    name: _creator(name)
    for name in ("array", "asanyarray", "asarray", "ascontiguousarray", "asfortranarray")
}


class _Double(ModuleType):
    """A module that says why it lacks a name."""

    def __getattr__(self, name: str) -> Any:
        path = f"{self.__name__}.{name}"
        if path in NAMES:
            raise AttributeError(f"CuPy has {path}, its double has not: add it to strict_cupy.py")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _fill(module: ModuleType, numpy_module: Any, own: dict[str, Any]) -> None:
    """Give the module all that CuPy lists under its name and NumPy can compute."""
    for path, name in NAMES.items():
        owner, _, attribute = path.rpartition(".")
        if owner != module.__name__:
            continue
        if attribute in own:
            setattr(module, attribute, own[attribute])
            continue
        value = getattr(numpy_module, attribute, None)
        if name.kind == "ufunc" and value is not None:
            setattr(module, attribute, ufunc(attribute))
        elif name.kind == "function" and callable(value):
            setattr(module, attribute, _checked(path, value))
        elif name.kind == "value" and isinstance(value, float):
            setattr(module, attribute, value)
        elif name.kind == "class" and isinstance(value, type):
            if issubclass(value, np.generic | np.dtype | np.finfo | np.iinfo | Exception):
                setattr(module, attribute, value)


def _add_methods() -> None:
    """The methods of ``ndarray`` that CuPy lists and NumPy has too."""
    for path, name in NAMES.items():
        owner, _, method = path.rpartition(".")
        if owner == "cupy.ndarray" and name.kind == "method" and not method.startswith("_"):
            if not hasattr(ndarray, method) and hasattr(np.ndarray, method):
                compute_it = _take if method == "take" else getattr(np.ndarray, method)
                setattr(ndarray, method, _checked(path, compute_it, is_method=True))


_add_methods()
cupy = _Double("cupy")
linalg = _Double("cupy.linalg")
_fill(linalg, np.linalg, {"eigvals": _checked("cupy.linalg.eigvals", _eigvals)})
_fill(cupy, np, _OWN | {"linalg": linalg})
cupy.newaxis = None  # type: ignore[attr-defined]
