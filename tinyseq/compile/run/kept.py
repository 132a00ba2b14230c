"""Kept: the loops of a compiled cell, one for each combination of shapes that it has met."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import namespace
from tinyseq.compile.options import Options
from tinyseq.compile.program import Program
from tinyseq.compile.run.assemble import assemble
from tinyseq.compile.run.loop import Loop, raw
from tinyseq.compile.step.recorded import StateChanges
from tinyseq.compile.step.shared import Shared, feed_of
from tinyseq.compile.step.steady import remembered
from tinyseq.compile.step.steps import Ragged, kind_of
from tinyseq.compile.step.trace import trace
from tinyseq.errors import CompileError
from tinyseq.nn.module import Module
from tinyseq.ops import concatenate, expand_dims
from tinyseq.recurrence.steps import batch_size

KEPT_LOOPS = 16  # of different shapes, for each compiled cell


class Kept:
    """The loops of a compiled cell, the latest last; forgotten if an attribute of it changes."""

    def __init__(self) -> None:
        self.loops: OrderedDict[Any, Loop] = OrderedDict()
        self.last: Loop | None = None
        self.growing: set[Any] = set()  # what there can be no loop for, but after a first step
        self.changes = -1
        self.settings: Any = None
        self.shared: Any = None
        self.found: Any = None
        self.feed: Any = None
        self.literal: str | None = None
        self.lock = threading.Lock()

    def run(
        self,
        step: Any,
        xs: Any,
        state: Any,
        steps: int,
        every: int | None,
        parameters: list[Any],
        options: Options,
        first: bool = True,
    ) -> tuple[Any, Any]:
        """All steps: the outputs, stacked, and the final state.

        Args:
            step: what is compiled, ``step(x, state) -> (y, state)``.
            xs, state: of all steps, and the initial one: structures of arrays or Tensors, or None.
            steps: T.
            every: after how many steps a state is kept for the backward pass; None for all.
            parameters: of the step.
            options: as the cell was compiled.
            first: whether a step may be taken first that gives the state another dtype or shape, as
                float64 inputs do to the zeros of a cell in float32.
        """
        inputs = [a for a in structure.leaves(xs) if a is not None]
        states = structure.leaves(state)
        if any(value is None for value in states):
            raise CompileError(
                f"a state without an array cannot be compiled: {structure.skeleton(state)}"
            )
        xp = namespace(*(raw(a) for a in (*inputs, *states, *parameters)))
        shared, settings = self.outside(step)
        given = [*inputs, *states, *parameters, *shared.values()]
        needed = tuple(isinstance(a, Tensor) and a.requires_grad for a in given)
        key = (
            steps, every, _kinds(inputs), _kinds(states), _kinds(parameters),
            structure.skeleton(xs), structure.skeleton(state), isinstance(step, Ragged), needed,
            tuple(shared), _kinds(shared.values()), settings, kind_of(feed_of(step)),
            xp is np,
        )  # fmt: skip
        loop = self.get(key, shared)
        if loop is None and key not in self.growing:
            on_gpu = replace(options, on_gpu=xp is not np)
            try:
                loop = made(step, xs, state, steps, every, parameters, on_gpu, shared, needed)
            except StateChanges:
                if not first:
                    raise
                self.growing.add(key)
            else:
                self.add(key, loop)
        if loop is not None:
            return loop.run(inputs, states, parameters, shared)
        x = structure.map(lambda a: None if a is None else a[0], xs)
        y, state = step(x, state)
        outputs = structure.map(lambda a: expand_dims(a, 0), y)
        if steps > 1:
            later = structure.map(lambda a: None if a is None else a[1:], xs)
            rest, state = self.run(
                step, later, state, steps - 1, every, parameters, options, first=False
            )
            outputs = structure.map(lambda *parts: concatenate(parts), outputs, rest)
        return outputs, state

    def outside(self, step: Any) -> tuple[dict[str, Any], tuple]:
        """What the step may read beside its arguments, as ``Shared.now`` tells."""
        with self.lock:
            feed = feed_of(step)
            if Module.changes != self.changes or feed is not self.feed:
                changes, settings = Module.changes, remembered(step, arrays=False)
                self.shared, self.feed, self.changes = Shared(step), feed, changes
                if settings != self.settings:
                    self.loops.clear()
                    self.growing.clear()
                    self.settings = settings
            arrays, found = self.shared.now()
            if found != self.found:  # another function, say, which reads from other places
                self.shared = Shared(step)
                arrays, found = self.shared.now()
                self.found = found
            return arrays, found

    def get(self, key: Any, shared: dict[str, Any]) -> Loop | None:
        """The loop for a key, if there is one of which no part has been replaced."""
        with self.lock:
            loop = self.loops.get(key)
            if loop is None or not loop.holds(shared):
                return None
            self.loops.move_to_end(key)
            self.last = loop
            return loop

    def add(self, key: Any, loop: Loop) -> None:
        """Keep a loop, and let go of the one that has not been used for longest."""
        with self.lock:
            self.loops[key] = self.last = loop
            self.loops.move_to_end(key)
            while len(self.loops) > KEPT_LOOPS:
                self.loops.popitem(last=False)


def made(
    step: Any,
    xs: Any,
    state: Any,
    steps: int,
    every: int | None,
    parameters: list[Any],
    options: Options,
    shared: dict[str, Any],
    needed: tuple[bool, ...],
) -> Loop:
    """A new loop, from a trace of the step; the arguments are those of ``Kept.run``.

    ``shared`` is what the step may read besides, ``needed`` says of inputs and states whether their
    gradient is asked for.
    """
    example = structure.map(lambda a: None if a is None else raw(a)[0], xs)
    start = structure.map(raw, state)

    def traced(rows: slice) -> Program:
        x = structure.map(lambda a: None if a is None else a[rows], example)
        before = structure.map(lambda a: a[rows], start)
        program = trace(step, x, before, parameters, shared)
        program.leave_out(needed)
        return program

    program = trace(step, example, start, parameters, shared)
    program.leave_out(needed)
    assembled = assemble(program, traced, batch_size(xs, state) or 1, steps, every, options)
    return Loop(program, assembled, step, example, start, shared)


def _kinds(values: Iterable[Any]) -> tuple:
    arrays = (raw(value) for value in values)  # of a number, too
    return tuple((tuple(array.shape), array.dtype.str) for array in arrays)
