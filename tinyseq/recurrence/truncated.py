"""Truncated back-propagation through time, TBPTT(k1, k2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.engine import backward
from tinyseq.autograd.node import scope
from tinyseq.autograd.tensor import Tensor, tensor
from tinyseq.backend import as_array, namespace
from tinyseq.errors import ConfigError
from tinyseq.recurrence.steps import Step, batch_size, checked_step, initial_state, steps_of


def truncated_bptt(
    cell: Step,
    inputs: Any,
    state: Any,
    loss: Callable[[int, Any], Tensor],
    k1: int,
    k2: int,
) -> tuple[float, Any]:
    """Every k1 steps, carry the losses of these k1 steps back over the last k2 steps.

    Adds to ``.grad`` of the leaves the sum of d L(t) / d theta through step s, over the pairs
    (t, s) with s > e - k2, where e is the end of the k1 steps that t belongs to (Williams and Peng
    1990). k2 >= T is full back-propagation; k1 = k2, dividing T, is ``unroll(detach_every=k1)``.
    Only the last k2 steps are kept in memory.

    Args:
        cell: one step, ``cell(x, state) -> (y, state)``.
        inputs: (T, N, ...), a structure of such arrays, or a list of T inputs of a step.
        state: the initial state, to which no gradient goes; None asks ``cell.init_state(batch)``.
        loss: ``loss(t, y)``, the loss L(t) of the output at time t = 1 ... T, of one element.
        k1: after how many steps to go back.
        k2: over how many steps to go back.

    Returns:
        The sum of the losses as a number, and the final state, detached.

    Raises:
        ConfigError: k1 or k2 below 1, or k2 below k1, which would pass over some losses' own steps.
    """
    if k1 < 1 or k2 < k1:
        raise ConfigError(f"truncated_bptt: 1 <= k1 <= k2 is wanted, not k1={k1}, k2={k2}")
    xs, steps = steps_of(inputs)
    if state is None:
        state = initial_state(cell, batch_size(inputs, None))
    state = structure.map(_raw, state)
    kept: deque[tuple[list[Tensor], list[Tensor], Tensor]] = deque(maxlen=k2)
    total, pending = 0.0, 0
    for t in range(1, steps + 1):
        before = structure.map(_as_leaf, state)
        with scope("step", t):
            y, after = checked_step(cell, xs[t - 1], before, t)
            step_loss = loss(t, y)
        total += float(step_loss)
        kept.append((structure.leaves(before), structure.leaves(after), step_loss))
        state = structure.map(_raw, after)
        pending += 1
        if pending == k1 or t == steps:
            _go_back(kept, pending)
            pending = 0
    return total, state


def _go_back(kept: deque[tuple[list[Tensor], list[Tensor], Tensor]], pending: int) -> None:
    """One pass over the kept steps, last step first, with the losses of the last ``pending``."""
    carried: list[Any] = []
    for back, (before, after, step_loss) in enumerate(reversed(kept)):
        outputs, seeds = [], []
        if back < pending and step_loss.requires_grad:
            outputs.append(step_loss)
            seeds.append(namespace(step_loss.data).ones_like(step_loss.data))
        for value, g in zip(after, carried or [None] * len(after), strict=True):
            if g is not None and isinstance(value, Tensor) and value.requires_grad:
                outputs.append(value)
                seeds.append(g)
        if outputs:
            backward(outputs, seeds, retain_graph=True)
        carried = [leaf.grad for leaf in before]
        for leaf in before:
            if leaf.requires_grad:
                leaf.grad = None


def _raw(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else as_array(value)


def _as_leaf(value: Any) -> Tensor:
    return tensor(value, requires_grad=np.dtype(value.dtype).kind == "f")
