"""Segments: a loop of T steps that is run k steps at a time, of which only the states are kept.

The forward pass keeps the state before every segment. The backward pass takes the segments from the
last to the first; it runs each forward again, in the one workspace that all of them share, and then
back. Memory for k steps in place of T, for the time of a second forward pass (see
``tinyseq.recurrence.checkpoint``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyseq.backend import namespace
from tinyseq.compile.schedule import Schedule


class Segments:
    """What an emitter gives for T steps, made from what it gives for k, and for what is left over.

    Args:
        emit: the emitter's function.
        schedule: of one step.
        steps, every: T and k.
    """

    def __init__(
        self, emit: Callable[[Schedule, int], Any], schedule: Schedule, steps: int, every: int
    ) -> None:
        self.program = schedule.program
        starts = range(0, steps, every)
        self.spans = [slice(start, min(start + every, steps)) for start in starts]
        sizes = dict.fromkeys(span.stop - span.start for span in self.spans)
        self.emitted = {size: emit(schedule, size) for size in sizes}

    @property
    def source(self) -> str:
        """The source of the first segment's loop."""
        return next(iter(self.emitted.values())).source

    def build(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """forward and backward, over memory of their own."""
        loops = {size: emitted.build() for size, emitted in self.emitted.items()}
        inputs, states = len(self.program.inputs), len(self.program.states)
        spans = self.spans

        def run(span: slice, xs: Any, state: Any, parameters: Any) -> Any:
            return loops[span.stop - span.start][0](*(x[span] for x in xs), *state, *parameters)

        def forward(*arrays: Any) -> tuple[Any, Any, Any]:
            xs, state = arrays[:inputs], arrays[inputs : inputs + states]
            parameters = arrays[inputs + states :]
            outputs: list[Any] = []
            before = []
            for span in spans:
                before.append(state)
                ys, finals, _ = run(span, xs, state, parameters)
                # copies: a final state may be a view of those of all steps
                state = tuple(final.copy() for final in finals)
                if not outputs:
                    shapes = [(spans[-1].stop, *y.shape[1:]) for y in ys]
                    outputs = [
                        namespace(y).empty(s, y.dtype) for y, s in zip(ys, shapes, strict=True)
                    ]
                for whole, y in zip(outputs, ys, strict=True):
                    whole[span] = y
            return tuple(outputs), state, (xs, before)

        def backward(*arrays: Any) -> tuple[Any, Any, Any]:
            count = len(self.program.outputs)
            seeds, carried = arrays[:count], arrays[count : count + states]
            (xs, before), parameters = arrays[count + states], arrays[count + states + 1 :]
            by_input: list[Any] = [None] * inputs
            by_parameter: list[Any] = [None] * len(parameters)
            for span, state in zip(reversed(spans), reversed(before), strict=True):
                kept = run(span, xs, state, parameters)[2]
                back = loops[span.stop - span.start][1]
                gys = (seed[span] for seed in seeds)
                gxs, carried, gps = back(*gys, *carried, kept, *parameters)
                for k, g in enumerate(gxs):
                    if g is not None:
                        if by_input[k] is None:
                            by_input[k] = namespace(g).empty(xs[k].shape, g.dtype)
                        by_input[k][span] = g
                for k, g in enumerate(gps):
                    by_parameter[k] = g if by_parameter[k] is None else by_parameter[k] + g
            return tuple(by_input), tuple(carried), tuple(by_parameter)

        return forward, backward
