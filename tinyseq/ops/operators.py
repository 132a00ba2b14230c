"""Hangs the operators and methods on Tensor: ``+ - * / @ ** []``, ``x.sum()``, ``x.T`` ...

Comparisons give raw boolean arrays: they have no derivative, and masks need none. So do ``& | ^ ~``
of boolean Tensors, such as inputs.
"""

from __future__ import annotations

from operator import and_, eq, ge, gt, invert, le, lt, ne, or_, xor
from typing import Any

import numpy as np

from tinyseq.autograd.node import TRACED, recording
from tinyseq.autograd.primitive import Primitive, describe, explained, operand, place
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, is_array
from tinyseq.errors import DTypeError
from tinyseq.ops import elementwise, index, linalg, reduce, shape


def _swapped(op: Any) -> Any:
    return lambda self, other: op(other, self)


def _comparison(compare: Any) -> Any:
    # a primitive of its own for the compiler, to which the result is no constant
    primitive = Primitive(
        compare.__name__, "comparison", lambda xp, a, b: compare(a, b),
        elementwise.no_derivative, elementwise.no_derivative, None,
    )  # fmt: skip

    def method(self: Tensor, other: Any) -> Any:
        if recording.get() is TRACED:
            result = primitive(self, other)
            result.node.requires_grad = False
            return result
        value = other.data if isinstance(other, Tensor) else other
        if not is_array(value) and not isinstance(value, int | float | list | np.generic):
            return NotImplemented  # == and != then say that they are two things, < is refused
        try:
            return as_array(compare(self.data, operand(value)))
        except Exception as error:
            raise explained(error, compare.__name__, (self, other)) from None

    return method


def _logical(combine: Any) -> Any:
    primitive = Primitive(
        combine.__name__, "comparison", lambda xp, *arrays: combine(*arrays),
        elementwise.no_derivative, elementwise.no_derivative, None,
    )  # fmt: skip

    def method(*operands: Any) -> Any:
        if not all(isinstance(v, bool) or getattr(v, "dtype", "") == "bool" for v in operands):
            given = ", ".join(describe(value) for value in operands)
            raise DTypeError(f"{primitive.name}{place()}: of booleans, not of {given}")
        result = primitive(*operands)
        return result if recording.get() is TRACED else result.data

    return method


for _name, _op in {
    "add": elementwise.add,
    "sub": elementwise.sub,
    "mul": elementwise.mul,
    "truediv": elementwise.div,
    "pow": elementwise.pow,
    "matmul": lambda a, b: linalg.matmul(a, b),
}.items():
    setattr(Tensor, f"__{_name}__", _op)
    setattr(Tensor, f"__r{_name}__", _swapped(_op))
for _compare in (eq, ne, lt, le, gt, ge):
    setattr(Tensor, f"__{_compare.__name__}__", _comparison(_compare))
for _combine in (and_, or_, xor):
    for _start in ("__", "__r"):
        setattr(Tensor, f"{_start}{_combine.__name__.rstrip('_')}__", _logical(_combine))

_methods: dict[str, Any] = {
    "__hash__": object.__hash__,
    "__neg__": elementwise.neg,
    "__abs__": elementwise.abs,
    "__invert__": _logical(invert),
    "__getitem__": index.getitem,
    "__iter__": lambda self: iter(shape.unbind(self)),
    "T": property(shape.transpose),
    "sum": reduce.sum,
    "mean": reduce.mean,
    "max": reduce.max,
    "min": reduce.min,
    "prod": reduce.prod,
    "var": reduce.var,
    "std": reduce.std,
    "reshape": shape.reshape,
    "transpose": shape.transpose,
    "swapaxes": shape.swapaxes,
    "squeeze": shape.squeeze,
    "expand": shape.expand,
    "unbind": shape.unbind,
    "split": shape.split,
    "astype": shape.astype,
    "exp": elementwise.exp,
    "log": elementwise.log,
    "sqrt": elementwise.sqrt,
    "tanh": elementwise.tanh,
    "sigmoid": elementwise.sigmoid,
    "relu": elementwise.relu,
    "abs": elementwise.abs,
}
for _name, _method in _methods.items():
    setattr(Tensor, _name, _method)
