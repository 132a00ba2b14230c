"""layers: boxes in columns, joined by wires from left to right, with few crossings.

    placed = layered({"x": Box(44, 44, 0), "h": Box(44, 44, 3)}, [("x", "h")])
    placed.places["h"]; placed.ways[0]

After Sugiyama, Tagawa and Toda (1981): the order in each column by the mean of the neighbours'
places; then heights, as near to the neighbours as boxes let them. Wires of one source share their
way; where it passes a column, it has a place there like a box, so no wire can run into one.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from tinyseq.draw.scene import Point
from tinyseq.errors import DrawError

GAP = 34.0  # between columns
APART = 13.0  # between what stands in one column
_SWEEPS = 8
_SMALL, _ATTEMPTS = 300, 12  # of few boxes several orders are tried to begin with
_SETTLING, _WORK = 120, 200_000  # how often heights are settled; of how many boxes in all
_STRAIGHT = 6.0  # how much more a long wire wants to be straight than a box to be in the middle
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


Slot = tuple[Any, int]  # a box in its column, or the wire of a box where it passes one


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
    kin = [] if alike is None else _kin(slots, boxes, alike, starts)
    order = _ordered(order, before, after)
    for family in _by_offset(kin, order):
        _order_alike(family, order)
    size = {s: boxes[s[0]] if boxes[s[0]].layer == s[1] else _PASSING for s in slots}
    y = _heights(order, before, after, size, kin)
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


Near = Mapping[Slot, Mapping[Slot, None]]


# -- the order in every column --------------------------------------------------------------------


def _ordered(order: list[list[Slot]], before: Near, after: Near) -> list[list[Slot]]:
    """The columns sorted by the mean place of neighbours, to and fro; the best of all sweeps."""
    best, least = order, _crossings(order, after)
    if not least:
        return best
    dice = Random(0)
    for attempt in range(2 if sum(map(len, order)) > _SMALL else _ATTEMPTS):
        columns = [column[::-1] if attempt else list(column) for column in order]
        for column in columns if attempt > 1 else ():
            dice.shuffle(column)
        for sweep in range(_SWEEPS):
            near = before if sweep % 2 == 0 else after
            way = columns if sweep % 2 == 0 else columns[::-1]
            for fixed, column in zip(way, way[1:], strict=False):
                at = {slot: k for k, slot in enumerate(fixed)}
                own = {slot: k * len(fixed) / len(column) for k, slot in enumerate(column)}
                mean = {
                    s: sum(at[n] for n in near[s]) / len(near[s]) if near.get(s) else own[s]
                    for s in column
                }
                column.sort(key=mean.__getitem__)
            _switch(columns, before, after)
            crossings = _crossings(columns, after)
            if crossings < least:
                best, least = [list(column) for column in columns], crossings
    return best


def _switch(columns: list[list[Slot]], before: Near, after: Near) -> None:
    """Exchange neighbours in a column wherever their wires then cross less often."""
    place = {slot: k for column in columns for k, slot in enumerate(column)}
    for column in columns:
        for k in range(len(column) - 1):
            a, b = column[k], column[k + 1]
            gain = 0
            for near in (before, after):
                for m in near.get(a, ()):
                    for n in near.get(b, ()):
                        gain += (place[m] > place[n]) - (place[m] < place[n])
            if gain > 0:
                column[k], column[k + 1] = b, a
                place[a], place[b] = k + 1, k


def _crossings(order: Sequence[Sequence[Slot]], after: Near) -> int:
    total = 0
    for column, following in zip(order, order[1:], strict=False):
        at = {slot: k for k, slot in enumerate(following)}
        passed: list[int] = []
        for slot in column:
            ends = sorted(at[n] for n in after.get(slot, ()))
            total += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return total


# -- steps that are alike -------------------------------------------------------------------------

Kin = list[list[Slot]]  # slots that are the same one in different steps


def _kin(
    slots: Sequence[Slot],
    boxes: Mapping[Any, Box],
    alike: Mapping[Any, Any],
    starts: Sequence[int],
) -> Kin:
    """The slots, sorted by what they are and by how far into a step they stand."""
    found: dict[Any, list[Slot]] = defaultdict(list)
    for key, n in slots:
        step = bisect_right(starts, n) - 1
        home = bisect_right(starts, boxes[key].layer) - 1
        found[alike[key], step - home, n - starts[step]].append((key, n))
    return list(found.values())


def _by_offset(kin: Kin, order: Sequence[Sequence[Slot]]) -> list[Kin]:
    """The kin that meet in one column or another."""
    number = {slot: k for k, family in enumerate(kin) for slot in family}
    group = list(range(len(kin)))
    for column in order:
        met = {group[number[slot]] for slot in column if slot in number}
        if len(met) > 1:
            first = min(met)
            group = [first if g in met else g for g in group]
    found: dict[int, Kin] = defaultdict(list)
    for k, family in enumerate(kin):
        found[group[k]].append(family)
    return list(found.values())


def _order_alike(families: Kin, order: list[list[Slot]]) -> None:
    """Sort the columns in which these slots stand as they are sorted on average."""
    columns = sorted({slot[1] for family in families for slot in family})
    share = {s: (k + 0.5) / len(order[n]) for n in columns for k, s in enumerate(order[n])}
    mean = {
        s: (sum(map(share.__getitem__, family)) / len(family), k)
        for k, family in enumerate(families)
        for s in family
    }
    for n in columns:
        order[n].sort(key=mean.__getitem__)


# -- heights --------------------------------------------------------------------------------------


def _heights(
    order: Sequence[Sequence[Slot]],
    before: Near,
    after: Near,
    size: Mapping[Slot, Box],
    kin: Kin,
) -> dict[Slot, float]:
    """How high everything stands: near to its neighbours, in the order of its column."""
    y: dict[Slot, float] = {}
    for column in order:
        _settle(column, dict.fromkeys(column, 0.0), dict.fromkeys(column, 1.0), size, y)
    for sweep in range(max(16, min(_SETTLING, _WORK // (len(size) + 1)))):
        for column in order if sweep % 2 == 0 else order[::-1]:
            wish, weight = {}, {}
            for slot in column:
                near = [
                    (n, _pull(slot, n, before, after))
                    for side in (before, after)
                    for n in side.get(slot, ())
                ]
                weight[slot] = sum(pull for _, pull in near) or 0.1
                total = sum(pull * y[n] for n, pull in near)
                wish[slot] = total / weight[slot] if near else y[slot]
            _settle(column, wish, weight, size, y)
        if kin and sweep % 4 == 3:
            for family in kin:
                mean = sum(y[slot] for slot in family) / len(family)
                y.update(dict.fromkeys(family, mean))
            for column in order:
                _settle(column, dict(y), dict.fromkeys(column, 1.0), size, y)
    return y


def _pull(slot: Slot, near: Slot, before: Near, after: Near) -> float:
    """How strongly a slot is drawn to the height of a neighbour: along a line, more than where
    several wires part or meet."""
    if slot[0] == near[0]:
        return _STRAIGHT
    first, second = (slot, near) if slot[1] < near[1] else (near, slot)
    return 3.0 if len(after[first]) == len(before[second]) == 1 else 1.0


def _settle(
    column: Sequence[Slot],
    wish: Mapping[Slot, float],
    weight: Mapping[Slot, float],
    size: Mapping[Slot, Box],
    y: dict[Slot, float],
) -> None:
    """Give every slot of a column the height that it wishes, as far as the order and sizes allow.

    The least sum of weighted squares, by pooling neighbours that get into each other's way. The
    first of a column stands highest.
    """
    pools: list[list[float]] = []  # sum of weight * wish, weight, how many
    offsets, offset = [], 0.0
    for k, slot in enumerate(column):
        offset += (size[column[k - 1]].height + size[slot].height) / 2 + APART if k else 0.0
        offsets.append(offset)
        pools.append([weight[slot] * (-wish[slot] - offset), weight[slot], 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    slots = iter(zip(column, offsets, strict=True))
    for total, mass, count in pools:
        for _ in range(int(count)):
            slot, offset = next(slots)
            y[slot] = -(total / mass + offset)
