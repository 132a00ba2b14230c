"""values: which values a kernel can compute, and what it reads for that."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinyseq.compile.cuda.code import is_elementwise, name_of
from tinyseq.compile.cuda.index import is_view
from tinyseq.compile.program import Program, Value, in_order
from tinyseq.errors import CompileError
from tinyseq.ops.elementwise import _where_of, add

ADD: Any = add.primitive  # type: ignore[attr-defined]
TAKEN = (("float32", "float64"), ("int32", "int64"))  # the dtypes of a table and of its indices


def in_kernel(value: Value) -> bool:
    """Whether kernels compute a value, element by element; others compute it as a whole."""
    if value.op == "concatenate":
        return name_of(value.dtype) in ("float32", "float64", "bool")
    if value.op == "take":
        return all(name_of(v.dtype) in kinds for v, kinds in zip(value.inputs, TAKEN, strict=True))
    return value.kind == "result" and (is_view(value) or is_elementwise(value))


def root_of(value: Value) -> Value:
    """What a view is a view of, as far as an Index can be followed."""
    while value.kind == "result" and is_view(value):
        value = value.inputs[0]
    return value


def operands(value: Value) -> tuple[list[Value], list[Value]]:
    """What is read of a value's inputs: element by element in a kernel, and as whole arrays."""
    if not in_kernel(value):
        factors = is_product(value)
        return [], [untransposed(v) if factors else v for v in value.inputs]
    if value.op == "take":
        return [value.inputs[1]], [value.inputs[0]]
    return [*value.inputs], []


def is_product(value: Value) -> bool:
    """Whether cuBLAS computes a value: its factors may then be transposed."""
    return value.op in ("linear", "matmul")


def untransposed(value: Value) -> Value:
    turned = value.op == "transpose" and value.params["axes"] == (1, 0)
    return value.inputs[0] if turned else value


def size_of(value: Value) -> int:
    """How many elements a value has."""
    return prod(value.shape)


def apart(program: Program) -> Program:
    """A product and its bias as two values; a choice by a constant as one between three."""
    new: dict[int, Value] = {}
    for value in in_order(program.results()):
        inputs = tuple(new[id(v)] for v in value.inputs)
        new[id(value)] = _apart(replace(value, inputs=inputs)) if inputs else value
    return program.replaced(new)


def _apart(value: Value) -> Value:
    if value.op == "linear" and len(value.inputs) == 3:
        made = replace(value, inputs=value.inputs[:2], label=None)
        return replace(value, primitive=ADD, inputs=(made, value.inputs[2]), params={})
    if value.op == "where" and len(value.inputs) == 2:
        condition = np.asarray(value.params["condition"])
        chosen = Value("constant", condition.shape, condition.dtype, content=condition)
        return replace(value, primitive=_where_of, inputs=(*value.inputs, chosen), params={})
    if value.op == "take_along_axis" or (value.op == "take" and not in_kernel(value)):
        raise CompileError(
            f"{value.where or value.op}: on a GPU, an index that is out of range would not be "
            "noticed. Use take, with indices of int32 or int64; or unroll the cell uncompiled."
        )
    return value
