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

from tinyseq.compile.program import Program, Value, in_order
from tinyseq.compile.schedule import Schedule, schedule
from tinyseq.compile.spread import ADD, MATMUL, POINTWISE, Forms, spread, transposed, with_inputs
from tinyseq.ops.shape import _reshape

SMALLEST = 2  # batch: a single row is as good as a column


def columns(found: Schedule) -> Schedule:
    """The Schedule with the batch along the last axis; with rows if that goes or gains nothing."""
    turner = _Turner(found)
    return schedule(turner.program()) if turner.gains() else spread(found)


class _Turner(Forms):
    """Transposes: of every value there is its plain form, the turned one, or both."""

    def gains(self) -> bool:
        """Whether the loops hold products, and nothing that cannot be turned."""
        states = [*self.before.states, *self.before.new_states]
        return (
            any(v.op in ("linear", "matmul") for v in self.loop_values)
            and all(len(v.shape) == 2 and v.shape[0] >= SMALLEST for v in states)
            and all(v.op == "identity" or self.turns(v) for v in self.loop_values)
        )

    def turns(self, value: Value) -> bool:
        """Whether the transpose of a result can be made from the transposes of its inputs."""
        ranks = [len(v.shape) for v in value.inputs]
        if len(value.shape) != 2 or max(ranks) > 2:
            return False
        if value.op == "getitem":
            return ranks == [2] and all(isinstance(part, slice) for part in _parts(value))
        if value.op in ("linear", "matmul"):
            fixed = [self.is_fixed(v) for v in value.inputs]
            return ranks[:2] == [2, 2] and not fixed[0] and all(fixed[1:])
        if value.op in ("sum", "concatenate", "broadcast_to"):
            return set(ranks) == {2}
        return value.op in POINTWISE and not value.params  # a condition that is fixed is one

    def program(self) -> Program:
        """The Program in which all that can be is turned."""
        before = self.before
        self.plain_forms: dict[int, Value] = {}
        self.turned_forms: dict[int, Value] = {}
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
        first = value.inputs[0] if value.inputs else None
        if first is None or id(value) in self.fixed:
            self.plain_forms[id(value)] = value
        elif value.op == "identity" and id(first) in self.turned_forms:
            self.turned_forms[id(value)] = self.turned(first)
        elif value.op == "transpose" and value.params["axes"] == (1, 0):
            self.plain_forms[id(value)] = self.turned(first)
            self.turned_forms[id(value)] = self.plain(first)
        elif self.turns(value):
            self.turned_forms[id(value)] = self.turn(value)
        elif value.op == "sum" and id(first) in self.turned_forms:
            self.plain_forms[id(value)] = self.turned_sum(value)
        else:
            self.plain_forms[id(value)] = with_inputs(value, [self.plain(v) for v in value.inputs])

    def plain(self, value: Value) -> Value:
        """A value as it was."""
        if id(value) not in self.plain_forms:
            self.plain_forms[id(value)] = transposed(self.turned_forms[id(value)])
        return self.plain_forms[id(value)]

    def turned(self, value: Value) -> Value:
        """The transpose of a matrix."""
        if id(value) not in self.turned_forms:
            self.turned_forms[id(value)] = transposed(self.plain(value))
        return self.turned_forms[id(value)]

    def turn(self, value: Value) -> Value:
        """The transpose of a result, from those of its inputs."""
        turned = replace(value, shape=value.shape[::-1])
        if value.op == "linear":
            x, weight, *bias = value.inputs
            product = replace(turned, primitive=MATMUL, params={})
            product.inputs = (self.plain(weight), self.turned(x))
            if not bias:
                return product
            product.label = None
            return replace(
                turned, primitive=ADD, inputs=(product, self.met(bias[0], value)), params={}
            )
        if value.op == "matmul":
            weight = transposed(self.plain(value.inputs[1]))
            x = self.turned(value.inputs[0])
            return with_inputs(turned, [self.copied(weight, weight.shape), x])
        if value.op == "sum":
            return self.turned_sum(turned)
        if value.op in POINTWISE:
            return with_inputs(turned, [self.met(v, value) for v in value.inputs])
        sources = [self.turned(v) for v in value.inputs]
        if value.op == "getitem":
            return with_inputs(turned, sources, index=_parts(value)[::-1])
        if value.op == "concatenate":
            return with_inputs(turned, sources, axis=1 - value.params["axis"])
        return with_inputs(turned, sources, shape=turned.shape)  # broadcast_to

    def turned_sum(self, value: Value) -> Value:
        """A sum of what is turned."""
        axis = tuple(1 - k for k in value.params["axis"])
        return with_inputs(value, [self.turned(value.inputs[0])], axis=axis)

    def met(self, value: Value, user: Value) -> Value:
        """An input of an elementwise value, turned; in the shape of that if the loop reads it."""
        if not value.shape:
            return self.plain(value)
        form = self.turned(value) if len(value.shape) == 2 else _column(self.plain(value))
        shape = user.shape[::-1]
        if self.is_fixed(value) and id(user) in self.loop and form.shape != shape:
            return self.copied(form, shape)
        return form


def _parts(value: Value) -> tuple[Any, ...]:
    """The index of a getitem, an entry for every axis."""
    index = value.params["index"]
    parts = index if isinstance(index, tuple) else (index,)
    return parts + (slice(None),) * (len(value.inputs[0].shape) - len(parts))


def _column(value: Value) -> Value:
    """A vector as a matrix of one column."""
    shape = (*value.shape, 1)
    if value.kind == "constant":
        return replace(value, shape=shape, content=np.reshape(value.content, shape))
    reshape = _reshape.primitive  # type: ignore[attr-defined]
    return Value("result", shape, value.dtype, reshape, (value,), {"shape": shape})
