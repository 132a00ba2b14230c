"""products: what a loop of ``emit_numpy`` calls for the products of all steps."""

from __future__ import annotations

from typing import Any

import numpy as np


def products(weight: Any, x: Any, out: Any) -> None:
    """out(t) = weight x(t) for all steps t; one product if the steps of ``out`` lie side by side.

    Shapes: weight (M, K), x (T, K, N), out (T, M, N).
    """
    side_by_side = out.swapaxes(0, 1)
    if side_by_side.flags.c_contiguous:
        columns = len(x) * x.shape[2]
        flat = side_by_side.reshape(len(weight), columns)
        np.dot(weight, x.swapaxes(0, 1).reshape(x.shape[1], columns), flat)
    else:
        np.matmul(weight, x, out)
