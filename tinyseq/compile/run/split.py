"""Split: a loop whose batch is cut into parts, each of which runs in a thread of its own.

The sequences of a batch do not know of each other, so that a part of them is a run of its own, with
a workspace of its own. NumPy lets go of the interpreter inside of products and of operations on
larger arrays; matrix products use one thread each meanwhile. Parts are added up in their order, so
that the gradients of a run are the same, bit for bit, whenever it is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from threading import Thread
from typing import Any

import numpy as np

from tinyseq.compile.program import Program, Value
from tinyseq.compile.writing.slots import dtype_of
from tinyseq.threads import one_blas_thread, only_one

Part = tuple[slice, Program, Any]  # its rows of the batch, the step for so many, and their loop


class Split:
    """What an emitter gives for a batch, made from what it gives for parts of the batch.

    Args:
        program: the step for the whole batch.
        parts: of the batch, in order.
        steps: T.
    """

    def __init__(self, program: Program, parts: Sequence[Part], steps: int) -> None:
        self.program, self.parts, self.steps = program, parts, steps
        of_part = parts[0][1].parameters
        self.has_rows = [
            v.shape != w.shape for v, w in zip(program.parameters, of_part, strict=True)
        ]

    @property
    def source(self) -> str:
        """The source of the first part's loop."""
        return self.parts[0][2].source

    def build(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """forward and backward, over memory of their own."""
        program = self.program
        loops = [emitted.build() for _, _, emitted in self.parts]
        inputs, states = len(program.inputs), len(program.states)

        def forward(*arrays: Any) -> tuple[Any, Any, Any]:
            outputs = [self._empty(v, True) for v in program.outputs]
            finals = [self._empty(v) for v in program.new_states]
            kept: list[Any] = [None] * len(loops)

            def run(k: int, rows: slice) -> None:
                xs = [_cut(x, rows, 1) for x in arrays[:inputs]]
                state = [_cut(s, rows, 0) for s in arrays[inputs : inputs + states]]
                parameters = self._parameters(arrays[inputs + states :], rows)
                ys, ends, inside = loops[k][0](*xs, *state, *parameters)
                _put(outputs, ys, rows, 1)
                _put(finals, ends, rows, 0)
                kept[k] = inside

            self._side_by_side(run)
            return tuple(outputs), tuple(finals), kept

        def backward(*arrays: Any) -> tuple[Any, Any, Any]:
            count = len(program.outputs)
            kept = arrays[count + states]
            asked = zip(program.inputs, program.input_grads, strict=True)
            by_input = [None if g is None else self._empty(v, True) for v, g in asked]
            by_state = [self._empty(v) for v in program.states]
            by_parameter: list[Any] = [None] * len(loops)

            def run(k: int, rows: slice) -> None:
                gys = [_cut(g, rows, 1) for g in arrays[:count]]
                carried = [_cut(g, rows, 0) for g in arrays[count : count + states]]
                parameters = self._parameters(arrays[count + states + 1 :], rows)
                gxs, carried, by_parameter[k] = loops[k][1](*gys, *carried, kept[k], *parameters)
                _put(by_input, gxs, rows, 1)
                _put(by_state, carried, rows, 0)

            self._side_by_side(run)
            sums = map(self._joined, self.has_rows, zip(*by_parameter, strict=True))
            return tuple(by_input), tuple(by_state), tuple(sums)

        return forward, backward

    def _side_by_side(self, run: Callable[[int, slice], None]) -> None:
        """``run(number, rows)`` for all parts at the same time, the first one in this thread.

        One after the other inside of ``tinyseq.threads.one_thread``.
        """
        if only_one():
            for k, part in enumerate(self.parts):
                run(k, part[0])
            return
        failed: list[BaseException] = []

        def guarded(k: int) -> None:
            try:
                run(k, self.parts[k][0])
            except BaseException as error:
                failed.append(error)

        # settings such as numpy.errstate are those of the calling thread
        threads = [
            Thread(target=copy_context().run, args=(guarded, k)) for k in range(1, len(self.parts))
        ]
        with one_blas_thread():
            for thread in threads:
                thread.start()
            try:
                run(0, self.parts[0][0])
            finally:  # also when interrupted: they work in memory that will be used again
                for thread in threads:
                    thread.join()
        if failed:
            raise failed[0]

    def _empty(self, value: Value, of_all_steps: bool = False) -> np.ndarray:
        shape = (self.steps, *value.shape) if of_all_steps else value.shape
        return np.empty(shape, dtype_of(value))

    def _parameters(self, arrays: Sequence[Any], rows: slice) -> list[Any]:
        return [
            _cut(a, rows, 0) if has_rows else a
            for a, has_rows in zip(arrays, self.has_rows, strict=True)
        ]

    def _joined(self, has_rows: bool, parts: Sequence[Any]) -> Any:
        if parts[0] is None:
            return None
        return np.concatenate(parts) if has_rows else sum(parts[1:], parts[0])


class Alone:
    """What an emitter gives, with one thread for its products, which are too small for several."""

    def __init__(self, emitted: Any) -> None:
        self.emitted = emitted

    @property
    def source(self) -> str:
        """Of what it runs."""
        return self.emitted.source

    def build(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """forward and backward, over memory of their own."""
        forward, backward = map(_with_one_blas_thread, self.emitted.build())
        return forward, backward


def _with_one_blas_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    def limited(*arrays: Any) -> Any:
        with one_blas_thread():
            return function(*arrays)

    return limited


def _cut(array: Any, rows: slice, axis: int) -> Any:
    return np.ascontiguousarray(array[(slice(None),) * axis + (rows,)])


def _put(wholes: Sequence[Any], parts: Sequence[Any], rows: slice, axis: int) -> None:
    for whole, part in zip(wholes, parts, strict=True):
        if part is not None:
            whole[(slice(None),) * axis + (rows,)] = part
