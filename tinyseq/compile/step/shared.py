"""shared: the arrays that a step reads beside its input, its state and its parameters.

    decoder.memory = states          # an encoder's, say; set anew for every batch
    ys, _ = ts.unroll(fast, xs)      # their gradient is the sum over the steps

They are the same in every step of a run, but not in every run. So the loop is given them like
parameters, read anew at every call from where they are: an attribute of the cell (or of a module
inside, also in a list, tuple, dict or object), or a variable that a function of the cell finds
around it (``places``). What else is found there, numbers, functions, settings, is part of the loop:
when it changes, another loop is made.

What the step makes of such an array without tinyseq's operations, ``np.sqrt(self.table)``, is a
constant of the loop. Other values in its place make another loop. In arrays of more than a million
bytes, and on a GPU, only another array does: there, what is written over in place goes unseen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.compile.step.places import at, entries, is_array_or_tensor, places
from tinyseq.nn.module import Module

PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
WATCHED = 1_000_000  # bytes of an array whose values are compared


class Shared:
    """The places where a step may find arrays, and what is there now."""

    def __init__(self, step: Any) -> None:
        modules = modules_of(step)
        self.own = {id(p) for _, module in modules for p in module.parameters()}
        self.places, self.names = places(modules, feed_of(step))

    def now(self) -> tuple[dict[str, Any], tuple]:
        """The arrays and Tensors by their paths, and what else is there, for comparison."""
        arrays: dict[str, Any] = {}
        rest: list[tuple[str, type, Any]] = []
        for place, holder, key in self.places:
            for path, entry in entries(place, at(holder, key), self.names):
                if is_array_or_tensor(entry):
                    if id(entry) not in self.own:
                        arrays[path] = entry
                elif isinstance(entry, PLAIN):
                    rest.append((path, type(entry), entry))
                elif isinstance(entry, set | frozenset):
                    rest.append((path, type(entry), frozenset(entry)))
                else:
                    rest.append((path, type(entry), Same(entry)))
        return arrays, tuple(rest)


class Same:
    """Equal to another of the same object; it keeps the object, whose id stays its own."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


class Fixed:
    """An array of which something is part of a loop."""

    def __init__(self, array: Any) -> None:
        watched = isinstance(array, np.ndarray) and array.nbytes <= WATCHED
        self.array = array.copy() if watched else array

    def __eq__(self, other: object) -> bool:
        """Whether an array is this one, or has its values."""
        if self.array is other or not isinstance(other, np.ndarray) or other.nbytes > WATCHED:
            return self.array is other
        return np.array_equal(self.array, other, equal_nan=other.dtype.kind == "f")


def modules_of(step: Any) -> list[tuple[str, Module]]:
    """The modules of a step, which is a cell, or has one inside, with their paths."""
    while not isinstance(step, Module):
        step = getattr(step, "cell", None)
        if step is None:
            return []
    return list(step.named_modules())


def feed_of(step: Any) -> Any:
    """The feed of a step, which has one, or is around one that has; None if there is none."""
    while step is not None and not isinstance(step, Module):
        if hasattr(step, "feed"):
            return step.feed
        step = getattr(step, "cell", None)
    return None
