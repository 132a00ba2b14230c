"""simplify: the same Program with less in it.

What depends on constants alone is worked out, what is written twice is done once, what changes
nothing is left out, and what nothing asks for was never read.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tinyseq.compile.program import Program, Value, in_order


def simplify(program: Program) -> Program:
    """A Program that computes the same from fewer values."""
    new: dict[int, Value] = {}
    seen: dict[Any, Value] = {}
    roots = program.forward_results() + program.backward_results()
    for value in in_order(roots):
        replaced = dataclasses.replace(value, inputs=tuple(new[id(v)] for v in value.inputs))
        replaced = value if value.kind not in ("result", "constant") else _smaller(replaced)
        key = _key(replaced)
        if key in seen:
            seen[key].label = seen[key].label or replaced.label
        new[id(value)] = seen.setdefault(key, replaced)

    return program.replaced(new)


def _smaller(value: Value) -> Value:
    """A constant in place of what is made from constants; the input of what changes nothing."""
    if value.kind == "constant":
        return value
    if value.inputs and all(v.kind == "constant" for v in value.inputs):
        assert value.primitive is not None
        array = value.primitive.forward(np, *(v.content for v in value.inputs), **value.params)
        return Value("constant", value.shape, value.dtype, content=np.asarray(array, value.dtype))
    first = value.inputs[0] if value.inputs else None
    if first is not None and first.shape == value.shape and first.dtype == value.dtype:
        if value.op in ("identity", "astype", "reshape", "broadcast_to"):
            return first
        if value.op == "transpose" and value.params["axes"] == tuple(range(len(value.shape))):
            return first
        if value.op == "sum" and not value.params["axis"]:
            return first
    return value


def _key(value: Value) -> Any:
    """Equal for values that are sure to be equal."""
    if value.kind == "constant":
        content = value.content
        if isinstance(content, int | float):
            return ("number", type(content), content)
        return ("array", content.dtype.str, content.shape, content.tobytes())
    if value.kind != "result":
        return id(value)
    return (value.op, tuple(id(v) for v in value.inputs), plain(value.params))


def plain(params: Any) -> Any:
    """Parameters in a form that can be compared and hashed."""
    if isinstance(params, dict):
        return tuple((name, plain(entry)) for name, entry in sorted(params.items()))
    if isinstance(params, tuple | list):
        return tuple(plain(entry) for entry in params)
    if isinstance(params, slice):
        return ("slice", params.start, params.stop, params.step)
    if isinstance(params, np.ndarray):
        return ("array", params.dtype.str, params.shape, params.tobytes())
    return params if params is None or isinstance(params, int | float | str) else repr(params)
