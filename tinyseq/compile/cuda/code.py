"""code: elementwise operations, numbers and types in CUDA C."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from tinyseq.compile.program import Value

TYPES = {"float32": "float", "float64": "double", "bool": "bool", "int32": "int",
         "int64": "long long"}  # fmt: skip

# a, b and c are the operands, converted to the type of the result (of a comparison: to their common
# type); {f} is the letter at the end of a function's name, "f" for float.
OPERATIONS = {
    "add": "{a} + {b}",
    "sub": "{a} - {b}",
    "mul": "{a} * {b}",
    "div": "{a} / {b}",
    "neg": "-{a}",
    "abs": "fabs{f}({a})",
    "exp": "exp{f}({a})",
    "expm1": "expm1{f}({a})",
    "log": "log{f}({a})",
    "log1p": "log1p{f}({a})",
    "sqrt": "sqrt{f}({a})",
    "sin": "sin{f}({a})",
    "cos": "cos{f}({a})",
    "tanh": "tanh{f}({a})",
    "sigmoid": "{half} * tanh{f}({half} * {a}) + {half}",
    "softplus": "log1p{f}(exp{f}(-fabs{f}({a}))) + ({a} > {zero} || {a} != {a} ? {a} : {zero})",
    "relu": "{a} > {zero} || {a} != {a} ? {a} : {zero}",
    "pow": "pow{f}({a}, {b})",
    "maximum": "{a} > {b} || {a} != {a} ? {a} : {b}",  # not a number if either is none
    "minimum": "{a} < {b} || {a} != {a} ? {a} : {b}",
    "where": "{c} ? {a} : {b}",
    "astype": "{a}",
}
COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}

# What a value must not be called, in a kernel or on the page around it.
RESERVED = {
    *TYPES.values(), *"""
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept
    const const_cast constexpr continue decltype default delete do double dynamic_cast else enum
    explicit export extern false float for friend goto if inline int long mutable namespace new
    noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast requires return short signed sizeof static static_assert static_cast struct
    switch template this thread_local throw true try typedef typeid typename union unsigned using
    virtual void volatile wchar_t while xor xor_eq
    threadIdx blockIdx blockDim gridDim warpSize i k n t min max pow fmin fmax floor ceil round
    abs j0 j1 jn y0 y1 yn gamma signbit isnan isinf div remainder
    xp constants calls kernels captured forward backward build kept range slice CUDA None True False
    def elif except finally from global import in is lambda nonlocal pass raise with yield async
    await del assert len
    """.split(),
    *(name + f for name in ("fabs", "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh",
                            "pow") for f in ("", "f")),
}  # fmt: skip


def name_of(dtype: Any) -> str:
    """The name of a dtype; that of None, a number without a type of its own, is ""."""
    return "" if dtype is None else np.dtype(dtype).name


def is_elementwise(value: Value) -> bool:
    """Whether a kernel can compute a value, element by element."""
    if value.kind != "result" or any(
        v.dtype is not None and name_of(v.dtype) not in TYPES for v in (value, *value.inputs)
    ):
        return False
    if value.op == "where":
        return len(value.inputs) == 3
    if value.op in COMPARISONS:
        return name_of(value.dtype) == "bool"
    return value.op in OPERATIONS and name_of(value.dtype) in ("float32", "float64")


def expression(value: Value, operands: list[Any]) -> str:
    """What computes an element of a value from those of its inputs: names, or Python numbers."""
    to = name_of(value.dtype)
    words = {"f": "f" if to == "float32" else "", "half": number(0.5, to), "zero": number(0.0, to)}
    types = [name_of(v.dtype) for v in value.inputs]
    if value.op in COMPARISONS:
        known = [kind for kind in types if kind]
        common = np.result_type(*known).name if known else "float64"
        a, b = (convert(o, t, common) for o, t in zip(operands, types, strict=True))
        return f"{a} {COMPARISONS[value.op]} {b}"
    if value.op == "where":
        words["c"] = convert(operands[2], types[2], "bool")
    elif value.op == "pow" and operands[1] == 2:
        return f"{operands[0]} * {operands[0]}"
    for letter, operand, kind in zip("ab", operands, types, strict=False):
        words[letter] = convert(operand, kind, to)
    return OPERATIONS[value.op].format(**words)


def convert(operand: Any, kind: str, to: str) -> str:
    """An operand of one type as one of another. A Python number takes the type that is asked."""
    if not isinstance(operand, str):
        return number(operand, to)
    if kind == to:
        return operand
    return f"({operand} != 0)" if to == "bool" else f"({TYPES[to]}){operand}"


def number(value: Any, kind: str) -> str:
    """A number in C."""
    if kind == "bool":
        return "true" if value else "false"
    if kind in ("int32", "int64"):
        return _signed(str(int(value)) + ("LL" if kind == "int64" else ""))
    with np.errstate(over="ignore"):
        rounded = float(np.dtype(kind).type(value))
    if isfinite(rounded):
        return _signed(repr(rounded) + ("f" if kind == "float32" else ""))
    if kind == "float32":
        text = f"__int_as_float({hex(np.float32(abs(rounded)).view(np.uint32))})"
    else:
        text = f"__longlong_as_double({hex(np.float64(abs(rounded)).view(np.uint64))}LL)"
    return _signed("-" * (rounded < 0) + text)


def _signed(text: str) -> str:
    return f"({text})" if text.startswith("-") else text
