"""Initial values of weights, as raw float32 arrays (or of another dtype).

A weight matrix has shape (output, input), as in PyTorch. ``seed`` is a number, a generator, or None
for the default one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ConfigError, ShapeError
from tinyseq.random import Seed, generator

Shape = tuple[int, ...]


def zeros(shape: Shape, dtype: Any = np.float32) -> np.ndarray:
    """All zero."""
    return np.zeros(shape, dtype)


def uniform(shape: Shape, bound: float, seed: Seed = None, dtype: Any = np.float32) -> np.ndarray:
    """Uniform in [-bound, bound); with bound 1/sqrt(hidden_size), PyTorch's choice for RNNs."""
    return generator(seed).uniform(-bound, bound, shape).astype(dtype)


def normal(shape: Shape, std: float, seed: Seed = None, dtype: Any = np.float32) -> np.ndarray:
    """Gaussian with mean 0."""
    return (std * generator(seed).standard_normal(shape)).astype(dtype)


def xavier(
    shape: Shape, gain: float = 1.0, seed: Seed = None, dtype: Any = np.float32
) -> np.ndarray:
    """Uniform with variance gain^2 * 2 / (input + output) (Glorot and Bengio 2010, eq. 16)."""
    fan_out, fan_in = _matrix(shape, "xavier")
    return uniform(shape, gain * (6.0 / (fan_in + fan_out)) ** 0.5, seed, dtype)


def orthogonal(
    shape: Shape, gain: float = 1.0, seed: Seed = None, dtype: Any = np.float32
) -> np.ndarray:
    """Orthonormal rows or columns, whichever are fewer, uniformly drawn (Saxe et al. 2014)."""
    rows, columns = _matrix(shape, "orthogonal")
    gaussian = generator(seed).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(gaussian)
    q = q * np.sign(np.diag(r))
    return (gain * (q if rows >= columns else q.T)).astype(dtype)


def identity(size: int, scale: float = 1.0, dtype: Any = np.float32) -> np.ndarray:
    """scale * I: with ReLU units the IRNN of Le et al. 2015."""
    return (scale * np.eye(size)).astype(dtype)


def sparse(
    shape: Shape, nonzeros: int = 15, std: float = 1.0, seed: Seed = None, dtype: Any = np.float32
) -> np.ndarray:
    """Exactly ``nonzeros`` Gaussian weights into every unit (row), zero elsewhere (Martens 2010).

    Raises:
        ConfigError: more non-zeros than inputs.
    """
    rows, columns = _matrix(shape, "sparse")
    if not 0 < nonzeros <= columns:
        raise ConfigError(f"sparse: {nonzeros} non-zeros a unit do not fit {columns} inputs")
    rng = generator(seed)
    weight = np.zeros(shape)
    for row in range(rows):
        chosen = rng.choice(columns, nonzeros, replace=False)
        weight[row, chosen] = std * rng.standard_normal(nonzeros)
    return weight.astype(dtype)


def spectral_radius(weight: np.ndarray) -> float:
    """The largest modulus of an eigenvalue, from all of them.

    Power iteration does not find it where the dominant eigenvalues are a complex pair.
    """
    rows, columns = _matrix(weight.shape, "spectral_radius")
    if rows != columns:
        raise ShapeError(f"spectral_radius: a square matrix is wanted, not {weight.shape}")
    return float(np.abs(np.linalg.eigvals(weight.astype(np.float64))).max())


def with_spectral_radius(weight: np.ndarray, radius: float) -> np.ndarray:
    """The matrix scaled to the given spectral radius.

    Raises:
        ConfigError: the matrix has no eigenvalue but zero.
    """
    now = spectral_radius(weight)
    if now == 0:
        raise ConfigError(
            "with_spectral_radius: all eigenvalues are zero, no scale gives another radius"
        )
    return (weight * (radius / now)).astype(weight.dtype)


def chrono(
    hidden_size: int, longest: int, seed: Seed = None, dtype: Any = np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """Forget and input biases for spans up to ``longest`` steps (Tallec and Ollivier 2018, eq. 16).

    b_f = log U(1, longest - 1),  b_i = -b_f.
    """
    if longest < 3:
        raise ConfigError(f"chrono: the longest span is at least 3 steps, not {longest}")
    forget = np.log(generator(seed).uniform(1, longest - 1, hidden_size))
    return forget.astype(dtype), (-forget).astype(dtype)


def _matrix(shape: Shape, what: str) -> tuple[int, int]:
    if len(shape) != 2 or min(shape) < 1:
        raise ShapeError(f"{what}: the shape of a matrix (output, input) is wanted, not {shape}")
    return shape[0], shape[1]
