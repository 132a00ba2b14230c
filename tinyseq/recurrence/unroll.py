"""unroll: apply one step again and again, with every operation of every step recorded.

    outputs, state = unroll(cell, xs, state)

The definition of what a recurrence computes. Works for any callable that Python can run,
``step(x, state) -> (y, state)``, and knows nothing of modules.

Each step runs in a scope of its own, numbered by its time 1, 2, ... T, and x(t), the states and
the outputs are labelled there: that is what the pictures are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.engine import paused_gc
from tinyseq.autograd.node import Scope, current_scope, scope
from tinyseq.autograd.primitive import no_grad, recording
from tinyseq.autograd.tensor import Tensor, label
from tinyseq.backend import as_array, namespace, to_numpy
from tinyseq.errors import ConfigError, DataError, ShapeError, StructureError
from tinyseq.ops import concatenate, identity, stack, unbind, where
from tinyseq.recurrence.feed import Feed

Step = Callable[[Any, Any], tuple[Any, Any]]


def unroll(
    cell: Step,
    inputs: Any = None,
    state: Any = None,
    *,
    length: int | None = None,
    lengths: Sequence[int] | None = None,
    reverse: bool = False,
    feed: Feed | None = None,
    detach_every: int | None = None,
    names: dict[str, str] | None = None,
    as_list: bool = False,
) -> tuple[Any, Any]:
    """Run a recurrence: y(t), s(t) = cell(x(t), s(t-1)) for t = 1 ... T (book, section 10.1).

    Args:
        cell: one step, ``cell(x, state) -> (y, state)``.
        inputs: (T, N, ...), or a structure of such arrays (a step gets the structure of their
            slices), or a list of T inputs of a step. None if the cell needs no input.
        state: the initial state. None asks ``cell.init_state(batch)``.
        length: T, where there are no inputs to tell it; otherwise how many of them to use.
        lengths: of the N sequences of a padded batch. Beyond its length a sequence's state stays as
            it is and its outputs are zero. No bit of the outputs depends on what the padding holds
            or how long it is; in a batch of another size BLAS may round the last bit otherwise.
        reverse: run from the last step to the first. With ``lengths``, each sequence starts at its
            own end.
        feed: decides every step's input from the given one and the last output: free running,
            scheduled sampling ... (``tinyseq.recurrence.feed``). By default the given input it is.
        detach_every: truncated back-propagation: after every so many steps the state is carried on,
            but no gradient flows back across.
        names: what to call x, the states and o in the pictures, where it is not that: {"h": "g"}.
        as_list: give the outputs as a list of T, not stacked.

    Returns:
        The outputs, stacked along a first axis of length T (each array of the output's structure),
        and the state after the last step. T = 0 gives empty outputs and the initial state.

    Raises:
        ShapeError: inputs of different lengths; names the step in which shapes do not fit.
        StructureError: a step that does not return (y, state), or changes the state's structure.
        DataError: lengths that are negative, too long, or not one for each sequence.
    """
    if hasattr(cell, "run_steps") and feed is None and recording.get() in (True, False):
        return _at_once(cell, inputs, state, length, lengths, reverse, detach_every, as_list)
    xs, steps = steps_of(inputs, length)
    batch = batch_size(inputs, state)
    if detach_every is not None and detach_every < 1:
        raise ConfigError(f"unroll: detach_every is at least 1, not {detach_every}")
    ends = _checked_lengths(lengths, batch, steps)
    with scope("step", steps + 1 if reverse else 0):
        state = initial_state(cell, batch) if state is None else structure.map(_own_node, state)
        renamed = names or {}

        def call(name: str) -> str:
            return renamed.get(name, name)

        state_names = [call(name) for name in structure.names(state, "h")]
        state = _labelled(state, state_names)
    if steps == 0:
        return _no_outputs(cell, inputs, state, as_list), state
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    input_names = [call(name) for name in structure.names(xs[0] if xs else None, "x")]
    outputs: list[Any] = [None] * steps
    output_names = None
    last = None
    outer = current_scope.get()
    token = current_scope.set(outer)
    try:
        with paused_gc():
            for count, t in enumerate(order):
                current_scope.set(Scope(outer, "step", t + 1))
                x = xs[t] if xs else None
                if feed is not None:
                    x = feed(count, x, last)
                if ends is not None and x is not None:
                    x = _cleared(ends > t, x)
                if x is not None:
                    x = _labelled(x, input_names)
                if detach_every and count and count % detach_every == 0:
                    state = _labelled(structure.map(_detached, state), state_names)
                last, new = checked_step(cell, x, state, t + 1)
                if ends is not None:
                    last, new = _held(ends > t, last, new, state)
                state = _labelled(new, state_names)
                if output_names is None:
                    output_names = [call(name) for name in structure.names(last, "o")]
                outputs[t] = last = _labelled(last, output_names)
    finally:
        current_scope.reset(token)
    return (outputs if as_list else _stacked(outputs)), state


def _at_once(
    cell: Any,
    inputs: Any,
    state: Any,
    length: int | None,
    lengths: Any,
    reverse: bool,
    every: int | None,
    as_list: bool,
) -> tuple[Any, Any]:
    """``unroll`` of a compiled cell, which runs all steps in one call (of each detached part)."""
    steps = steps_of(None if inputs is None else structure.map(_raw, inputs), length)[1]
    batch = batch_size(inputs, state)
    ends = _checked_lengths(lengths, batch, steps)
    state = initial_state(cell, batch) if state is None else state
    if not steps:
        return _no_outputs(cell, inputs, state, as_list), state
    whole = _stacked(inputs) if isinstance(inputs, list) else inputs
    order = slice(None, None, -1) if reverse else slice(None)
    running = None
    if ends is not None:
        running = ends > np.arange(steps)[order, None]
    parts = []
    for start in range(0, steps, every or steps):
        part = slice(start, min(start + (every or steps), steps))
        state = structure.map(_detached, state) if start else state
        x = whole
        if x is not None and (reverse or part != slice(0, len(structure.leaves(whole)[0]))):
            x = structure.map(lambda a, part=part: None if a is None else a[:steps][order][part], x)
        outputs, state = cell.run_steps(
            x, state, part.stop - start, None if running is None else running[part]
        )
        parts.append(outputs)
    joined = parts[0]
    if len(parts) > 1:
        joined = structure.map(lambda *pieces: concatenate(pieces), *parts)
    joined = structure.map(lambda a: a[order], joined) if reverse else joined
    if as_list:
        columns = [unbind(a) for a in structure.leaves(joined)]
        rows = [iter(row) for row in zip(*columns, strict=True)]
        return [structure.map(lambda _, row=row: next(row), joined) for row in rows], state
    return joined, state


def _raw(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def steps_of(inputs: Any, length: int | None = None) -> tuple[list[Any], int]:
    """The inputs of every step as a list, and how many steps there are.

    Arrays are cut along their first axis; a Tensor by one ``unbind``, so that its gradient is one
    stack.
    """
    if inputs is None:
        if length is None:
            raise ConfigError("unroll: without inputs, say how many steps: length=T")
        if length < 0:
            raise DataError(f"unroll: length={length} is negative")
        return [], length
    if isinstance(inputs, list):
        xs = inputs
    else:
        arrays = [
            a if a is None or isinstance(a, Tensor) else as_array(a)
            for a in structure.leaves(inputs)
        ]
        given = [a for a in arrays if a is not None]
        if any(not a.ndim for a in given):
            raise ShapeError("unroll: inputs have time as their first axis, these have no axis")
        totals = sorted({a.shape[0] for a in given})
        if len(totals) != 1:
            raise ShapeError(f"unroll: the inputs have different numbers of steps, {totals}")
        columns = [
            [None] * totals[0] if a is None else unbind(a) if isinstance(a, Tensor) else list(a)
            for a in arrays
        ]
        if not structure.is_container(inputs):
            (xs,) = columns
        else:
            of_step = (iter(row) for row in zip(*columns, strict=True))
            xs = [structure.map(lambda _, row=row: next(row), inputs) for row in of_step]
    if length is None:
        return xs, len(xs)
    if not 0 <= length <= len(xs):
        raise DataError(f"unroll: length={length} with inputs for {len(xs)} steps")
    return xs[:length], length


def batch_size(inputs: Any, state: Any) -> int | None:
    """The number of sequences: the second axis of the inputs, else the first of the state."""
    if isinstance(inputs, list) and inputs:
        first = structure.leaves(inputs[0])[0]
        return first.shape[0] if getattr(first, "ndim", 0) else None
    given = [array for array in structure.leaves(inputs) if array is not None]
    for array in given:
        shape = getattr(array, "shape", None) or as_array(array).shape
        return shape[1] if len(shape) > 1 else None
    for array in structure.leaves(state) if state is not None else []:
        return array.shape[0] if getattr(array, "ndim", 0) else None
    return None


def initial_state(cell: Any, batch: int | None) -> Any:
    if not hasattr(cell, "init_state"):
        raise ConfigError("unroll: this step has no init_state(batch): pass the initial state")
    if batch is None:
        raise ConfigError("unroll: no batch size to be seen in the inputs: pass the initial state")
    return cell.init_state(batch)


def _checked_lengths(lengths: Any, batch: int | None, steps: int) -> Any:
    if lengths is None:
        return None
    ends = to_numpy(lengths.data if isinstance(lengths, Tensor) else as_array(lengths))
    if ends.dtype.kind not in "iu" or ends.ndim != 1 or (batch is not None and len(ends) != batch):
        raise DataError(
            f"unroll: lengths are one integer for each of the {batch} sequences, not "
            f"{ends.dtype} of shape {ends.shape}"
        )
    if ends.size and (ends.min() < 0 or ends.max() > steps):
        raise DataError(
            f"unroll: lengths {ends.tolist()} for {steps} steps: each must be 0 to {steps}"
        )
    return ends


def checked_step(cell: Step, x: Any, state: Any, time: int) -> tuple[Any, Any]:
    """One step, whose result is checked to be (y, state) with the state's structure unchanged."""
    result = cell(x, state)
    if not isinstance(result, tuple) or len(result) != 2:
        raise StructureError(
            f"unroll at step {time}: a step returns (y, state), this one returned "
            f"{type(result).__name__}"
        )
    new = result[1]
    if new.__class__ is Tensor and state.__class__ is Tensor:
        return result
    if not structure.alike(new, state):
        raise StructureError(
            f"unroll at step {time}: the state went in as {structure.skeleton(state)} and came out "
            f"as {structure.skeleton(new)}"
        )
    return result


def _held(running: Any, output: Any, new: Any, old: Any) -> tuple[Any, Any]:
    """Sequences that have ended keep their state, and their output is zero."""
    kept = structure.map(lambda value, before: _where_running(running, value, before), new, old)
    return _cleared(running, output), kept


def _cleared(running: Any, value: Any) -> Any:
    """Zero for the sequences that have ended: NaN in the padding would get into the gradients."""
    return structure.map(lambda array: _where_running(running, array, 0), value)


def _where_running(running: Any, value: Any, otherwise: Any) -> Any:
    if value is None or running.all():
        return value
    array = value.data if isinstance(value, Tensor) else as_array(value)
    if not array.ndim or array.shape[0] != len(running):
        raise ShapeError(
            f"unroll: with lengths, inputs, states and outputs are (batch, ...), not {array.shape}"
        )
    mask = namespace(array).asarray(running.reshape((-1,) + (1,) * (array.ndim - 1)))
    return where(mask, value, otherwise)


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _labelled(value: Any, names: list[str]) -> Any:
    """The structure with every array a labelled Tensor; labels that are there stay.

    Under ``no_grad`` nothing is labelled: there is no picture to make.
    """
    if isinstance(value, Tensor) and value.node is not None:
        if value.node.label is None:
            value.node.label = names[0]
            value.node.value = value.data
        return value
    for array, name in zip(structure.leaves(value), names, strict=True):
        node = array.node if isinstance(array, Tensor) else None
        if node is None:
            break
        if node.label is None:
            node.label, node.value = name, array.data
    else:
        return value  # the usual case: nothing had to be replaced
    pending = iter(names)
    return structure.map(lambda array: _with_label(array, next(pending)), value)


def _with_label(value: Any, name: str) -> Any:
    if value is None:
        return None
    node = value.node if isinstance(value, Tensor) else None
    if node is None:
        return label(value, name) if recording.get() else value
    if node.label is None:
        node.label = name
        node.value = value.data
    return value


def _own_node(value: Any) -> Any:
    """A given initial state under a node of this recurrence, which is labelled as its time 0."""
    return identity(value) if isinstance(value, Tensor) and value.node is not None else value


def _stacked(outputs: list[Any]) -> Any:
    first = outputs[0]
    if not structure.is_container(first):
        return None if first is None else stack(outputs)
    columns = zip(*(structure.leaves(output) for output in outputs), strict=True)
    stacked = iter([None if c[0] is None else stack(c) for c in columns])
    return structure.map(lambda _: next(stacked), first)


def _no_outputs(cell: Step, inputs: Any, state: Any, as_list: bool) -> Any:
    """Outputs of no steps: arrays of length 0, whose other axes a trial step on zeros tells."""
    if as_list:
        return []
    with no_grad():
        nothing_given = inputs is None or isinstance(inputs, list)
        x = None if nothing_given else structure.map(_zeros_of_a_step, inputs)
        output, _ = checked_step(cell, x, state, 0)

        def nothing(value: Any) -> Tensor:
            array = value.data if isinstance(value, Tensor) else as_array(value)
            return Tensor(namespace(array).zeros((0, *array.shape), array.dtype))

        return structure.map(nothing, output)


def _zeros_of_a_step(value: Any) -> Any:
    if value is None:
        return None
    array = value.data if isinstance(value, Tensor) else as_array(value)
    return namespace(array).zeros(array.shape[1:], array.dtype)
