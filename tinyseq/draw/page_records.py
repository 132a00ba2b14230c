"""page_records: names, wires, places and values as the interactive page reads them.

Points count from the upper left, to a hundredth; numbers have four digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinyseq.backend import to_numpy
from tinyseq.draw.graph import Time
from tinyseq.draw.scene import Disc, Frame, Note, Point, Wire
from tinyseq.draw.text import Name, clean

Record = dict[str, Any]
ORIGIN = (0.0, 0.0)


def disc_record(disc: Disc) -> Record:
    """What a node looks like, wherever it stands."""
    return {
        "name": _name(replace(disc.name, superscript="")),
        "timed": bool(disc.name.superscript),
        "w": rounded(disc.width),
        "h": rounded(disc.height),
        "line": disc.line,
        "fill": disc.fill,
    }


def wire_record(wire: Wire, origin: Point = ORIGIN) -> Record:
    """An edge with its arrow and letters, seen from an origin."""
    return {
        "delay": delay_record(wire.edge.delay),
        "letters": [clean(letter) for letter in wire.edge.parameters],
        "curve": flat(wire.curve, origin),
        "tip": None if wire.tip is None else flat([wire.tip], origin),
        "label": None if wire.label is None else note_record(wire.label, origin),
        "colour": wire.colour,
        "dashed": wire.dashed,
        "detached": wire.edge.detached,
    }


def note_record(note: Note, origin: Point = ORIGIN) -> Record:
    """A text with the place of its middle."""
    x, y = flat([(note.x, note.y)], origin)
    return {"name": _name(note.text), "x": x, "y": y}


def frame_record(frame: Frame) -> Record:
    """The box around a module, with its title."""
    left, top, right, bottom = flat([(frame.left, frame.upper), (frame.right, frame.lower)])
    return {
        "x": left,
        "y": top,
        "w": rounded(right - left),
        "h": rounded(bottom - top),
        "title": note_record(frame.title),
        "line": frame.line,
    }


def _name(name: Name) -> Record:
    return {
        "base": name.base,
        "sub": name.subscript,
        "sup": name.superscript,
        "bold": name.bold,
        "italic": name.italic,
        "size": rounded(name.size),
        "rest": [_name(part) for part in name.rest],
    }


def value_record(value: Any, room: int) -> Record | None:
    """A value in few numbers.

    Returns:
        ``all`` elements, where there are no more than ``room``; for several, their ``summary``
        (mean, standard deviation, least, largest), and how many are ``odd``: not finite.
    """
    if value is None:
        return None
    array = to_numpy(value)
    found: Record = {}
    if array.size <= room:
        found["all"] = [number_record(x) for x in array.ravel().tolist()]
    if array.size > 1:
        finite = array[np.isfinite(array)].astype(np.float64)
        found["odd"] = array.size - finite.size
        if finite.size:
            parts = finite.mean(), finite.std(), finite.min(), finite.max()
            found["summary"] = [number_record(float(x)) for x in parts]
    return found


def number_record(x: float | None) -> float | str | None:
    """A number with four digits, or the word for one that JSON does not have."""
    if x is None or isinstance(x, int):
        return x
    return float(f"{x:.4g}") if np.isfinite(x) else str(float(x))


def delay_record(delay: Time | None) -> Any:
    """A delay; one of several axes is a list."""
    return list(delay) if isinstance(delay, tuple) else delay


def flat(points: Sequence[Point], origin: Point = ORIGIN) -> list[float]:
    """Points as one list x, y, x, y ..."""
    return [rounded(part) for x, y in points for part in (x - origin[0], origin[1] - y)]


def ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Rising numbers as pairs: the first and the last of each unbroken piece."""
    found: list[list[int]] = []
    for k in numbers:
        if found and found[-1][1] == k - 1:
            found[-1][1] = k
        else:
            found.append([k, k])
    return found


def shared(entries: Iterable[Any]) -> Record:
    """``all``, the entry that all of them are; else ``each`` of them."""
    listed = list(entries)
    return {"all": listed[0]} if all(x == listed[0] for x in listed) else {"each": listed}


def rounded(x: float) -> float:
    """A coordinate or size to a hundredth of a point."""
    return round(float(x), 2)
