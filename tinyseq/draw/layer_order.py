"""The order in which things stand in every column of a layered picture, so that few wires cross."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

Slot = tuple[Any, int]  # a box in its column, or the wire of a box where it passes one
Near = Mapping[Slot, Mapping[Slot, None]]
Kin = list[list[Slot]]  # slots that are the same one in different steps
_SWEEPS = 8
_SMALL, _ATTEMPTS = 300, 12  # of few boxes several orders are tried to begin with


def ordered(order: list[list[Slot]], before: Near, after: Near) -> list[list[Slot]]:
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


def kin_of(
    slots: Sequence[Slot],
    layer: Mapping[Any, int],
    alike: Mapping[Any, Any],
    starts: Sequence[int],
) -> Kin:
    """The slots, sorted by what they are and by how far into a step they stand."""
    found: dict[Any, list[Slot]] = defaultdict(list)
    for key, n in slots:
        step = bisect_right(starts, n) - 1
        home = bisect_right(starts, layer[key]) - 1
        found[alike[key], step - home, n - starts[step]].append((key, n))
    return list(found.values())


def by_offset(kin: Kin, order: Sequence[Sequence[Slot]]) -> list[Kin]:
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


def order_alike(families: Kin, order: list[list[Slot]]) -> None:
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
