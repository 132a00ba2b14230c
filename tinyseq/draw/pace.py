"""At which pace the recurrences of a run go: the steps of each by themselves, and side by side.

A slow recurrence may make one step while a fast one makes four; it may count them 1, 2, 3 or, by
the time of the fast one, 4, 8, 12; and a recurrence inside another one counts them (1, 1), (1, 2),
(2, 1). In its own steps, its state is always one step old.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import gcd
from typing import Any, NamedTuple

from tinyseq.draw.graph import Time
from tinyseq.draw.run import RunGraph

Reads = Mapping[tuple[int, int], Collection[tuple[Any, Any]]]  # by source and reader: their times


class Rate(NamedTuple):
    """How a slow recurrence goes along with a fast one: ``every`` steps of that to one of its own.

    Its step k spans the steps of the fast one up to every * k + shift. It ``waits`` if it reads the
    last of them; otherwise it comes before the first.
    """

    every: int
    shift: int
    waits: bool

    def beat(self, fast: int) -> int:
        """The slow step that a fast one falls into."""
        return -((self.shift - fast) // self.every)

    def beside(self, slow: int) -> int:
        """The fast step at which a slow one is made."""
        return self.every * (slow - (not self.waits)) + self.shift + (not self.waits)


class Pace(NamedTuple):
    """What is known of a run's recurrences.

    Attributes:
        times: of every value, in steps of its own recurrence: 1, 2, 3 ...; positions in a grid or a
            tree as they are.
        steps: by recurrence, the times of the run by the own ones, where those are numbers.
        rates: by the numbers of a slow recurrence and a fast one.
        grids: the recurrences along two axes.
    """

    times: Sequence[Time | None] = ()
    steps: Mapping[int, Mapping[int, Time]] = {}
    rates: Mapping[tuple[int, int], Rate] = {}
    grids: frozenset[int] = frozenset()

    def between(self, source: int | None, reader: int | None) -> Fraction:
        """How many steps of one recurrence there are to one of the other."""
        if (reader, source) in self.rates:
            return Fraction(self.rates[reader, source].every)  # type: ignore[index]
        if (source, reader) in self.rates:
            return Fraction(1, self.rates[source, reader].every)  # type: ignore[index]
        return Fraction(1)

    def beside(self, loop: int, own: Time) -> tuple[int, Time]:
        """The recurrence that sets the pace for a step, and its time then: its own if none does."""
        seen = set()
        while loop not in seen and isinstance(own, int):
            seen.add(loop)
            faster = [fast for slow, fast in self.rates if slow == loop]
            if not faster:
                break
            steps = self.steps[faster[0]]
            own = min(max(self.rates[loop, faster[0]].beside(own), min(steps)), max(steps))
            loop = faster[0]
        return loop, self.steps[loop][own] if isinstance(own, int) else own


def pace(run: RunGraph) -> Pace:
    """The pace of every recurrence of a run."""
    reads = _reads(run)
    computed = _computed(run)
    own: dict[int, Mapping[Time, Time]] = {}
    grids = set()
    for loop in run.loops:
        lengths = {len(time) for time in loop.times if isinstance(time, tuple)}
        itself = reads.get((loop.number, loop.number), ())
        times = computed.get(loop.number, loop.times)
        if lengths and (len(lengths) > 1 or not _in_a_row(times, itself)):
            own[loop.number] = {time: time for time in loop.times}
            grids.update([loop.number] * (lengths == {2}))
        else:
            own[loop.number] = _counted(times)
    steps = {
        number: {mine: time for time, mine in times.items() if isinstance(mine, int)}
        for number, times in own.items()
    }
    if all(mine == time for times in own.values() for time, mine in times.items()):
        counted: Sequence[Time | None] = run.times
    else:
        loops = [role.loop for role in run.roles]
        counted = [
            None if time is None else own[loops[role]].get(time, time)  # type: ignore[index]
            for time, role in zip(run.times, run.role, strict=True)
        ]
    between = {
        (a, b): {(own[a].get(s, s), own[b].get(t, t)) for s, t in pairs}
        for (a, b), pairs in reads.items()
        if a != b
    }
    return Pace(counted, steps, _rates(between), frozenset(grids))


def _reads(run: RunGraph) -> Reads:
    """Which times of which recurrence are read at which times of which other.

    Of what one recurrence reads of itself, only where its times are positions.
    """
    positions = {k.number for k in run.loops if any(isinstance(time, tuple) for time in k.times)}
    found: dict[tuple[int, int], set[tuple[Any, Any]]] = defaultdict(set)
    if len(run.loops) < 2 and not positions:
        return found
    loops = [None if role.kind == "initial" else role.loop for role in run.roles]
    of = [loops[role] for role in run.role]
    for k, parents in enumerate(run.parents):
        reader = of[k]
        for p in parents if reader is not None else ():
            source = None if p is None else of[p]
            if source is not None and (source != reader or source in positions):
                found[source, reader].add((run.times[p], run.times[k]))  # type: ignore[index]
    return found


def _computed(run: RunGraph) -> dict[int | None, list[Time]]:
    """By recurrence, the times of those inside others, but for those of initial states alone."""
    inner = {loop.number for loop in run.loops if loop.outer is not None}
    found: dict[int | None, dict[Time, None]] = defaultdict(dict)
    for role, members in zip(run.roles, run.members, strict=True):
        if role.loop in inner and role.kind != "initial":
            found[role.loop].update(dict.fromkeys(run.times[k] for k in members))  # type: ignore
    return {loop: list(times) for loop, times in found.items()}


def _in_a_row(times: Collection[Any], reads: Collection[tuple[Any, Any]]) -> bool:
    """Whether times are those of a recurrence inside another one, and not positions in a grid.

    Either each outer step begins anew, or its first step follows the last one before it.
    """
    rank = {time: k for k, time in enumerate(sorted(times))}
    apart = {tuple(a - b for a, b in zip(now, then, strict=True)) for then, now in reads}
    in_order = {rank[now] - rank[then] for then, now in reads}
    return len(in_order) < len(apart) or all(not any(vector[:-1]) for vector in apart)


def _counted(times: Collection[Any]) -> dict[Time, Time]:
    """For every time of a recurrence which of its steps that is."""
    times = sorted(times)
    if all(isinstance(time, int) for time in times):
        stride = gcd(*(b - a for a, b in pairwise(times)))
        if stride < 2:
            return {time: time for time in times}
        return {time: 1 + (time - times[0]) // stride for time in times}
    return {time: k for k, time in enumerate(times, 1)}


def _rates(reads: Reads) -> dict[tuple[int, int], Rate]:
    """The pairs of recurrences that go along with each other at different rates."""
    found: dict[tuple[int, int], Rate] = {}
    for (fast, slow), pairs in reads.items():
        last: dict[Any, Any] = {}
        for then, now in pairs:
            last[now] = max(then, last.get(now, then))
        every = _slope(last)
        if every:
            now = next(iter(last))
            found[slow, fast] = Rate(every, last[now] - every * now, True)
    for (slow, fast), pairs in reads.items():
        first: dict[Any, Any] = {}
        for then, now in pairs:
            first[then] = min(now, first.get(then, now))
        every = _slope(first)
        if every and (slow, fast) not in found and len({now for _, now in pairs}) == len(pairs):
            then = next(iter(first))
            found[slow, fast] = Rate(every, first[then] - 1 - every * (then - 1), False)
    return found


def _slope(values: Mapping[Any, Any]) -> int:
    """By how much values rise from each number to the next one; 0 if not always by 2 or more."""
    keys = sorted(values)
    if len(keys) < 2 or not all(isinstance(n, int) for n in (*keys, *values.values())):
        return 0
    rises = {(values[b] - values[a]) for a, b in pairwise(keys)}
    if {b - a for a, b in pairwise(keys)} != {1} or len(rises) > 1:
        return 0
    (rise,) = rises
    return rise if rise >= 2 else 0
