"""Nested states and inputs: tuples, named tuples, dicts and lists of arrays.

leaves(state)                    # the arrays, from left to right
names(state)                     # a name for each: field names, dict keys, "h" for a lone array
map(f, state, other)             # f on corresponding arrays, in the same structure
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyseq.errors import StructureError

CONTAINERS = (tuple, list, dict)


def is_container(value: Any) -> bool:
    """Whether the value is a container of arrays; everything else is an array itself."""
    return isinstance(value, CONTAINERS)


def children(value: Any) -> list[tuple[str, Any]]:
    """The entries of a container with their names: field names, keys, or 1, 2, 3 ..."""
    if isinstance(value, dict):
        return [(str(key), entry) for key, entry in value.items()]
    fields = getattr(value, "_fields", None)
    return list(zip(fields or (str(k + 1) for k in range(len(value))), value, strict=True))


def rebuilt(like: Any, entries: list[Any]) -> Any:
    """A container like the given one, with other entries."""
    if isinstance(like, dict):
        return dict(zip(like, entries, strict=True))
    return type(like)(*entries) if hasattr(like, "_fields") else type(like)(entries)


def leaves(value: Any) -> list[Any]:
    """The arrays of a structure, from left to right; None counts as an array."""
    if not isinstance(value, CONTAINERS):
        return [value]
    found: list[Any] = []
    for entry in value.values() if isinstance(value, dict) else value:
        if isinstance(entry, CONTAINERS):
            found += leaves(entry)
        else:
            found.append(entry)
    return found


def names(value: Any, alone: str, prefix: str = "") -> list[str]:
    """A name for every array of a structure.

    A lone array has the name ``alone``; fields and keys give theirs; the entries of plain tuples
    and lists are numbered. Deeper levels append: the field h of the second of two states is ``h2``.
    """
    if not is_container(value):
        return [(alone if not prefix or prefix.isdigit() else "") + prefix]
    found: list[str] = []
    for name, entry in children(value):
        inner = prefix + name if name.isdigit() else name + prefix
        found += names(entry, alone, inner)
    return found


def map(function: Callable[..., Any], value: Any, *others: Any, what: str = "structure") -> Any:
    """``function`` on corresponding arrays of structures that are alike.

    Raises:
        StructureError: if the structures differ; both are printed.
    """
    for other in others:
        if skeleton(other) != skeleton(value):
            raise StructureError(f"{what}: {skeleton(value)} here, but {skeleton(other)} there")
    return _map(function, value, *others)


def _map(function: Callable[..., Any], value: Any, *others: Any) -> Any:
    if not is_container(value):
        return function(value, *others)
    parts = [[entry for _, entry in children(other)] for other in (value, *others)]
    return rebuilt(value, [_map(function, *entries) for entries in zip(*parts, strict=True)])


def skeleton(value: Any) -> str:
    """The structure as text, with a dot for every array: ``LSTMState(h=·, c=·)``."""
    if value is None:
        return "None"
    if not is_container(value):
        return "·"
    inner = [(name, skeleton(entry)) for name, entry in children(value)]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {text}" for name, text in inner) + "}"
    if hasattr(value, "_fields"):
        return f"{type(value).__name__}({', '.join(f'{name}={text}' for name, text in inner)})"
    inside = ", ".join(text for _, text in inner)
    return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"


def alike(value: Any, other: Any) -> bool:
    """Whether two structures have the same containers; quicker than comparing skeletons."""
    if not isinstance(value, CONTAINERS):
        return not isinstance(other, CONTAINERS) and (value is None) == (other is None)
    if type(value) is not type(other) or len(value) != len(other):
        return False
    if isinstance(value, dict):
        return list(value) == list(other) and all(alike(v, other[k]) for k, v in value.items())
    for a, b in zip(value, other):  # noqa: B905 - of the same length, and this is in every step
        if a.__class__ is not b.__class__ or isinstance(a, CONTAINERS):
            if not alike(a, b):
                return False
    return True
