"""Steps that are compiled in place of a cell's own: in a ragged batch, and with a feed."""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any

import numpy as np

from tinyseq import structure
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array
from tinyseq.compile.step.shared import PLAIN, Same
from tinyseq.errors import ShapeError
from tinyseq.nn.cell import Cell
from tinyseq.ops import where
from tinyseq.recurrence.feed import OutputFeed, Sampler


class Fed:
    """A step that reads what a feed makes of its last output, which is part of the state."""

    def __init__(self, cell: Cell, feed: Any) -> None:
        self.cell = cell
        self.feed = feed

    def __call__(self, pair: Any, state: Any) -> tuple[Any, Any]:
        given, drawn = pair
        before, last = state
        y, new = self.cell(self.feed.mix(given, last, drawn), before)
        return y, (new, y)


class Ragged:
    """A step in which sequences that have ended stay as they are, as ``unroll`` has it."""

    def __init__(self, cell: Cell | Fed) -> None:
        self.cell = cell

    def __call__(self, pair: Any, state: Any) -> tuple[Any, Any]:
        x, running = pair
        y, new = self.cell(x, state)
        held = structure.map(lambda a, before: _held(running, a, before), new, state)
        return structure.map(lambda a: _held(running, a, 0.0), y), held


def _held(running: Any, value: Any, before: Any) -> Any:
    if value is before:
        return value
    array = value if isinstance(value, Tensor) else as_array(value)
    if array.shape[:1] != running.shape:
        raise ShapeError(
            "unroll: with lengths, inputs, states and outputs are (batch, ...), not "
            f"{tuple(array.shape)}"
        )
    return where(running.reshape(running.shape + (1,) * (array.ndim - 1)), value, before)


def kind_of(thing: Any) -> Any:
    """Equal for feeds (and for what they choose by) that do the same to the same arrays.

    Of a function its text counts, and of an object its attributes, but for what is drawn
    beforehand; arrays are read anew in every run.
    """
    if isinstance(thing, PLAIN):
        return thing
    if isinstance(thing, Tensor | np.ndarray | np.random.Generator):
        return type(thing)
    if isinstance(thing, MethodType):
        return kind_of(thing.__func__), Same(thing.__self__)
    if isinstance(thing, FunctionType):
        around = [cell.cell_contents for cell in thing.__closure__ or ()]
        inside = [Same(a) if isinstance(a, FunctionType) else kind_of(a) for a in around]
        settled = [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()]
        inside += [a if isinstance(a, PLAIN) else Same(a) for a in settled]
        return thing.__code__, tuple(inside)
    if isinstance(thing, OutputFeed | Sampler):
        left_out = getattr(thing, "beforehand", ())
        settings = {name: kind_of(a) for name, a in vars(thing).items() if name not in left_out}
        return type(thing), tuple(settings.items())
    return Same(thing)
