"""Rows: whether a step treats the sequences of a batch apart, so that the batch may be cut.

A step is traced for the whole batch and for a part of it. What differs in shape has the batch in
that axis. Then every operation is tried out on random numbers: what it makes of some rows must be
these rows of what it makes of all. An operation that mixes sequences (a mean over the batch) does
not pass, nor does a step that computes with the size of the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.compile.program import Program, Value, in_order


def mixed_rows(whole: Program, part: Program, batch: int, size: int) -> str | None:
    """Why a step may not be run on parts of the batch; None if it may.

    Args:
        whole, part: the step for ``batch`` sequences, and for ``size`` of them.
    """
    values, rows = in_order(whole.forward_results()), in_order(part.forward_results())
    place = {id(v): k for program in (values, rows) for k, v in enumerate(program)}
    if [_account(v, place) for v in values] != [_account(v, place) for v in rows]:
        return "the step does something else for a part of the batch"
    axes: dict[int, int | None] = {}
    for a, b in zip(values, rows, strict=True):
        differing = [k for k, (n, m) in enumerate(zip(a.shape, b.shape, strict=True)) if n != m]
        if any((a.shape[k], b.shape[k]) != (batch, size) for k in differing) or differing[1:]:
            return f"{a.where or a.op}: the shape {a.shape} for a part of the batch is {b.shape}"
        axes[id(a)] = differing[0] if differing else None
    for a, b in zip(_ends(whole), _ends(part), strict=True):
        if a.shape[:1] != (batch,) or b.shape != (size, *a.shape[1:]):
            return "an input, a state or an output has no axis for the batch in front"
    if any(axes.get(id(v)) for v in whole.parameters):
        return "what all steps share has the batch in an inner axis"
    for a, b in zip(values, rows, strict=True):
        if a.kind == "constant" and not _same_for_all(a, b, axes[id(a)]):
            return "the step computes with the size of the batch, or has numbers for every sequence"
        if a.kind == "result" and not _keeps_apart(a, b, axes, batch, size):
            return f"{a.where or a.op} mixes the sequences of a batch"
    return None


def _ends(program: Program) -> list[Value]:
    return [*program.inputs, *program.states, *program.outputs, *program.new_states]


def _account(value: Value, place: dict[int, int]) -> Any:
    return value.op, value.index, len(value.shape), [place[id(v)] for v in value.inputs]


def _same_for_all(whole: Value, part: Value, axis: int | None) -> bool:
    """Whether a constant is the same for every sequence, and for a part of them."""
    a, b = np.asarray(whole.content), np.asarray(part.content)
    one = b if axis is None else b.take([0], axis)
    return bool((a == one).all() and (b == one).all())


def _keeps_apart(
    whole: Value, part: Value, axes: dict[int, int | None], batch: int, size: int
) -> bool:
    """Whether an operation on some rows gives these rows of what it gives on all."""
    rng = np.random.default_rng(0)
    inputs = {id(v): _random(v, rng) for v in whole.inputs}
    everything = _result(whole, [inputs[id(v)] for v in whole.inputs])
    for start in (0, batch - size):
        rows = np.arange(start, start + size)

        def cut(value: Any, array: Any, rows: np.ndarray = rows) -> Any:
            axis = axes[id(value)]
            return array if axis is None else array.take(rows, axis)

        try:
            found = _result(part, [cut(v, inputs[id(v)]) for v in whole.inputs])
        except (IndexError, ValueError):  # a part refers to what is in another one
            return False
        if not np.allclose(found, cut(whole, everything), rtol=1e-9, equal_nan=True):
            return False
    return True


def _result(value: Value, inputs: list[Any]) -> Any:
    assert value.primitive is not None
    return value.primitive.forward(np, *inputs, **value.params)


def _random(value: Value, rng: np.random.Generator) -> Any:
    if value.kind == "constant" and not value.shape:
        return value.content
    kind = np.dtype(value.dtype).kind
    if kind == "f":
        return rng.uniform(0.5, 1.5, value.shape)
    return rng.integers(0, 2, value.shape).astype(value.dtype)
