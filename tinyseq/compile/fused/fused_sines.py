"""fused_sines: sine and cosine of arrays, as vector instructions.

    sin(x, y)                           # y = sin(x), inside a compiled loop; cos(x, y) likewise

The C library's take one number at a time. These take away the nearest multiple of a quarter turn,

    x = n pi / 2 + r,    |r| <= pi / 4,

with pi / 2 in three parts and one rounding after each: of the product with the first part nothing
is lost, whatever n is, and the other two are far smaller. What is left goes into the Taylor series
of sine or cosine, whichever of them, and with whichever sign, n says.

That holds up to |x| = FAR, which is more than a phase gets to. A row with a larger number in it,
or an infinite one, is done number by number, and what is larger by the C library: no number depends
on its neighbours. NaN passes through as it does in NumPy.
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial, pi
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from tinyseq.compile.fused.fused_math import horner

FAR = {np.float32: 2.0**16, np.float64: 2.0**40}
_HALF_PI = 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33  # its sum


def _product_and_sum(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c with one rounding."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return a(a, b, c), codegen


def _after_turns(typing: Any, z: Any, sine: Any, cosine: Any) -> Any:
    """The sine after n quarter turns more, where the last bits of z are those of n."""
    bits = 32 if z == types.float32 else 64

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(bits)
        n = builder.bitcast(args[0], integer)
        value = builder.select(builder.trunc(n, ir.IntType(1)), args[2], args[1])
        half_turns = builder.shl(builder.lshr(n, integer(1)), integer(bits - 1))
        value = builder.xor(builder.bitcast(value, integer), half_turns)
        return builder.bitcast(value, context.get_value_type(z))

    return z(z, sine, cosine), codegen


_fused: Any = intrinsic(_product_and_sum)
_turned: Any = intrinsic(_after_turns)


def _family(f: Any, terms: int) -> tuple[Any, Any]:
    """sin and cos of one number up to FAR in one precision; so many terms has the sine's series."""
    shift = f(1.5 * 2.0 ** np.finfo(f).nmant)  # what is added to it is rounded to an integer
    per_quarter, one = f(2 / pi), f(1)
    first, second, third = _parts(f)
    odd = horner([f((-1) ** k / factorial(2 * k + 1)) for k in range(1, terms)])
    even = horner([f((-1) ** k / factorial(2 * k)) for k in range(1, terms + 1)])

    @register_jitable
    def after(x: Any, quarters: Any) -> Any:  # the sine, so many quarter turns after x
        z = x * per_quarter + shift
        n = z - shift
        r = _fused(n, third, _fused(n, second, _fused(n, first, x)))
        square = r * r
        return _turned(z + quarters, r + r * square * odd(square), one + square * even(square))

    return register_jitable(lambda x: after(x, f(0))), register_jitable(lambda x: after(x, one))


def _parts(f: Any) -> list[Any]:
    """-pi / 2 as a sum of three numbers."""
    left, parts = -sum(map(Fraction, _HALF_PI)), []
    for _ in range(3):
        parts.append(f(float(left)))
        left -= Fraction(float(parts[-1]))
    return parts


_OF: dict[Any, Any] = {
    types.float32: _family(np.float32, 5),
    types.float64: _family(np.float64, 9),
}


# -- what the loops call ---------------------------------------------------------------------------


def sin(x: Any, y: Any) -> None:
    """y = sin(x), of arrays of one shape; y may be x."""


def cos(x: Any, y: Any) -> None:
    """y = cos(x), of arrays of one shape; y may be x."""


@overload(sin)
def _sin(x, y):
    if x.ndim > 1:
        return _rows(sin)
    return _row(_OF[x.dtype][0], np.sin, x.dtype)


@overload(cos)
def _cos(x, y):
    if x.ndim > 1:
        return _rows(cos)
    return _row(_OF[x.dtype][1], np.cos, x.dtype)


def _rows(function: Any) -> Any:
    def over_rows(x, y):
        for k in range(x.shape[0]):
            function(x[k], y[k])

    return over_rows


def _row(near: Any, anywhere: Any, dtype: Any) -> Any:
    f = np.float32 if dtype == types.float32 else np.float64
    limit = f(FAR[f])

    def over_row(x, y):
        far = False
        for k in range(x.size):
            far |= abs(x[k]) > limit
        if far:
            for k in range(x.size):
                y[k] = anywhere(x[k]) if abs(x[k]) > limit else near(x[k])
        else:
            for k in range(x.size):
                y[k] = near(x[k])

    return over_row
