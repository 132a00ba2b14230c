"""The loop as machine code: its functions, its products, what is kept on disk."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, results
from tinyseq import nn, ops
from tinyseq.compile import options
from tinyseq.errors import ConfigError

numba = pytest.importorskip("numba")

from tinyseq.compile.emit_numba import without_unused  # noqa: E402
from tinyseq.compile.fused import fused_math, fused_products  # noqa: E402

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


# -- functions of one number ---------------------------------------------------------------------


def over(function: Any) -> Any:
    """A function of one number, in a loop as the emitter writes them."""

    def run(x, y):
        for k in range(x.size):
            y[k] = function(x[k])

    return numba.njit(pipeline_class=fused_math.Distinct, **fused_math.HOW)(run)


LOOPS = {
    "exp": (over(fused_math.exp), np.exp),
    "expm1": (over(fused_math.expm1), np.expm1),
    "tanh": (over(fused_math.tanh), np.tanh),
    "sigmoid": (over(fused_math.sigmoid), lambda x: 0.5 + 0.5 * np.tanh(0.5 * x)),
}


def many_numbers(dtype: Any) -> np.ndarray:
    small = 10.0 ** np.linspace(-30, 1, 20001)
    parts = [np.linspace(-80, 80, 200001), np.linspace(-1, 1, 100001), small, -small]
    return np.concatenate(parts).astype(dtype)


@pytest.mark.parametrize("name", list(LOOPS))
@DTYPES
def test_a_function_is_right_to_the_last_bits(name: str, dtype: Any):
    loop, reference = LOOPS[name]
    x = many_numbers(dtype)
    y = np.empty_like(x)
    loop(x, y)
    longer = np.float64 if dtype is np.float32 else np.longdouble
    exact = reference(x.astype(longer))
    unit = np.spacing(np.abs(exact).astype(dtype))
    if name == "sigmoid":  # its error is that of a number near 1
        unit = np.full_like(unit, np.finfo(dtype).eps)
    assert float((np.abs(y - exact) / unit).max()) < 2.6


@pytest.mark.parametrize("name", list(LOOPS))
@DTYPES
def test_a_function_of_what_is_no_number(name: str, dtype: Any):
    loop, reference = LOOPS[name]
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1000, -1000], dtype)
    y = np.empty_like(x)
    loop(x, y)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y, reference(x))


@pytest.mark.parametrize("name", list(LOOPS))
@DTYPES
def test_a_loop_works_on_vectors(name: str, dtype: Any):
    loop = over(getattr(fused_math, name))
    x = np.ones(8, dtype)
    loop(x, x.copy())
    (code,) = loop.inspect_llvm().values()
    assert f" x {'float' if dtype is np.float32 else 'double'}> " in code


@DTYPES
def test_the_larger_and_the_smaller_of_two(dtype: Any):
    def run(a, b, larger, smaller):
        for k in range(a.size):
            larger[k] = fused_math.maximum(a[k], b[k])
            smaller[k] = fused_math.minimum(a[k], b[k])

    values = np.array([-1, 0, 2, np.inf, -np.inf, np.nan], dtype)
    a, b = (g.ravel() for g in np.meshgrid(values, values))
    larger, smaller = np.empty_like(a), np.empty_like(a)
    numba.njit(run)(a, b, larger, smaller)
    np.testing.assert_array_equal(larger, np.maximum(a, b))
    np.testing.assert_array_equal(smaller, np.minimum(a, b))


@DTYPES
def test_what_heads_for_denormal_numbers_is_zero(dtype: Any):
    def run(array):
        fused_math.flush(array)

    tiny = np.finfo(dtype).tiny
    array = np.array([[1, -1, tiny], [-tiny, tiny * 0.01, 0], [np.nan, np.inf, -np.inf]], dtype)
    expected = np.where(np.abs(array) <= tiny, dtype(0), array)
    numba.njit(run)(array)
    np.testing.assert_array_equal(array, expected)


# -- products --------------------------------------------------------------------------------------


@DTYPES
def test_products_of_all_shapes(dtype: Any):
    rng = np.random.default_rng(0)
    within = 1e-4 if dtype is np.float32 else 1e-12
    for rows in (1, 2, 3, 8, 15, 70):
        for inner in (0, 1, 5, 33):
            for columns in (1, 4, 16, 31, 32, 70):
                a = rng.normal(size=(rows, inner)).astype(dtype)
                b = rng.normal(size=(inner, columns)).astype(dtype)
                out = np.full((rows, columns), np.nan, dtype)
                fused_products.product(a, fused_products.packed(b), out)
                np.testing.assert_allclose(out, a @ b, rtol=within, atol=within)


@DTYPES
def test_a_product_of_matrices_that_lie_otherwise(dtype: Any):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 40, 40)).astype(dtype)
    for left in (a, a.T, a[::-1], a[::2, ::2], np.broadcast_to(a[:1], (7, 40))):
        for right in (b, b.T, b[:, ::-1]):
            right = right[: left.shape[1]]
            found = fused_products.dot(left, right)
            np.testing.assert_allclose(found, left @ right, rtol=1e-4, atol=1e-4)


def test_a_product_that_is_not_one_of_two_matrices_is_that_of_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 4))
    for left, right in ((a, b[0]), (a[0], b), (a.astype(np.float32), b), (a > 0, b > 0)):
        found = fused_products.dot(left, right)
        np.testing.assert_allclose(found, np.dot(left, right))
        assert found.dtype == np.dot(left, right).dtype


# -- loops -----------------------------------------------------------------------------------------


class Mixed(nn.Cell):
    """Views, copies, states that change places, a product from the left, an operation of NumPy."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.W = nn.Parameter(rng.normal(size=(6, 6)) * 0.4)
        self.M = nn.Parameter(rng.normal(size=(5, 5)) * 0.4)
        self.b = nn.Parameter(rng.normal(size=6))

    def __call__(self, x, state):
        a, b, n = state
        u = ops.tanh(a @ self.W + x[:, ::-1] * self.b)
        left, right = u[:, :3], u[:, 3:]
        v = ops.concatenate([right * left, ops.maximum(left, 0.1)], axis=1)
        w = ops.reshape(self.M @ ops.reshape(v, (5, 6)), (5, 6)) ** 2
        spread = ops.softmax(w, axis=1) / (1 + ops.exp(-v))
        total = ops.sum(spread * ops.transpose(ops.transpose(u)), axis=1, keepdims=True)
        new = ops.where(x > 0, spread, total * b)
        return new + n, (b * 0.5 + new, a, n * 0.9 + 0.1)

    def init_state(self, batch):
        return np.ones((batch, 6)), np.zeros((batch, 6)), np.array(1.0)


@pytest.fixture(scope="module")
def mixed() -> tuple[Any, Any, Any, Any]:
    cell = Mixed()
    rng = np.random.default_rng(1)
    state = (rng.normal(size=(5, 6)), rng.normal(size=(5, 6)), np.array(0.7))
    return cell, ts.compile(cell, emitter="numba"), rng.normal(size=(9, 5, 6)), state


def test_a_step_that_holds_a_bit_of_everything(mixed: Any):
    cell, fast, xs, state = mixed
    assert_same(results(fast, xs, state), results(cell, xs, state))


class Reshaped(nn.Cell):
    """A bias that is the state in another shape, powers, and a state that is turned around."""

    def __init__(self) -> None:
        self.W = nn.Parameter(np.random.default_rng(0).normal(size=(6, 6)) * 0.4)

    def __call__(self, x, state):
        a, b, c = state
        new = ops.tanh(ops.linear(a, self.W, ops.reshape(b, (6,))))
        power = 0.5**new + (-2.0) ** 3.0 * (new + 2) ** -0.5
        turned = ops.reshape(ops.sum(new, axis=0), (3, 2))
        return power, (new + x, ops.transpose(turned) * 0.1 + b[:, ::-1], c[:, ::-1])

    def init_state(self, batch):
        return np.ones((batch, 6)), np.zeros((2, 3)), np.zeros((batch, 3))


def test_views_that_no_formula_finds():
    rng = np.random.default_rng(1)
    state = tuple(rng.normal(size=shape) for shape in ((5, 6), (2, 3), (5, 3)))
    xs = rng.normal(size=(9, 5, 6))
    cell = Reshaped()
    assert_same(results(ts.compile(cell, emitter="numba"), xs, state), results(cell, xs, state))


class Clock(nn.Cell):
    """h' = tanh(x + h / (n + 1)), of which half a number is kept as well; n' = n + 1."""

    def __call__(self, x, state):
        h, half, n = state
        h = ops.tanh(x + h / (n + 1) + half.astype(h.dtype))
        return h, (h, (h * 0.5).astype(np.float16), n + 1)


def test_integers_and_halves_are_left_to_numpy():
    xs = np.random.default_rng(1).normal(size=(9, 5, 2))
    state = np.zeros((5, 2)), np.zeros((5, 2), np.float16), np.zeros((5, 1), int)
    fast = ts.compile(Clock(), emitter="numba")
    assert_same(results(fast, xs, state), results(Clock(), xs, state), within=1e-3)


def test_arrays_of_every_kind_may_be_passed(mixed: Any):
    cell, fast, xs, state = mixed
    expected = results(cell, xs, state)
    fixed = xs.copy()
    fixed.flags.writeable = False
    turned = np.ascontiguousarray(xs.T).T
    twice = np.repeat(xs, 2, axis=1)[:, ::2]
    for other in (fixed, turned, twice):
        assert_same(results(fast, other, state), expected)
    broad = np.broadcast_to(xs[:1], xs.shape)
    assert_same(results(fast, broad, state), results(cell, broad, state))


def test_a_gradient_that_is_one_number_everywhere(mixed: Any):
    cell, fast, xs, state = mixed

    def gradients(c: Any) -> list[np.ndarray]:
        return ts.grad(ts.unroll(c, xs, state)[0].sum(), cell.parameters())

    for found, expected in zip(gradients(fast), gradients(cell), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_one_function_serves_all_lengths_and_batches():
    cell = nn.LSTMCell(3, 4, seed=0)
    fast = ts.compile(cell, emitter="numba")
    rng = np.random.default_rng(0)
    pages = set()
    for steps, batch in ((3, 2), (8, 2), (8, 7)):
        xs = rng.normal(size=(steps, batch, 3)).astype(np.float32)
        ts.unroll(fast, xs, cell.init_state(batch))
        pages.add(fast.source.partition("def build")[0])
    assert len(pages) == 1


class Halved(nn.Cell):
    """h' = h / 2 + x."""

    def __call__(self, x, h):
        h = h * 0.5 + x
        return h, h


@pytest.mark.parametrize(("steps", "expected"), [(90, 0.5**90), (135, 0.0)])
def test_gradients_that_vanish_end_as_zeros(steps: int, expected: float):
    """2 ** -135 would be a denormal number."""
    before = ts.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    xs = np.zeros((steps, 2, 3), np.float32)
    ys, _ = ts.unroll(ts.compile(Halved(), emitter="numba"), xs, before)
    (gradient,) = ts.grad(ys[-1].sum(), [before])
    np.testing.assert_array_equal(gradient, np.full((2, 3), expected, np.float32))


def test_names_that_are_not_mentioned_again_are_left_out():
    source = "def f():\n    a = 1  # b\n    b = a\n    c = 2\n    return c"
    assert without_unused(source) == "def f():\n    c = 2\n    return c"


# -- what is kept on disk, and what is not there ---------------------------------------------------

SECOND = """
import json, time
start = time.perf_counter()
import numpy as np, tinyseq as ts
from tinyseq import nn
cell = nn.LSTMCell(3, 4, seed=0)
fast = ts.compile(cell, emitter="numba")
ys, _ = ts.unroll(fast, np.ones((5, 2, 3), np.float32), cell.init_state(2))
ts.grad((ys * ys).sum(), cell.parameters())
seconds = time.perf_counter() - start
import sys
(module,) = [m for name, m in sys.modules.items() if name.startswith("tinyseq_loop_")]
stats = [f.stats for f in (module.forward_steps, module.backward_steps, module.product)]
print(json.dumps([seconds, [sum(s.cache_misses.values()) for s in stats]]))
"""


def test_a_second_process_compiles_nothing(record_property: Any):
    path = str(Path(ts.__file__).parent.parent)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SECOND],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    seconds, misses = json.loads(done.stdout)
    record_property("cached_start_seconds", seconds)
    print(f"a compiled loop in a second process: {seconds:.2f} s, imports included")
    assert misses == [0, 0, 0]


def test_without_numba_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "tinyseq\[fast\]"'):
        ts.compile(nn.LSTMCell(2, 3), emitter="numba")
