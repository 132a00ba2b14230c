"""layers: boxes in columns, joined by wires from left to right, with few crossings.

    placed = layered({"x": Box(44, 44, 0), "h": Box(44, 44, 3)}, [("x", "h")])
    placed.places["h"]; placed.ways[0]

After Sugiyama, Tagawa and Toda (1981): the order in each column by the mean of the neighbours'
places; then heights, as near to the neighbours as boxes let them. Wires of one source share their
way; where it passes a column, it has a place there like a box, so no wire can run into one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tinyseq.draw.layer_heights import heights
from tinyseq.draw.layer_order import Slot, by_offset, kin_of, order_alike, ordered
from tinyseq.draw.scene import Point
from tinyseq.errors import DrawError

GAP = 34.0  # between columns
_MOST = 60_000  # boxes, and columns that wires pass


class Box(NamedTuple):
    """What is to be placed: its size, and the number of its column."""

    width: float
    height: float
    layer: int


_PASSING = Box(0.0, 2.0, 0)  # the room of a wire in a column that it passes


@dataclass(frozen=True)
class Placed:
    """Where everything stands.

    Attributes:
        places: the middle of every box.
        ways: for every link, the heights at which it passes the columns between its ends.
        columns: left and right end of every column.
        passed: the heights at which wires pass each column.
    """

    places: dict[Any, Point]
    ways: list[list[float]]
    columns: list[tuple[float, float]]
    passed: list[list[float]]


def layered(
    boxes: Mapping[Any, Box],
    links: Sequence[tuple[Any, Any]],
    alike: Mapping[Any, Any] | None = None,
    starts: Sequence[int] = (),
) -> Placed:
    """Place boxes whose columns are known.

    Raises:
        DrawError: too many wires pass too many columns.

    Args:
        boxes: by key, in the order in which they are to stand in a column if nothing else counts.
        links: pairs of keys, from a box to one in a later column (to the right).
        alike: by key what boxes of different steps have in common, which are to stand alike.
        starts: the first column of every step.
    """
    columns: dict[int, dict[Slot, None]] = defaultdict(dict)
    for key, box in boxes.items():
        columns[box.layer][key, box.layer] = None
    before: dict[Slot, dict[Slot, None]] = defaultdict(dict)
    after: dict[Slot, dict[Slot, None]] = defaultdict(dict)
    for source, target in links:
        way = [(source, n) for n in range(boxes[source].layer, boxes[target].layer)]
        way.append((target, boxes[target].layer))
        for a, b in zip(way, way[1:], strict=False):
            columns[a[1]][a] = None
            before[b][a] = after[a][b] = None
    order = [list(columns[n]) for n in range(max(columns, default=-1) + 1)]
    slots = [slot for column in order for slot in column]
    if len(slots) > _MOST:
        raise DrawError(
            f"the wires of this picture would pass each other {len(slots)} times: too many to see. "
            "Show fewer steps with window=(first, last), or less detail with detail='variables'"
        )
    layer = {key: box.layer for key, box in boxes.items()}
    kin = [] if alike is None else kin_of(slots, layer, alike, starts)
    order = ordered(order, before, after)
    for family in by_offset(kin, order):
        order_alike(family, order)
    size = {s: boxes[s[0]] if boxes[s[0]].layer == s[1] else _PASSING for s in slots}
    tall = {slot: box.height for slot, box in size.items()}
    y = heights(order, before, after, tall, kin)
    spans: list[tuple[float, float]] = []
    for column in order:
        left = spans[-1][1] + GAP if spans else 0.0
        spans.append((left, left + max((size[slot].width for slot in column), default=0.0)))
    middle = [(left + right) / 2 for left, right in spans]
    return Placed(
        {key: (middle[box.layer], y[key, box.layer]) for key, box in boxes.items()},
        [
            [y[source, n] for n in range(boxes[source].layer + 1, boxes[target].layer)]
            for source, target in links
        ],
        spans,
        [[y[slot] for slot in column if size[slot] is _PASSING] for column in order],
    )
