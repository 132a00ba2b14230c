"""What ``unroll`` asks of its arguments and of every step: counted, checked, cut and stacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tinyseq import structure
from tinyseq.autograd.primitive import no_grad
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, namespace, to_numpy
from tinyseq.errors import ConfigError, DataError, DTypeError, ShapeError, StructureError
from tinyseq.ops import stack, unbind

Step = Callable[[Any, Any], tuple[Any, Any]]


def steps_of(inputs: Any, length: int | None = None) -> tuple[list[Any], int]:
    """The inputs of every step as a list, and how many steps there are.

    Arrays are cut along their first axis; a Tensor by one ``unbind``, so that its gradient is one
    stack.
    """
    total = number_of_steps(inputs, length)
    if inputs is None:
        return [], total
    if isinstance(inputs, list):
        return inputs[:total], total
    columns = []
    for array in _arrays(inputs):
        cut = unbind if isinstance(array, Tensor) else list
        columns.append([None] * total if array is None else cut(array)[:total])
    if not structure.is_container(inputs):
        return columns[0], total
    of_step = (iter(row) for row in zip(*columns, strict=True))
    return [structure.map(lambda _, row=row: next(row), inputs) for row in of_step], total


def number_of_steps(inputs: Any, length: int | None = None) -> int:
    """T, as the inputs and the length have it.

    Raises:
        ConfigError, DataError, ShapeError: neither says it, or they contradict each other.
    """
    if inputs is None:
        if length is None:
            raise ConfigError("unroll: without inputs, say how many steps: length=T")
        if length < 0:
            raise DataError(f"unroll: length={length} is negative")
        return length
    if isinstance(inputs, list):
        total = len(inputs)
    else:
        given = [a for a in _arrays(inputs) if a is not None]
        if any(not a.ndim for a in given):
            raise ShapeError("unroll: inputs have time as their first axis, these have no axis")
        totals = sorted({a.shape[0] for a in given})
        if len(totals) != 1:
            raise ShapeError(f"unroll: the inputs have different numbers of steps, {totals}")
        (total,) = totals
    if length is None:
        return total
    if not 0 <= length <= total:
        raise DataError(f"unroll: length={length} with inputs for {total} steps")
    return length


def _arrays(inputs: Any) -> list[Any]:
    """The inputs as arrays or Tensors; None stays None."""
    return [
        a if a is None or isinstance(a, Tensor) else as_array(a) for a in structure.leaves(inputs)
    ]


def refuse_other_numbers(inputs: Any, state: Any) -> None:
    """Raise DTypeError if there is an array of complex numbers, say, whose gradient has no rule."""
    for what, value in ("inputs", inputs), ("state", state):
        for array in structure.leaves(value):
            kind = getattr(array, "dtype", None)
            if kind is not None and kind.kind not in "biuf":
                raise DTypeError(f"unroll: {what}: real numbers or booleans, not {kind}")


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
    """What the cell begins with, for a batch of this size."""
    if not hasattr(cell, "init_state"):
        raise ConfigError("unroll: this step has no init_state(batch): pass the initial state")
    if batch is None:
        raise ConfigError("unroll: no batch size to be seen in the inputs: pass the initial state")
    return cell.init_state(batch)


def checked_lengths(lengths: Any, batch: int | None, steps: int) -> Any:
    """The lengths of the sequences as integers on the host; None stays None."""
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
        raise no_pair(result, f"unroll at step {time}")
    new = result[1]
    if new.__class__ is Tensor and state.__class__ is Tensor:
        return result
    if not structure.alike(new, state):
        hint = (
            ": write init_state(self, batch), or pass a state, so that it begins as it goes on"
            if time <= 1
            else ""
        )
        raise StructureError(
            f"unroll at step {time}: the state went in as {structure.skeleton(state)} and came out "
            f"as {structure.skeleton(new)}{hint}"
        )
    return result


def no_pair(result: Any, where: str) -> StructureError:
    """The error of a step that returned something else than (y, state)."""
    return StructureError(
        f"{where}: a step returns (y, state), this one returned {type(result).__name__}"
    )


@contextmanager
def telling_of_the_state(cell: Any, inputs: Any, state: Any) -> Iterator[None]:
    """A ShapeError inside also says how the state that was given differs from what is expected.

    Only then: a state of another batch or size may well be one that broadcasts.
    """
    try:
        yield
    except ShapeError as error:
        batch = batch_size(inputs, None)
        found = None if state is None or batch is None else _misfit(cell, state, batch)
        if found is None:
            raise
        raise ShapeError(f"{error}. The state that was given has {found}") from None


def _misfit(cell: Any, state: Any, batch: int) -> str | None:
    """The first array of a state that is not as the cell's own for this batch would be."""
    try:
        with no_grad():
            own = cell.init_state(batch)
    except Exception:  # it has none, or none that fits: then the batch alone is to be compared
        own = None
    known = own is not None and structure.alike(own, state)
    arrays, expected = structure.leaves(state), structure.leaves(own if known else state)
    for name, array, like in zip(structure.names(state, "h"), arrays, expected, strict=True):
        shape = tuple(getattr(array, "shape", ()))
        wanted = tuple(getattr(like, "shape", ()))
        if known and shape != wanted:
            return f"{name} of shape {shape}; init_state({batch}) makes it {wanted}"
        if not known and shape and shape[0] not in (1, batch):
            return f"{name} of shape {shape}; the inputs are of {batch} sequences"
    return None


def detached(value: Any) -> Any:
    """The same array without its history."""
    return value.detach() if isinstance(value, Tensor) else value


def detach(state: Any) -> Any:
    """A state (or any structure of Tensors) without its history: carried on, not differentiated."""
    return structure.map(detached, state)


def stacked(outputs: list[Any]) -> Any:
    """The outputs of all steps along a new first axis, in the structure of one."""
    first = outputs[0]
    if not structure.is_container(first):
        return None if first is None else stack(outputs)
    columns = zip(*(structure.leaves(output) for output in outputs), strict=True)
    stacked = iter([None if c[0] is None else stack(c) for c in columns])
    return structure.map(lambda _: next(stacked), first)


def no_outputs(cell: Step, inputs: Any, state: Any, as_list: bool) -> Any:
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
