"""Numbers that belong to a cell but are not learned: masks, periods, rates."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, namespace


def constant(values: np.ndarray, like: Any) -> Array:
    """The values in the dtype and the array library of another array."""
    array = like.data if isinstance(like, Tensor) else like
    return namespace(array).asarray(values, array.dtype)
