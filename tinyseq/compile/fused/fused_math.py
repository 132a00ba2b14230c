"""fused_math: functions of one number that LLVM turns into vector instructions.

The C library's tanh and exp take one number at a time. These have no branches and call nothing, so
a loop over an array works on as many numbers as a register holds. They rest on one reduction,

    e**x = 2**n e**r,    n = the integer next to x / log 2,    |r| <= log(2) / 2,

with the Taylor series of e**r, cut where its terms no longer count, and 2**n put together from its
bits. Infinities and NaN pass through as they do in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, log
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.compiler import Compiler
from numba.extending import intrinsic, overload, register_jitable


class Distinct(Compiler):
    """Compiles a function whose arrays do not share memory, so that its loops become vectors."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state.flags.noalias = True


# A product and a sum may become one instruction, with one rounding; nothing else is let loose.
HOW: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}


def kept(function: Callable[..., Any], **how: Any) -> Any:
    """Compile a function; what comes out is kept on disk, if there is a place for it."""
    try:
        return njit(cache=True, **HOW, **how)(function)
    except RuntimeError:  # the folder of the package and that of the user are not writable
        return njit(**HOW, **how)(function)


def loop(function: Callable[..., None]) -> Any:
    """Compile a loop over arrays that share no memory; it runs without the interpreter's lock."""
    return kept(function, pipeline_class=Distinct)


def given(array: np.ndarray) -> np.ndarray:
    """What a caller brings, in the one form for which loops are compiled: in order, read-only."""
    array = np.asarray(array, order="C").view()
    array.flags.writeable = False
    return array


def _power(typing: Any, z: Any) -> Any:
    """2**n from z = 1.5 * 2**m + n, in whose last bits n stands; m is the mantissa's length."""
    bits, mantissa = (32, 23) if z == types.float32 else (64, 52)
    one = ((1 << (bits - mantissa - 2)) - 1) << mantissa  # the bits of 1.0

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(bits)
        n = builder.shl(builder.bitcast(args[0], integer), ir.Constant(integer, mantissa))
        n = builder.add(n, ir.Constant(integer, one))
        return builder.bitcast(n, context.get_value_type(z))

    return z(z), codegen


_two_to_the: Any = intrinsic(_power)


def _family(f: Any, terms: int, log2: tuple[float, float], inf: float, zero: float, flat: float):
    """exp, expm1 and tanh in one precision; log 2 in two parts: n by the first has no rounding."""
    shift = f(1.5 * 2.0 ** np.finfo(f).nmant)  # what is added to it is rounded to an integer
    per_log2, first, second = f(1 / log(2)), f(log2[0]), f(log2[1])
    coefficients = [f(1 / factorial(k)) for k in range(2, terms)]
    half, one, two, inf, zero, flat = (f(c) for c in (0.5, 1, 2, inf, zero, flat))

    series = horner(coefficients)

    @register_jitable
    def less_one(r: Any) -> Any:  # e**r - 1 = r + r**2 (1/2! + r/3! + ...)
        return r + r * r * series(r)

    @register_jitable
    def exp(x: Any) -> Any:
        x = inf if x > inf else x
        x = zero if x < zero else x
        n = x * per_log2 + shift - shift
        r = x - n * first - n * second
        part = n * half + shift  # 2**n in two parts, of which neither is too large or too small
        return (one + less_one(r)) * _two_to_the(part) * _two_to_the(n - (part - shift) + shift)

    @register_jitable
    def expm1(x: Any) -> Any:
        x = inf if x > inf else x
        x = -flat if x < -flat else x
        z = x * per_log2 + shift
        n = z - shift
        scale = _two_to_the(z - one)  # half of 2**n, which may be too large
        return two * (scale * less_one(x - n * first - n * second) + (scale - half))

    @register_jitable
    def tanh(x: Any) -> Any:  # (e**2x - 1) / (e**2x + 1)
        x = two * x
        x = flat if x > flat else x
        x = -flat if x < -flat else x
        z = x * per_log2 + shift
        n = z - shift
        scale = _two_to_the(z)
        power = scale * less_one(x - n * first - n * second) + (scale - one)
        return power / (power + two)

    return exp, expm1, tanh


def horner(coefficients: list[Any]) -> Any:
    """The polynomial with these coefficients, the constant first."""
    constant, rest = coefficients[0], coefficients[1:]
    if not rest:
        return register_jitable(lambda r: constant)
    inner = horner(rest)
    return register_jitable(lambda r: constant + r * inner(r))


_LOG2 = float.fromhex("0x1.62e4p-1"), 1.4286068203094173e-06
_LOG2_LONG = float.fromhex("0x1.62e42feep-1"), 1.9082149292705877e-10
_OF: dict[Any, Any] = {
    types.float32: _family(np.float32, 8, _LOG2, inf=89, zero=-104, flat=20),
    types.float64: _family(np.float64, 15, _LOG2_LONG, inf=710, zero=-746, flat=44),
}


# -- what the loops call ---------------------------------------------------------------------------


def exp(x: Any) -> Any:
    """e**x."""


def expm1(x: Any) -> Any:
    """e**x - 1, of small x too."""


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""


def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x), as (1 + tanh(x / 2)) / 2."""


def maximum(a: Any, b: Any) -> Any:
    """The larger of two numbers; NaN if either is."""


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two numbers; NaN if either is."""


def flush(array: Any) -> None:
    """Set to zero what heads for denormal numbers, which a CPU handles many times slower."""


@overload(exp)
def _exp(x: Any) -> Any:
    return _OF[x][0]


@overload(expm1)
def _expm1(x: Any) -> Any:
    return _OF[x][1]


@overload(tanh)
def _tanh(x: Any) -> Any:
    return _OF[x][2]


@overload(sigmoid)
def _sigmoid(x):
    half, curve = (np.float32(0.5) if x == types.float32 else 0.5), _OF[x][2]
    return lambda x: curve(x * half) * half + half


@overload(maximum)
def _maximum(a, b):
    return lambda a, b: a if a >= b or a != a else b


@overload(minimum)
def _minimum(a, b):
    return lambda a, b: a if a <= b or a != a else b


@overload(flush)
def _flush(array):
    if array.dtype not in _OF:
        return lambda array: None
    limits = np.finfo(str(array.dtype))
    tiny = limits.dtype.type(limits.tiny / limits.eps)

    def flushed(array):
        numbers = array.reshape(array.size)
        for k in range(numbers.size):
            numbers[k] = 0 if abs(numbers[k]) < tiny else numbers[k]

    return flushed
