"""The heights of things in a layered picture: near their neighbours, in the order of a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinyseq.draw.layer_order import Kin, Near, Slot

APART = 13.0  # between what stands in one column
_SETTLING, _WORK = 120, 200_000  # how often heights are settled; of how many boxes in all
_STRAIGHT = 6.0  # how much more a long wire wants to be straight than a box to be in the middle


def heights(
    order: Sequence[Sequence[Slot]],
    before: Near,
    after: Near,
    tall: Mapping[Slot, float],
    kin: Kin,
) -> dict[Slot, float]:
    """How high everything stands: near to its neighbours, in the order of its column."""
    y: dict[Slot, float] = {}
    for column in order:
        _settle(column, dict.fromkeys(column, 0.0), dict.fromkeys(column, 1.0), tall, y)
    for sweep in range(max(16, min(_SETTLING, _WORK // (len(tall) + 1)))):
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
            _settle(column, wish, weight, tall, y)
        if kin and sweep % 4 == 3:
            for family in kin:
                mean = sum(y[slot] for slot in family) / len(family)
                y.update(dict.fromkeys(family, mean))
            for column in order:
                _settle(column, dict(y), dict.fromkeys(column, 1.0), tall, y)
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
    tall: Mapping[Slot, float],
    y: dict[Slot, float],
) -> None:
    """Give every slot of a column the height that it wishes, as far as the order and sizes allow.

    The least sum of weighted squares, by pooling neighbours that get into each other's way. The
    first of a column stands highest.
    """
    pools: list[list[float]] = []  # sum of weight * wish, weight, how many
    offsets, offset = [], 0.0
    for k, slot in enumerate(column):
        offset += (tall[column[k - 1]] + tall[slot]) / 2 + APART if k else 0.0
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
