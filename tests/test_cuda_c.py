"""The host's reading of CUDA C computes what C computes, and refuses what goes wrong on a GPU."""

import numpy as np
import pytest

from cuda_c import RaceError, parse

HEAD = 'extern "C" __global__ void f(const float *a, float *b, const long long t) {'
THREAD = "const int i = (int)blockIdx.x * blockDim.x + threadIdx.x;"


def run(body: str, a: np.ndarray, b: np.ndarray, t: int = 0, blocks: int = 2, threads: int = 4):
    parse(f"{HEAD} {THREAD} {body}\n}}")["f"].launch((blocks,), (threads,), (a, b, t))
    return b


def arrays(size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    return np.linspace(-2, 2, size, dtype=np.float32), np.full(size, np.nan, np.float32)


# What it computes: a text, and the same in NumPy.
COMPUTED = {
    "b[i] = a[i] * 2.0f - 1.0f / a[i];": lambda a, i: a * 2 - 1 / a,
    "b[i] = a[i] - 1.0f - 1.0f - -a[i];": lambda a, i: a - 1 - 1 + a,
    "b[i] = 1.0f + a[i] * a[i] / 2.0f;": lambda a, i: 1 + a * a / 2,
    "b[i] = tanhf(a[i]) + powf(fabsf(a[i]), 0.5f);": lambda a, i: np.tanh(a) + np.abs(a) ** 0.5,
    "b[i] = a[i] > 0.0f || a[i] != a[i] ? a[i] : 0.5f;": lambda a, i: np.where(a > 0, a, 0.5),
    "b[i] = a[i] > 0.0f && a[i] < 1.0f ? 1.0f : a[i] < 0.0f ? -1.0f : 0.0f;": lambda a, i: np.where(
        (a > 0) & (a < 1), 1, np.where(a < 0, -1, 0)
    ),
    "const int k = i / 3, m = i % 3; b[i] = (float)(k * 10 + m);": lambda a, i: i // 3 * 10 + i % 3,
    "const int k = 3 - i; b[i] = (float)(k / 2 * 10 + k % 2);": lambda a, i: (
        np.trunc((3 - i) / 2) * 10 + np.fmod(3 - i, 2)
    ),
    "const bool c = a[i] >= 0.0f; b[i] = (float)c;": lambda a, i: a >= 0,
    "b[i] = (float)((double)a[i] / 3.0);": lambda a, i: a.astype(float) / 3,
    "b[i] = (float)t;  // b[i] = 0.0f;": lambda a, i: np.full(8, 5),
    "b[i] = __int_as_float(0x7f800000);": lambda a, i: np.full(8, np.inf),
}


@pytest.mark.parametrize("body", COMPUTED)
def test_it_computes_what_c_computes(body: str):
    a, b = arrays()
    expected = COMPUTED[body](a, np.arange(8))
    np.testing.assert_allclose(run(body, a, b, 5), np.asarray(expected, np.float32), rtol=1e-6)


def test_what_is_declared_inside_a_block_ends_there():
    a, b = arrays()
    run("if (i < 4) { const float x = 1.0f; b[i] = x; } if (i < 8) { const float x = 2.0f; b[7 - i"
        " + 0] = x; }", a, np.zeros(16, np.float32)[:8].copy(), blocks=1)  # fmt: skip
    with pytest.raises(KeyError):
        run("if (i < 4) { const float x = 1.0f; } b[i] = x;", a, b)


# What it refuses.
REFUSED = {
    "b[i + 1] = a[i];": IndexError,
    "b[i] = a[i - 1];": IndexError,
    "b[i / 2] = a[i];": RaceError,
    "b[0] = 1.0f;": RaceError,
    "b[i] = a[i]; b[i] = 0.0f;": RaceError,
    "b[i] = 1.0f; if (i < 7) { const float x = b[i + 1]; }": RaceError,
    "a[i] = 1.0f;": TypeError,
    "b[i] = a[i] * 0.5;": TypeError,
    "b[i] = 0.5;": TypeError,
    "b[i] = i;": TypeError,
    "b[i] = tanh(a[i]);": TypeError,
    "const double x = a[i];": TypeError,
    "const int k = a[i];": TypeError,
    "b[i] = 1e-05f + 0x10LL * 1.5e3f;": TypeError,
    "const int k = i * 2147483647;": OverflowError,
    "const int k = t * 4294967296LL;": OverflowError,
    "const int k = 1 / i;": ZeroDivisionError,
    "b[a[i] > 0.0f ? 0 : 1] = 1.0f;": RaceError,
    "b[i] = i ? 1.0f : 0.0f;": TypeError,
    "while (i) { }": SyntaxError,
    "b[i] += 1.0f;": SyntaxError,
    "float x = 1.0f;": SyntaxError,
    "b[i] = a[i]": SyntaxError,
    "b[i] = a@i;": SyntaxError,
}


@pytest.mark.parametrize("body", REFUSED)
def test_it_refuses(body: str):
    a, b = arrays()
    with pytest.raises(REFUSED[body]):
        run(body, a, b, 1)


def test_a_branch_that_is_not_taken_reads_nothing():
    a, b = arrays()
    run("b[i] = i < 7 ? a[i + 1] : 0.0f;", a, b)
    np.testing.assert_array_equal(b, [*a[1:], 0])
    run("const bool c = i < 7 && a[i + 1] > 0.0f; b[i] = c ? 1.0f : 0.0f;", a, b)
    np.testing.assert_array_equal(b, [*(a[1:] > 0), 0])


def test_two_parameters_may_be_one_array():
    b = np.ones(9, np.float32)
    text = "b[i] = a[i] + 1.0f;"
    np.testing.assert_array_equal(run(text, b[:8], b[:8])[:8], 2)
    with pytest.raises(RaceError):
        run(text, b[:8], b[1:])
