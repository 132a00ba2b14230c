"""trace: run one step once, and write down what it did and what its derivative would do.

The step runs on example arrays with recording in the mode TRACED: constants get nodes of their own,
and comparisons are recorded. Then the very rules that serve the tape are walked back with recording
on, from seeds that are nodes as well: that is the backward graph of the step, for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.node import scope
from tinyseq.autograd.primitive import TRACED, recording
from tinyseq.autograd.tensor import Tensor, label
from tinyseq.compile.program import Program
from tinyseq.compile.step.recorded import Recorded, StateChanges
from tinyseq.compile.step.shared import Shared
from tinyseq.compile.step.steady import (
    WAY_OUT,
    line_of,
    other_step,
    other_values,
    refuse_changes,
    refuse_memory,
    refuse_writing,
    remembered,
)
from tinyseq.errors import CompileError
from tinyseq.ops.elementwise import raw
from tinyseq.recurrence.steps import checked_step


def trace(
    step: Callable[[Any, Any], tuple[Any, Any]],
    x: Any,
    state: Any,
    parameters: Sequence[Tensor],
    shared: Mapping[str, Any] | None = None,
) -> Program:
    """One step as a Program.

    Args:
        step: ``step(x, state) -> (y, state)``.
        x: an example of the input (a structure of raw arrays, or None).
        state: an example of the state (a structure of raw arrays).
        parameters: the tensors whose gradients are wanted.
        shared: what else the step may read, the same in every step: arrays and Tensors by their
            paths. Those that it does read become further parameters.

    A state that is handed on as it is becomes a parameter, too.

    Raises:
        CompileError: the step does not do the same in every time step, as far as can be seen, or
            does not return (y, state); says in which line, or in which operation.
        Exception: what the step raises uncompiled as well.
    """
    with np.errstate(all="ignore"):  # the numbers of a trace are of no interest
        return _traced_twice(step, x, state, parameters, shared or {})


def _traced_twice(
    step: Any, x: Any, state: Any, parameters: Sequence[Tensor], shared: Mapping[str, Any]
) -> Program:
    """The trace, if a second one on other values is the same."""
    program = _attempt(step, x, state, parameters, shared)
    arrays = [path for path in program.shared if not isinstance(shared[path], Tensor)]
    try:
        _trace_again(program, step, x, state, parameters, shared, arrays)
    except CompileError:
        if not arrays:
            raise
        _trace_again(program, step, x, state, parameters, shared, [])
        program.looked_at = arrays
    return program


def _trace_again(
    program: Program,
    step: Any,
    x: Any,
    state: Any,
    parameters: Sequence[Tensor],
    shared: Mapping[str, Any],
    arrays: Sequence[str],
) -> None:
    """Raise CompileError if a trace on other values, also of these arrays, is not the same."""
    other, copies = other_step(step, parameters, shared, arrays)
    before = remembered(other)
    found = Shared(other).now()[0] if shared else {}
    contents = {path: raw(value).copy() for path, value in found.items()}
    try:
        again = _attempt(other, other_values(x), other_values(state), copies, found)
    except Exception as error:
        if isinstance(error, CompileError):
            raise
        raise CompileError(
            f"the step looks at values: with others it raises {type(error).__name__}: {error}"
        ) from error
    refuse_memory(before, remembered(other))
    refuse_writing(contents, {path: raw(value) for path, value in found.items()})
    refuse_changes(program, again)


def _attempt(
    step: Any, x: Any, state: Any, parameters: Sequence[Tensor], shared: Mapping[str, Any]
) -> Program:
    """One trace, whose errors say where they come from."""
    token = recording.set(TRACED)
    try:
        return Recorded(parameters, shared).program(step, x, state)
    except Exception as error:
        recording.set(True)
        way_out = ""
        if not isinstance(error, CompileError):
            _run_plainly(step, x, state)
            way_out = f". {WAY_OUT}"  # what NumPy says of a Tensor tells nobody what to do
        line = line_of(error)
        kind = StateChanges if isinstance(error, StateChanges) else CompileError
        text = f"the step cannot be traced: {error}" + f" ({line})" * bool(line) + way_out
        raise kind(text) from error
    finally:
        recording.reset(token)


def _run_plainly(step: Any, x: Any, state: Any) -> None:
    """The step as ``unroll`` takes it: what it raises now has nothing to do with the compiler."""
    given = structure.map(lambda a: None if a is None else label(a.copy(), "x"), x)
    with scope("step", 1):
        checked_step(step, given, structure.map(lambda a: label(a.copy(), "h"), state), 1)
