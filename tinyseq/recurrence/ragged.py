"""Sequences of different lengths in one padded batch: what has ended stays as it is."""

from __future__ import annotations

from typing import Any

from tinyseq import structure
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, namespace
from tinyseq.errors import ShapeError
from tinyseq.ops import where


def held(running: Any, output: Any, new: Any, old: Any) -> tuple[Any, Any]:
    """Sequences that have ended keep their state, and their output is zero."""
    kept = structure.map(lambda value, before: _where_running(running, value, before), new, old)
    return cleared(running, output), kept


def cleared(running: Any, value: Any) -> Any:
    """Zero for the sequences that have ended: NaN in the padding would get into the gradients."""
    return structure.map(lambda array: _where_running(running, array, 0), value)


def _where_running(running: Any, value: Any, otherwise: Any) -> Any:
    if value is None or running.all():
        return value
    array = value.data if isinstance(value, Tensor) else as_array(value)
    if array.shape[: running.ndim] != running.shape:
        raise ShapeError(
            f"unroll: with lengths, inputs, states and outputs are (batch, ...), not {array.shape}"
        )
    wide = running.reshape(running.shape + (1,) * (array.ndim - running.ndim))
    mask = namespace(array).asarray(wide)
    return where(mask, value, otherwise)
