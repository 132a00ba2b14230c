"""shared: the arrays that a step reads beside its input, its state and its parameters.

    decoder.memory = states          # an encoder's, say; set anew for every batch
    ys, _ = ts.unroll(fast, xs)      # their gradient is the sum over the steps

They are the same in every step of a run, but not in every run. So the loop is given them like
parameters, read anew at every call from where they are: an attribute of the cell (or of a module
inside, also in a list, tuple or dict), or a variable that a function of the cell finds around it.

What the step makes of such an array without tinyseq's operations, ``np.sqrt(self.table)``, is a
constant of the loop. Another array in its place makes another loop; one that is written over in
place goes unseen.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from tinyseq import structure
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import is_array
from tinyseq.nn.module import Module
from tinyseq.nn.parameter import Parameter

PLAIN = (bool, int, float, str, type(None))
DATA = (Tensor, *PLAIN, *structure.CONTAINERS)
LIBRARY = __name__.partition(".")[0]


class Shared:
    """The places where a step may find arrays, and what is there now."""

    def __init__(self, step: Any) -> None:
        modules = modules_of(step)
        self.own = {id(p) for _, module in modules for p in module.parameters()}
        self.places: list[tuple[str, Any, Any]] = []  # the path, a mapping, the key in it
        seen: set[Any] = set()
        for path, module in modules:
            self.places += _attributes(path, module)
            for function in _functions(module):
                self.places += _around(function, seen)
        feed = feed_of(step)
        if feed is not None:
            self.places += _attributes("feed", feed)
            for function in _functions(feed):
                self.places += _around(function, seen)

    def now(self) -> tuple[dict[str, Any], tuple]:
        """The arrays and Tensors by their paths, and what else is there, for comparison."""
        arrays: dict[str, Any] = {}
        rest = []
        for path, holder, key in self.places:
            value = holder.cell_contents if key is None else holder.get(key)
            alone = not structure.is_container(value)
            for number, entry in enumerate([value] if alone else structure.leaves(value)):
                if _is_array(entry) and id(entry) not in self.own:
                    arrays[path if alone else f"{path}.{number}"] = entry
                elif isinstance(entry, PLAIN):
                    rest.append((path, number, entry))
        return arrays, tuple(rest)


class Same:
    """Equal to another of the same object; it keeps the object, whose id stays its own."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or is_array(value)


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


def _attributes(path: str, owner: Any) -> Iterator[tuple[str, Any, Any]]:
    """The attributes of a module or feed that are arrays, or in which arrays may be put."""
    for name, value in vars(owner).items():
        array = _is_array(value) and not isinstance(value, Parameter)
        held = structure.is_container(value) and not all(
            isinstance(entry, Module | Parameter) for entry in structure.leaves(value)
        )
        if array or held:
            yield f"{path}.{name}".lstrip("."), vars(owner), name


def _functions(owner: Any) -> Iterator[Any]:
    """The functions that a user wrote into the class of a module or feed, or gave it."""
    for kind in type(owner).__mro__:
        if kind.__module__.partition(".")[0] not in (LIBRARY, "builtins"):
            yield from vars(kind).values()
    yield from vars(owner).values()


def _around(function: Any, seen: set[Any]) -> Iterator[tuple[str, Any, Any]]:
    """The variables of the scopes around a function that hold data; those of functions there."""
    function = function.fget if isinstance(function, property) else function
    function = inspect.unwrap(function) if callable(function) else function
    if not isinstance(function, FunctionType) or function in seen:
        return
    seen.add(function)
    if function.__module__.partition(".")[0] == LIBRARY:
        return
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found: list[tuple[str, Any, Any]] = [(name, cell, None) for name, cell in cells]
    outer = function.__globals__
    read = {i.argval for i in dis.get_instructions(function) if i.opname == "LOAD_GLOBAL"}
    found += [(name, outer, name) for name in sorted(read) if name in outer]
    for name, holder, key in found:
        try:
            value = holder.cell_contents if key is None else holder[key]
        except ValueError:  # a variable that has no value yet
            continue
        if isinstance(value, DATA) or is_array(value):
            yield f"{function.__qualname__}: {name}", holder, key
        elif isinstance(value, FunctionType):
            yield from _around(value, seen)
