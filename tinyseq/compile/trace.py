"""trace: run one step once, and write down what it did and what its derivative would do.

The step runs on example arrays with recording in the mode TRACED: constants get nodes of their own,
and comparisons are recorded. Then the very rules that serve the tape are walked back with recording
on, from seeds that are nodes as well: that is the backward graph of the step, for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.node import Leaf, Node, next_order, scope
from tinyseq.autograd.primitive import PICK, TRACED, recording
from tinyseq.autograd.tensor import Tensor, label
from tinyseq.autograd.walk import reachable, walk_back
from tinyseq.compile.program import Program, Value
from tinyseq.compile.steady import (
    line_of,
    other_step,
    other_values,
    refuse_changes,
    refuse_memory,
    remembered,
)
from tinyseq.errors import CompileError
from tinyseq.ops.index import _get
from tinyseq.recurrence.steps import checked_step

SLICE: Any = _get.primitive  # type: ignore[attr-defined]


def trace(
    step: Callable[[Any, Any], tuple[Any, Any]],
    x: Any,
    state: Any,
    parameters: Sequence[Tensor],
) -> Program:
    """One step as a Program.

    Args:
        step: ``step(x, state) -> (y, state)``.
        x: an example of the input (a structure of raw arrays, or None).
        state: an example of the state (a structure of raw arrays).
        parameters: the tensors whose gradients are wanted.

    Raises:
        CompileError: the step does not do the same in every time step, as far as can be seen, or
            does not return (y, state); says in which line, or in which operation.
        Exception: what the step raises uncompiled as well.
    """
    with np.errstate(all="ignore"):  # the numbers of a trace are of no interest
        return _traced_twice(step, x, state, parameters)


def _traced_twice(step: Any, x: Any, state: Any, parameters: Sequence[Tensor]) -> Program:
    """The trace, if a second one on other values is the same."""
    program = _attempt(step, x, state, parameters)
    other, copies = other_step(step, parameters)
    before = remembered(other)
    try:
        again = _attempt(other, other_values(x), other_values(state), copies)
    except Exception as error:
        if isinstance(error, CompileError):
            raise
        raise CompileError(
            f"the step looks at values: with others it raises {type(error).__name__}: {error}"
        ) from error
    refuse_memory(before, remembered(other))
    refuse_changes(program, again)
    return program


def _attempt(step: Any, x: Any, state: Any, parameters: Sequence[Tensor]) -> Program:
    """One trace, whose errors say where they come from."""
    token = recording.set(TRACED)
    try:
        return _traced(step, x, state, parameters)
    except Exception as error:
        recording.set(True)
        if not isinstance(error, CompileError):
            _run_plainly(step, x, state)
        line = line_of(error)
        raise CompileError(
            f"the step cannot be traced: {error}" + f" ({line})" * bool(line)
        ) from error
    finally:
        recording.reset(token)


def _run_plainly(step: Any, x: Any, state: Any) -> None:
    """The step as ``unroll`` takes it: what it raises now has nothing to do with the compiler."""
    given = structure.map(lambda a: None if a is None else label(a, "x"), x)
    with scope("step", 1):
        checked_step(step, given, structure.map(lambda a: label(a, "h"), state), 1)


def _traced(step: Any, x: Any, state: Any, parameters: Sequence[Tensor]) -> Program:
    known: dict[Any, Value] = {}
    start = next_order()

    def source(kind: str, index: int, array: Any, node: Node | None = None) -> Tensor:
        needs_grad = array.dtype.kind == "f" and kind not in ("seed_y", "seed_state")
        leaf = Leaf(array.shape, array.dtype, needs_grad) if node is None else node
        known[leaf] = Value(kind, array.shape, array.dtype, index=index, label=leaf.label)
        return Tensor(array, leaf)

    xs = [source("input", k, a) for k, a in enumerate(structure.leaves(x)) if a is not None]
    states = [source("state", k, a) for k, a in enumerate(structure.leaves(state))]
    for k, parameter in enumerate(parameters):
        leaf: Any = parameter.node
        source("parameter", k, parameter.data, leaf)
        known[leaf].label = leaf.symbol or leaf.parameter_name
    given, before = iter(xs), iter(states)
    result = checked_step(
        step,
        structure.map(lambda a: None if a is None else next(given), x),
        structure.map(lambda a: next(before), state),
        1,
    )
    outputs = [_as_tensor(value, "output") for value in structure.leaves(result[0])]
    new = [_as_tensor(value, "state") for value in structure.leaves(result[1])]
    for name, tensor in zip(structure.names(result[1], "h"), new, strict=True):
        node: Any = tensor.node
        node.label = node.label or name
    for old, tensor in zip(states, new, strict=True):
        if old.shape != tensor.shape or old.dtype != tensor.dtype:
            raise CompileError(
                f"a state goes in as {old.dtype}{old.shape} and comes out as "
                f"{tensor.dtype}{tensor.shape}: every step must give what it takes"
            )

    seeds_y = [source("seed_y", k, tensor.data) for k, tensor in enumerate(outputs)]
    seeds_state = [source("seed_state", k, tensor.data) for k, tensor in enumerate(new)]
    cotangents: dict[Any, Any] = {}
    for tensor, seed in zip([*outputs, *new], [*seeds_y, *seeds_state], strict=True):
        if tensor.requires_grad:
            met = cotangents.get(tensor.node)
            cotangents[tensor.node] = seed if met is None else met + seed
    wanted: list[Any] = [*xs, *states, *parameters]
    found = walk_back(
        reachable(list(cotangents)),
        cotangents,
        retain_graph=True,
        create_graph=True,
        wanted={tensor.node for tensor in wanted},
    )

    read = _Reader(known, start)
    grads = [
        read(_as_tensor(found[tensor.node], "gradient").node) if tensor.node in found else None
        for tensor in wanted
    ]
    return Program(
        inputs=[known[t.node] for t in xs],
        states=[known[t.node] for t in states],
        parameters=[known[t.node] for t in parameters],
        outputs=[read(t.node) for t in outputs],
        new_states=[read(t.node) for t in new],
        seeds_y=[known[t.node] for t in seeds_y],
        seeds_state=[known[t.node] for t in seeds_state],
        input_grads=grads[: len(xs)],
        state_grads=grads[len(xs) : len(xs) + len(states)],
        parameter_grads=grads[len(xs) + len(states) :],
    )


def _as_tensor(value: Any, what: str) -> Tensor:
    """A result of the step with a node; what does not depend on anything becomes a constant."""
    if isinstance(value, Tensor) and value.node is not None:
        return value
    array = value.data if isinstance(value, Tensor) else value
    if not hasattr(array, "shape"):
        raise CompileError(f"an {what} of the step is {array!r:.60}, not an array")
    leaf = Leaf(array.shape, array.dtype, False)
    leaf.value = array
    return Tensor(array, leaf)


class _Reader:
    """From nodes to values, each once; without recursion."""

    def __init__(self, known: dict[Any, Value], start: int) -> None:
        self.known = known
        self.start = start  # the creation number at which the trace began

    def __call__(self, root: Any) -> Value:
        for node in reachable([root], for_pictures=True):
            if node not in self.known:
                self.known[node] = self._value(node)
        return self.known[root]

    def _value(self, node: Node) -> Value:
        computed = node.primitive is not None
        if node.order < self.start if computed else node.requires_grad or node.value is None:
            raise CompileError(
                f"it reads a tensor of shape {node.shape} from outside ({node.where()}), whose "
                "gradient would be lost: make it a parameter of the cell, or an input or a state"
            )
        if node.primitive is None:
            return Value(
                "constant", node.shape, node.dtype, content=node.value, label=node.label,
                where=node.where(),
            )  # fmt: skip
        inputs = tuple(self.known[parent] for parent in node.parents if parent is not None)
        if node.primitive is PICK:
            # an output of split or unbind: a piece of what went in
            (whole,) = node.parents
            assert whole is not None
            return _piece(self.known[whole], node)
        return Value(
            "result", node.shape, node.dtype, node.primitive, inputs, node.params or {}, node.label,
            where=node.where(),
        )  # fmt: skip


def _piece(whole: Value, node: Node) -> Value:
    """Output number k of a primitive with several, as an index into its input."""

    axis, k = whole.params["axis"], node.params
    if whole.op == "split":
        start = sum(whole.params["sizes"][:k])
        last: Any = slice(start, start + whole.params["sizes"][k])
    elif whole.op == "unbind":
        last = k
    else:
        raise CompileError(f"{whole.where}: an operation with several outputs that is not known")
    index = (slice(None),) * axis + (last,)
    return Value(
        "result", node.shape, node.dtype, SLICE, whole.inputs, {"index": index},
        node.label, where=node.where(),
    )  # fmt: skip
