"""Checks shared by the data layer: every one returns the value it has checked."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tinyseq.errors import ConfigError, DataError, DTypeError, ShapeError


def whole_number(name: str, value: Any, minimum: int) -> int:
    """``value`` as an int of at least ``minimum``; ConfigError or DTypeError otherwise."""
    if isinstance(value, (bool, np.bool_)):
        raise DTypeError(f"{name} must be a whole number, but is {value!r}.")
    try:
        number = operator.index(value)
    except TypeError:
        raise DTypeError(f"{name} must be a whole number, but is {value!r}.") from None
    if number < minimum:
        raise ConfigError(f"{name} must be at least {minimum}, but is {number}.")
    return number


def generator(rng: Any) -> np.random.Generator:
    """``rng`` if it is a NumPy Generator; DTypeError otherwise."""
    if not isinstance(rng, np.random.Generator):
        raise DTypeError(
            f"rng must be a numpy.random.Generator, but is {type(rng).__name__}; "
            "pass numpy.random.default_rng(seed)."
        )
    return rng


def symbol_ids(ids: Any, size: int | None = None) -> np.ndarray:
    """``ids`` as a one-dimensional int64 array with 0 <= id < ``size``.

    Raises ShapeError for another number of dimensions, DTypeError for values that are not
    integers, DataError for an id outside the range (it names the first one and its position).
    """
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ShapeError(f"ids must have one dimension, but have shape {array.shape}.")
    if array.dtype.kind not in "iu" and array.size:
        raise DTypeError(
            f"ids must be integers, but are {array.dtype}; encode text with Vocabulary.encode."
        )
    wrong = array < 0 if size is None else (array < 0) | (array >= size)
    if wrong.any():
        position = int(wrong.argmax())
        allowed = "0 or more" if size is None else f"0 to {size - 1}"
        raise DataError(
            f"id {int(array[position])} at position {position} is out of range: an id is {allowed}."
        )
    return array.astype(np.int64)
