"""Program: one step of a recurrence as a list of plain records, forwards and backwards.

A Value is one array of the step: an input, a parameter, a constant, or the result of a primitive. A
Program is the values in an order in which they can be computed, and which of them are what. It is
made by ``trace``, made smaller by ``simplify``, put into places by ``schedule``, and written out as
source by ``emit_numpy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from tinyseq.autograd.primitive import Primitive

# What a value is, if no primitive makes it. "state" is the state before the step; "seed_y" and
# "seed_state" are the cotangents of the outputs and of the state after the step.
SOURCES = ("input", "state", "parameter", "constant", "seed_y", "seed_state")


@dataclass(eq=False)
class Value:
    """One array of the step.

    Attributes:
        kind: one of SOURCES, or "result".
        primitive: what makes a result.
        inputs: what it is made from.
        params: of the primitive.
        shape, dtype: of the array.
        label: its name in the pictures, if it has one.
        content: of a constant, the array or the number.
        index: of a source, its place among those of its kind.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: Any
    primitive: Primitive | None = None
    inputs: tuple[Value, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    label: str | None = None
    content: Any = None
    index: int = 0
    where: str = ""

    @property
    def op(self) -> str:
        """The name of the primitive; the kind for a source."""
        return self.kind if self.primitive is None else self.primitive.name

    def __repr__(self) -> str:
        return f"<{self.op}{' ' + self.label if self.label else ''} {self.shape}>"


@dataclass(frozen=True)
class Site:
    """Where in the step, as it is written, a value is computed.

    Attributes:
        op: the name of the operation.
        scope: the modules in which it is, from the outside.
        label: its name in the pictures, if it has one.
        value: the value.
    """

    op: str
    scope: tuple[str, ...]
    label: str | None
    value: Value


@dataclass
class Program:
    """One step and its derivative.

    Attributes:
        inputs, states, parameters: the sources, in the order in which they are passed.
        outputs, new_states: the results of the step.
        seeds_y, seeds_state: the cotangents of these.
        input_grads, state_grads, parameter_grads: what the seeds lead to; None where nothing does.
        shared: the paths of what else is the same in every step; it stands behind the parameters.
        looked_at: the paths of those of them that the step also turns into others by itself.
        fixed: which of the step's states are handed on as they are; they stand behind those.
        sites: the operations of the step, in the order in which it does them.
    """

    inputs: list[Value]
    states: list[Value]
    parameters: list[Value]
    outputs: list[Value]
    new_states: list[Value]
    seeds_y: list[Value]
    seeds_state: list[Value]
    input_grads: list[Value | None]
    state_grads: list[Value | None]
    parameter_grads: list[Value | None]
    shared: list[str] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)
    fixed: list[int] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)

    def replaced(self, new: dict[int, Value]) -> Program:
        """The Program with values exchanged for others, by their ids."""

        def swap(values: list[Any]) -> list[Any]:
            return [new.get(id(v), v) if isinstance(v, Value) else v for v in values]

        return Program(**{f.name: swap(getattr(self, f.name)) for f in fields(self)})

    def leave_out(self, needed: Sequence[bool]) -> None:
        """Forget the gradients of inputs, and of states handed on, that nobody asks for.

        Args:
            needed: for every input and then for every state of the step, whether it is asked for.
        """
        inputs, states = needed[: len(self.inputs)], needed[len(self.inputs) :]
        for k, wanted in enumerate(inputs):
            if not wanted:
                self.input_grads[k] = None
        behind = len(self.parameters) - len(self.fixed)
        for k, state in enumerate(self.fixed):
            if not states[state]:
                self.parameter_grads[behind + k] = None

    def forward_results(self) -> list[Value]:
        """What the step computes."""
        return [*self.outputs, *self.new_states]

    def backward_results(self) -> list[Value]:
        """What its derivative computes."""
        grads = [*self.input_grads, *self.state_grads, *self.parameter_grads]
        return [value for value in grads if value is not None]

    def results(self) -> list[Value]:
        """What both compute."""
        return self.forward_results() + self.backward_results()


def in_order(results: list[Value]) -> list[Value]:
    """Everything that the results are made from, and they themselves, makers first."""
    order: list[Value] = []
    done: set[int] = set()
    stack: list[tuple[Value, bool]] = [(value, False) for value in reversed(results)]
    while stack:
        value, ready = stack.pop()
        if id(value) in done:
            continue
        if ready:
            done.add(id(value))
            order.append(value)
            continue
        stack.append((value, True))
        stack += [(v, False) for v in reversed(value.inputs) if id(v) not in done]
    return order
