"""Clipping: gradients that are too long for a step are shortened (book, section 10.11.1).

    norm = clip_grad_norm(model.parameters(), 1.0)       # all of them together: keeps the direction
    norms = clip_grad_norm_each(model.parameters(), 1.0) # each array by itself
    norm = clip_grad_value(model.parameters(), 0.1)      # each element: does not keep the direction

Each gives ``.grad`` new arrays, changes no array in place, and tells the norm from before. That
waits for the GPU once. Thresholds depend on whether the loss is a sum or a mean over time: quote
both.

A gradient with a NaN or an infinity has no direction. ``nonfinite`` says what to do then:

* "error": raise NonFiniteError, with the names of the parameters;
* "skip": drop all gradients, so that the optimizer passes over them;
* "random": put random ones of the largest allowed size in their place. The book: such a step
  "typically moves away from the numerically unstable configuration".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import hypot, inf, isfinite
from typing import Any

import numpy as np

from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import Array, as_array, namespace, to_numpy
from tinyseq.errors import ConfigError, NonFiniteError
from tinyseq.nn.parameter import Parameter
from tinyseq.random import Seed, generator

# Inside, a sum of squares in float32 neither overflows nor loses much to underflow.
_SAFE = (1e-12, 1e15)


def grad_norm(params: Iterable[Parameter]) -> float:
    """The Euclidean norm of all gradients together; NaN or infinite if one of them has such."""
    return _joint(_norms([_gradient(p) for p in _with_gradient(params)]))


def clip_grad_norm(
    params: Iterable[Parameter], max_norm: float, nonfinite: str = "error", seed: Seed = None
) -> float:
    """If the joint norm is above max_norm: g <- max_norm g / ||g|| (book, eqs. 10.48 and 10.49).

    Pascanu, Mikolov and Bengio 2013, algorithm 1. PyTorch divides by ||g|| + 1e-6.

    Args:
        params: parameters; those without a gradient are passed over.
        max_norm: the largest norm of all gradients together.
        nonfinite: "error", "skip" or "random": a Gaussian direction, of norm max_norm.
        seed: for the random direction.

    Returns:
        The joint norm before clipping (0 if there is no gradient).

    Raises:
        ConfigError: a threshold that is not positive, an unknown ``nonfinite``.
        NonFiniteError: a NaN or an infinity in a gradient.
    """
    _check(max_norm, nonfinite)
    chosen = _with_gradient(params)
    norms = _norms([_gradient(p) for p in chosen])
    norm = _joint(norms)
    if not isfinite(norm):
        rng = generator(seed)
        fresh = [rng.standard_normal(p.shape) for p in chosen]
        length = _joint([float(np.linalg.norm(g)) for g in fresh])
        _replace(chosen, norms, nonfinite, lambda k: fresh[k] * (max_norm / length))
    elif norm > max_norm:
        for parameter in chosen:
            parameter.grad = as_array(_gradient(parameter) * (max_norm / norm))
    return norm


def clip_grad_norm_each(
    params: Iterable[Parameter], max_norm: float, nonfinite: str = "error", seed: Seed = None
) -> list[float]:
    """As ``clip_grad_norm``, but each array by its own norm: the joint direction is not kept.

    Returns:
        For each parameter its norm before clipping (0 for one without a gradient).
    """
    _check(max_norm, nonfinite)
    params = list(params)
    chosen = _with_gradient(params)
    norms = _norms([_gradient(p) for p in chosen])
    if not all(map(isfinite, norms)):
        rng = generator(seed)

        def draw(k: int) -> np.ndarray:
            g = rng.standard_normal(chosen[k].shape)
            return g * (max_norm / np.linalg.norm(g))

        _replace(chosen, norms, nonfinite, draw)
    else:
        for parameter, norm in zip(chosen, norms, strict=True):
            if norm > max_norm:
                parameter.grad = as_array(_gradient(parameter) * (max_norm / norm))
    found = dict(zip(map(id, chosen), norms, strict=True))
    return [found.get(id(parameter), 0.0) for parameter in params]


def clip_grad_value(
    params: Iterable[Parameter], max_value: float, nonfinite: str = "error", seed: Seed = None
) -> float:
    """Every element into [-max_value, max_value] (Mikolov 2012).

    For ``nonfinite="random"``, the elements are uniform in that range.

    Returns:
        The joint norm before clipping.
    """
    _check(max_value, nonfinite)
    chosen = _with_gradient(params)
    norms = _norms([_gradient(p) for p in chosen])
    if not all(map(isfinite, norms)):
        rng = generator(seed)
        _replace(
            chosen, norms, nonfinite, lambda k: rng.uniform(-max_value, max_value, chosen[k].shape)
        )
    else:
        for parameter in chosen:
            g = _gradient(parameter)
            parameter.grad = as_array(namespace(g).clip(g, -max_value, max_value))
    return _joint(norms)


def _check(limit: float, nonfinite: str) -> None:
    if not 0 < limit < inf:
        raise ConfigError(f"clipping: the threshold is a positive number, not {limit!r}")
    if nonfinite not in ("error", "skip", "random"):
        raise ConfigError(f"nonfinite is 'error', 'skip' or 'random', not {nonfinite!r}")


def _with_gradient(params: Iterable[Parameter]) -> list[Parameter]:
    params = [params] if isinstance(params, Parameter) else params
    return [parameter for parameter in params if parameter.grad is not None]


def _gradient(parameter: Parameter) -> Array:
    return parameter.grad.data if isinstance(parameter.grad, Tensor) else parameter.grad


def _norms(gradients: Sequence[Array]) -> list[float]:
    """The norm of each array; one wait for the GPU."""
    if not gradients:
        return []
    xp = namespace(*gradients)
    wide = [g.astype(xp.promote_types(g.dtype, np.float32), copy=False) for g in gradients]
    squares = to_numpy(xp.stack([xp.vdot(g, g).astype(np.float64) for g in wide]))
    norms = np.sqrt(squares).tolist()
    low, high = _SAFE
    return [
        norm if low < norm < high else _norm_of_extremes(g)
        for norm, g in zip(norms, gradients, strict=True)
    ]


def _norm_of_extremes(g: Array) -> float:
    """The norm where squares may overflow or underflow: scaled by the largest element."""
    if not g.size:
        return 0.0
    largest = float(abs(g).max())
    if largest == 0 or not isfinite(largest):
        return largest
    scaled = g.astype(np.float64) / largest
    return largest * float(namespace(g).linalg.norm(scaled))


def _joint(norms: Sequence[float]) -> float:
    """The norm of all arrays together, from the norm of each."""
    if not all(map(isfinite, norms)):
        return sum(norms)  # NaN if one is NaN, else infinite
    return hypot(*norms)


def _replace(
    chosen: Sequence[Parameter], norms: Sequence[float], nonfinite: str, draw: Callable[[int], Any]
) -> None:
    """What is done about gradients of which one is not finite."""
    if nonfinite == "error":
        bad = [
            p.name or f"parameter {k}"
            for k, (p, norm) in enumerate(zip(chosen, norms, strict=True))
            if not isfinite(norm)
        ]
        raise NonFiniteError(
            f"a NaN or an infinity in the gradient of {', '.join(bad)}. Take a smaller "
            "learning rate or threshold, pass nonfinite='skip' or 'random', or find the operation "
            "with ts.detect_nonfinite()."
        )
    for k, parameter in enumerate(chosen):
        if nonfinite == "skip":
            parameter.grad = None
        else:
            xp = namespace(parameter.data)
            parameter.grad = xp.asarray(draw(k).astype(parameter.dtype))
