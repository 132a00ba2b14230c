"""Sine and cosine in compiled loops: to the last bits, for every number, as vectors."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, results
from tinyseq import nn, ops

numba = pytest.importorskip("numba")

from tinyseq.compile.fused import fused_math, fused_sines  # noqa: E402

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NAMES = pytest.mark.parametrize("name", ["sin", "cos"])


def compiled(function: Any) -> Any:
    """A function of two arrays, in a function as the emitter writes them."""

    def run(x, y):
        function(x, y)

    return numba.njit(pipeline_class=fused_math.Distinct, **fused_math.HOW)(run)


LOOPS = {name: compiled(getattr(fused_sines, name)) for name in ("sin", "cos")}


def found(name: str, x: np.ndarray) -> np.ndarray:
    y = np.full_like(x, 7)
    LOOPS[name](x, y)
    return y


def units_off(name: str, x: np.ndarray) -> float:
    """How far the worst result is from the exact one, in units of its last bit."""
    longer = np.float64 if x.dtype == np.float32 else np.longdouble
    exact = getattr(np, name)(x.astype(longer))
    return float((np.abs(found(name, x) - exact) / np.spacing(np.abs(exact).astype(x.dtype))).max())


@NAMES
@DTYPES
def test_it_is_right_to_the_last_bits(name: str, dtype: Any):
    far = fused_sines.FAR[dtype]
    small = 10.0 ** np.linspace(-30, 1, 20001)
    anywhere = np.random.default_rng(0).uniform(-far, far, 200000)
    x = np.concatenate([np.linspace(-80, 80, 200001), small, -small, anywhere, [far, -far]])
    assert units_off(name, x.astype(dtype)) < 1.6
    assert np.abs(found(name, x.astype(dtype))).max() <= 1


@NAMES
@DTYPES
def test_it_is_right_next_to_the_multiples_of_a_quarter_turn(name: str, dtype: Any):
    """Where next to nothing is left of x."""
    most = int(fused_sines.FAR[dtype] / 1.6)
    n = np.concatenate(
        [np.arange(-40000, 40000), np.random.default_rng(0).integers(-most, most, 200000)]
    )
    half_pi = np.longdouble(np.pi / 2) + np.longdouble(6.123233995736766e-17)
    x = (n * half_pi).astype(dtype)
    for near in (x, np.nextafter(x, dtype(np.inf)), np.nextafter(x, dtype(-np.inf))):
        assert units_off(name, near) < 1.6


@NAMES
@DTYPES
def test_what_is_large_infinite_or_no_number(name: str, dtype: Any):
    far, most = fused_sines.FAR[dtype], np.finfo(dtype).max
    large = np.array([np.nextafter(dtype(far), dtype(np.inf)), -3 * far, 1e22, -1e30, most], dtype)
    assert units_off(name, large) < 1.6
    odd = np.array([np.inf, -np.inf, np.nan], dtype)
    assert np.isnan(found(name, odd)).all() and np.isnan(found(name, odd[2:])).all()
    zeros = np.array([0, -0.0, np.finfo(dtype).smallest_subnormal], dtype)
    np.testing.assert_array_equal(found(name, zeros), getattr(np, name)(zeros))


@NAMES
@DTYPES
def test_a_number_does_not_depend_on_its_neighbours(name: str, dtype: Any):
    x = np.random.default_rng(0).normal(size=(3, 50)).astype(dtype) * 9
    alone = found(name, x)
    for large in (1e30, np.inf, np.nan):
        x[1, 20] = large
        beside = found(name, x)
        same = np.ones(x.shape, bool)
        same[1, 20] = False
        np.testing.assert_array_equal(beside[same], alone[same])


@NAMES
def test_arrays_of_every_kind(name: str):
    x = np.random.default_rng(0).normal(size=(5, 6, 7))
    for view in (x, x[0, 0], x[0], x.T, x[:, ::-1, 2:5], x[:0]):
        np.testing.assert_allclose(found(name, view), getattr(np, name)(view), rtol=1e-15)
    expected = found(name, x)
    compiled(getattr(fused_sines, name))(x, x)
    np.testing.assert_array_equal(x, expected)


@NAMES
@DTYPES
def test_it_works_on_vectors(name: str, dtype: Any):
    loop = compiled(getattr(fused_sines, name))
    loop(np.ones((4, 8), dtype), np.ones((4, 8), dtype))
    (code,) = loop.inspect_llvm().values()
    lanes = [n for n in (2, 4, 8, 16) if f"@llvm.fma.v{n}f{8 * np.dtype(dtype).itemsize}" in code]
    assert lanes


class Waves(nn.Cell):
    """Sines of a state, of part of a product, of what is turned around, and of a number."""

    def __init__(self, dtype: Any) -> None:
        self.W = nn.Parameter(np.random.default_rng(0).normal(size=(8, 4)).astype(dtype))

    def __call__(self, x, state):
        p, n = state
        a, b = ops.split(ops.linear(ops.sin(p), self.W), 2, -1)
        turned = ops.sin(p[:, ::-1]) + ops.cos(ops.transpose(ops.transpose(p)))
        both = ops.concatenate([ops.cos(a), ops.sin(b * 3)], axis=1)
        p = p * 0.7 + ops.cos(b) + x * ops.cos(n)
        return both, (p + turned, ops.sin(n + 0.1))


def waves(dtype: Any, steps: int) -> tuple[Any, Any, Any]:
    """A cell, its inputs and its state."""
    rng = np.random.default_rng(1)
    state = (rng.normal(size=(5, 4)).astype(dtype), np.array(0.4, dtype))
    return Waves(dtype), rng.normal(size=(steps, 5, 4)).astype(dtype), state


@DTYPES
def test_a_cell_of_sines(dtype: Any):
    cell, xs, state = waves(dtype, 6)
    assert_same(results(ts.compile(cell, emitter="numba"), xs, state), results(cell, xs, state))


@pytest.mark.parametrize("large", [1e5, 1e15])
@DTYPES
def test_a_large_phase(dtype: Any, large: float):
    """One step, as its last bit is another phase after it."""
    cell, xs, state = waves(dtype, 1)
    state[0][2, 1] *= large
    assert_same(results(ts.compile(cell, emitter="numba"), xs, state), results(cell, xs, state))


def test_a_sine_is_a_function_of_an_array():
    """Unless its elements are in another order: then it is part of a loop over the elements."""
    fast = ts.compile(Waves(np.float64), emitter="numba")
    ts.unroll(fast, np.ones((3, 5, 4)), (np.ones((5, 4)), np.array(0.4)))
    loops, _, build = fast.source.partition("def build")
    assert "    sin(" in loops and "    cos(" in loops and "np.sin(" in loops
    assert "np.sin(" not in build
