"""columns: the same Schedule with the batch along the last axis, where products gain by that.

The weights times columns, W h with h (H, N), is a faster product than rows times the weights turned
round, h W^T with h (N, H): BLAS need not rearrange the weights in every step. And the gates of a
step, pieces of (4H, N), are each one run of memory. So every matrix (N, F) that changes from step
to step becomes its transpose (F, N), states included. What is given and what is returned stays as
it was: a transpose of an input is a view.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinyseq.autograd.primitive import Primitive
from tinyseq.compile.lines import ELEMENTWISE
from tinyseq.compile.program import Program, Value, in_order
from tinyseq.compile.schedule import Schedule, schedule
from tinyseq.ops.elementwise import add
from tinyseq.ops.linalg import matmul
from tinyseq.ops.shape import _permute, _reshape

SMALLEST = 2  # batch: a single row is as good as a column
POINTWISE = {*ELEMENTWISE, "where", "identity"}


def columns(found: Schedule) -> Schedule:
    """The Schedule with the batch along the last axis; as it is if that goes or gains nothing."""
    if not _gains(found):
        return found
    return schedule(_Turner(found).turned_program())


def _gains(found: Schedule) -> bool:
    """Whether the loops hold products, and nothing that cannot be turned."""
    program = found.program
    loop = found.forward["loop"] + found.backward["loop"]
    states = [*program.states, *program.new_states]
    fixed = _fixed(found)
    return (
        any(v.op in ("linear", "matmul") for v in loop)
        and all(len(v.shape) == 2 and v.shape[0] >= SMALLEST for v in states)
        and all(_turns(v, fixed) for v in loop)
    )


def _fixed(found: Schedule) -> set[int]:
    """What is the same in every step, constants aside."""
    once = found.forward["once"] + found.backward["once"]
    return {id(v) for v in once + found.program.parameters}


def _turns(value: Value, fixed: set[int]) -> bool:
    """Whether the transpose of a result can be made from the transposes of its inputs."""
    same = [v.kind == "constant" or id(v) in fixed for v in value.inputs]
    ranks = [len(v.shape) for v in value.inputs]
    if len(value.shape) != 2 or max(ranks) > 2:
        return False
    if value.op == "getitem":
        return ranks == [2] and all(isinstance(part, slice) for part in _parts(value))
    if value.op in ("linear", "matmul"):
        return ranks[:2] == [2, 2] and not same[0] and all(same[1:])
    if value.op in ("sum", "concatenate", "broadcast_to"):
        return set(ranks) == {2}
    return value.op in POINTWISE and not value.params  # a fixed condition is one


def _parts(value: Value) -> tuple[Any, ...]:
    """The index of a getitem, an entry for every axis."""
    index = value.params["index"]
    parts = index if isinstance(index, tuple) else (index,)
    return parts + (slice(None),) * (len(value.inputs[0].shape) - len(parts))


class _Turner:
    """Makes transposes: of every value there is its plain form, the turned one, or both."""

    def __init__(self, found: Schedule) -> None:
        self.before = found.program
        self.fixed = _fixed(found)
        self.loop = {id(v) for v in found.forward["loop"] + found.backward["loop"]}
        self.plain_forms: dict[int, Value] = {}
        self.turned_forms: dict[int, Value] = {}
        self.copies: dict[Any, Value] = {}

    def turned_program(self) -> Program:
        """The Program in which all that can be is turned."""
        before = self.before
        for source in [*before.states, *before.seeds_state]:
            self.turned_forms[id(source)] = replace(
                source, shape=source.shape[::-1], params={"turned": True}
            )
        for value in in_order(before.results()):
            if id(value) not in self.turned_forms:
                self.add(value)
        others = [*before.outputs, *before.backward_results()]
        after = before.replaced({id(v): self.plain(v) for v in others})
        return replace(
            after,
            states=[self.turned(v) for v in before.states],
            seeds_state=[self.turned(v) for v in before.seeds_state],
            new_states=[self.turned(v) for v in before.new_states],
            state_grads=[v and self.turned(v) for v in before.state_grads],
        )

    def add(self, value: Value) -> None:
        """One form of a value, from forms of its inputs."""
        if value.kind != "result" or id(value) in self.fixed:
            self.plain_forms[id(value)] = value
        elif value.op == "transpose" and value.params["axes"] == (1, 0):
            self.plain_forms[id(value)] = self.turned(value.inputs[0])
            self.turned_forms[id(value)] = self.plain(value.inputs[0])
        elif _turns(value, self.fixed):
            self.turned_forms[id(value)] = self.turn(value)
        elif value.op == "sum" and id(value.inputs[0]) in self.turned_forms:
            self.plain_forms[id(value)] = self.turned_sum(value)
        else:
            self.plain_forms[id(value)] = _with(value, [self.plain(v) for v in value.inputs])

    def plain(self, value: Value) -> Value:
        """A value as it was."""
        if id(value) not in self.plain_forms:
            self.plain_forms[id(value)] = _transposed(self.turned_forms[id(value)])
        return self.plain_forms[id(value)]

    def turned(self, value: Value) -> Value:
        """The transpose of a matrix."""
        if id(value) not in self.turned_forms:
            self.turned_forms[id(value)] = _transposed(self.plain(value))
        return self.turned_forms[id(value)]

    def turn(self, value: Value) -> Value:
        """The transpose of a result, from those of its inputs."""
        op, inputs = value.op, value.inputs
        shape = value.shape[::-1]
        turned = replace(value, shape=shape)
        if op == "linear":
            bias = [self.spread(v, value) for v in inputs[2:]]
            product = replace(
                turned, primitive=_MATMUL, inputs=(inputs[1], self.turned(inputs[0])), params={}
            )
            if bias:
                product.label = None
                return replace(turned, primitive=_ADD, inputs=(product, *bias), params={})
            return product
        if op == "matmul":
            weight = _transposed(inputs[1])
            return _with(turned, [self.copy(weight, weight.shape), self.turned(inputs[0])])
        if op == "sum":
            return self.turned_sum(turned)
        if op in POINTWISE:
            return _with(turned, [self.spread(v, value) for v in inputs])
        sources = [self.turned(v) for v in inputs]
        if op == "getitem":
            return _with(turned, sources, index=_parts(value)[::-1])
        if op == "concatenate":
            return _with(turned, sources, axis=1 - value.params["axis"])
        return _with(turned, sources, shape=shape)  # broadcast_to

    def turned_sum(self, value: Value) -> Value:
        """A sum of what is turned."""
        axis = tuple(1 - k for k in value.params["axis"])
        return _with(value, [self.turned(value.inputs[0])], axis=axis)

    def spread(self, value: Value, user: Value) -> Value:
        """An input of an elementwise value, turned.

        What is the same in every step, a bias say, is written out for the whole batch if the loop
        reads it: arithmetic on arrays of one shape is one run over memory.
        """
        if not value.shape:
            return self.plain(value)
        form = self.turned(value) if len(value.shape) == 2 else _column(self.plain(value))
        same = value.kind == "constant" or id(value) in self.fixed
        if same and id(user) in self.loop and form.shape != user.shape[::-1]:
            return self.copy(form, user.shape[::-1])
        return form

    def copy(self, value: Value, shape: tuple[int, ...]) -> Value:
        """An array of its own, with what it is made from repeated to the shape."""
        if value.kind == "constant":
            content = np.array(np.broadcast_to(value.content, shape), order="C")
            return replace(value, shape=shape, content=content)
        base = value.inputs[0] if value.op in ("transpose", "reshape") else value
        key = (id(base), value.op, shape)
        if key not in self.copies:
            self.copies[key] = Value("result", shape, value.dtype, COPY, (value,), {"shape": shape})
        return self.copies[key]


def _copied(xp: Any, a: Any, shape: tuple[int, ...]) -> Any:
    return xp.array(xp.broadcast_to(a, shape), order="C")


def _no_rule(*_: Any) -> Any:
    raise AssertionError("what the compiler adds is not differentiated")


COPY = Primitive("copy", "linear", _copied, _no_rule, _no_rule, None)
_ADD, _MATMUL, _TRANSPOSE, _RESHAPE = (
    _op.primitive  # type: ignore[attr-defined]
    for _op in (add, matmul, _permute, _reshape)
)


def _with(value: Value, inputs: list[Value], **params: Any) -> Value:
    """The value made from other inputs, with some parameters changed."""
    return replace(value, inputs=tuple(inputs), params={**value.params, **params})


def _transposed(value: Value) -> Value:
    shape = value.shape[::-1]
    if value.kind == "constant":
        return replace(value, shape=shape, content=np.asarray(value.content).T)
    return Value("result", shape, value.dtype, _TRANSPOSE, (value,), {"axes": (1, 0)})


def _column(value: Value) -> Value:
    shape = (*value.shape, 1)
    if value.kind == "constant":
        return replace(value, shape=shape, content=np.reshape(value.content, shape))
    return Value("result", shape, value.dtype, _RESHAPE, (value,), {"shape": shape})
