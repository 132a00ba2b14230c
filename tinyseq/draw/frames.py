"""Frames around the modules that are opened: what is computed in one stands inside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tinyseq.draw.graph import OPERATIONS
from tinyseq.draw.scene import Disc, Frame, Note
from tinyseq.draw.style import GREY
from tinyseq.draw.text import Name, clean

_ROOM = 7.0  # between a frame and what it holds
_TITLE = 10.0


def frames_of(discs: Sequence[Disc]) -> tuple[Frame, ...]:
    """A frame for every module with boxes inside, if nothing else stands within its bounds.

    In an unrolled graph a module has a frame in every step.
    """
    inside: dict[Any, list[Disc]] = defaultdict(list)
    for disc in discs:
        v = disc.vertex
        path = v.scope.split(".")
        closed = v.kind == "module"
        for depth in range(1, len(path) + (not closed)):
            if v.kind in OPERATIONS and v.scope:
                inside[".".join(path[:depth]), v.loop, v.time].append(disc)
    found: list[Frame] = []
    for (path, _, _), members in sorted(inside.items(), key=lambda item: len(item[1])):
        if all(disc.vertex.kind != "module" for disc in members):
            continue
        depth = 1 + max((_nesting(f, members) for f in found), default=0)
        room = _ROOM * depth
        left = min(d.x - d.width / 2 for d in members) - room
        right = max(d.x + d.width / 2 for d in members) + room
        lower = min(d.y - d.height / 2 for d in members) - room
        upper = max(d.y + d.height / 2 for d in members) + room + _TITLE * depth
        if any(
            left < d.x + d.width / 2 and d.x - d.width / 2 < right
            and lower < d.y + d.height / 2 and d.y - d.height / 2 < upper
            for d in discs
            if d not in members and not _belongs(d, path)
        ):  # fmt: skip
            continue
        text = Name(clean(path.rpartition(".")[2]), bold=False, italic=False, size=_TITLE)
        title = Note(text, left + text.width / 2 + 6, upper - _TITLE / 2 - 1, GREY)
        found.append(Frame(left, lower, right, upper, title))
    return tuple(found)


def _belongs(disc: Disc, path: str) -> bool:
    """Whether a variable was computed in a module."""
    return disc.vertex.kind not in OPERATIONS and f"{disc.vertex.scope}.".startswith(f"{path}.")


def _nesting(frame: Frame, members: Sequence[Disc]) -> int:
    """1 if a frame lies around some of the members, else 0."""
    return int(
        any(frame.left < d.x < frame.right and frame.lower < d.y < frame.upper for d in members)
    )
