"""Losses. The book sums over time (eq. 10.12), so the reduction is "sum" unless said otherwise.

``reduction``: "sum", "mean" (over the elements that count), or "none". The scale of gradients, and
with it every clipping threshold, depends on the choice.
"""

from __future__ import annotations

from math import log, pi
from typing import Any

from tinyseq.autograd.primitive import place
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, namespace
from tinyseq.errors import ConfigError, DTypeError, ShapeError
from tinyseq.ops import astype, log_softmax, mul, reshape, softplus, sub, take_along_axis
from tinyseq.ops import sum as total


def cross_entropy(
    logits: Any, targets: Any, reduction: str = "sum", ignore_index: int | None = None
) -> Any:
    """-log softmax(logits)[target] (book, eq. 10.14 for one step).

    Args:
        logits: (..., K) scores before the softmax.
        targets: (...) integers in [0, K); a labelled Tensor shows in the pictures.
        reduction: "sum", "mean" or "none".
        ignore_index: targets of this value do not count; it may lie outside [0, K).

    Raises:
        ShapeError: shapes that do not fit, or a target outside [0, K).
        DTypeError: targets that are not integers.
    """
    targets = targets if hasattr(targets, "dtype") else as_array(targets)
    if targets.dtype.kind not in "iu":
        raise DTypeError(f"cross_entropy{place()}: targets are integers, not {targets.dtype}")
    if tuple(logits.shape[:-1]) != tuple(targets.shape):
        raise ShapeError(
            f"cross_entropy{place()}: logits of shape {tuple(logits.shape)} want targets of shape "
            f"{tuple(logits.shape[:-1])}, not {tuple(targets.shape)}"
        )
    array = targets.data if isinstance(targets, Tensor) else targets
    counted = None
    if ignore_index is not None:
        counted = array != ignore_index
        array = namespace(array).where(counted, array, 0)
        targets = Tensor(array, targets.node) if isinstance(targets, Tensor) else array
    if array.size and int(array.min()) < 0:
        raise ShapeError(f"cross_entropy{place()}: target {int(array.min())} is negative")
    try:
        chosen = take_along_axis(log_softmax(logits), reshape(targets, (*targets.shape, 1)), -1)
    except ShapeError:  # it has looked at the targets; on a GPU another look would take its time
        highest, classes = int(array.max()), logits.shape[-1]
        if highest < classes:
            raise
        raise ShapeError(
            f"cross_entropy{place()}: target {highest} is too large for {classes} classes, "
            f"which are 0 to {classes - 1}"
        ) from None
    losses = -reshape(chosen, tuple(targets.shape))
    return _reduced(losses, counted, reduction)


def binary_cross_entropy_with_logits(logits: Any, targets: Any, reduction: str = "sum") -> Any:
    """-y log sigmoid(a) - (1 - y) log(1 - sigmoid(a)) = softplus(a) - a y, for y in [0, 1]."""
    targets = _same_shape("binary_cross_entropy_with_logits", logits, targets)
    return _reduced(sub(softplus(logits), mul(logits, targets)), None, reduction)


def mse(outputs: Any, targets: Any, reduction: str = "sum") -> Any:
    """Squared error (o - y)^2. Half of it is ``gaussian_nll`` but for a constant."""
    targets = _same_shape("mse", outputs, targets)
    error = sub(outputs, targets)
    return _reduced(error * error, None, reduction)


def gaussian_nll(outputs: Any, targets: Any, reduction: str = "sum") -> Any:
    """-log N(y; o, I) = (o - y)^2 / 2 + log(2 pi) / 2: o is the mean of a unit Gaussian."""
    targets = _same_shape("gaussian_nll", outputs, targets)
    error = sub(outputs, targets)
    return _reduced(error * error * 0.5 + 0.5 * log(2 * pi), None, reduction)


def _same_shape(what: str, outputs: Any, targets: Any) -> Any:
    """The targets, of the outputs' shape and no integers: those would turn float32 into float64."""
    targets = targets if hasattr(targets, "shape") else as_array(targets)
    if tuple(outputs.shape) != tuple(targets.shape):
        raise ShapeError(
            f"{what}{place()}: outputs of shape {tuple(outputs.shape)} and targets of shape "
            f"{tuple(targets.shape)}: nothing is broadcast here"
        )
    return targets if targets.dtype.kind == "f" else astype(targets, outputs.dtype)


def _reduced(losses: Any, counted: Any, reduction: str) -> Any:
    if counted is not None:
        losses = losses * counted.astype(losses.dtype)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return total(losses)
    if reduction != "mean":
        raise ConfigError(f"reduction is 'sum', 'mean' or 'none', not {reduction!r}")
    count = int(counted.sum()) if counted is not None else losses.size
    if not count:
        raise ShapeError("a mean over no elements: every target is ignored, or the batch is empty")
    return total(losses) * (1 / count)
