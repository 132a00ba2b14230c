"""Which step of which recurrence a scope belongs to, and where in the step it stands.

A recurrence ("loop") is a run of step scopes with different times, opened one after another inside
the same module call. Two values of different steps correspond if their places agree in everything
but the time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from tinyseq.autograd.node import Scope
from tinyseq.draw.graph import Time


@dataclass(frozen=True)
class Loop:
    """One recurrence.

    Attributes:
        number: its own.
        path: the modules in which it ran.
        times: in the order of running.
        outer: the number of the recurrence in whose steps it ran, or None.
    """

    number: int
    path: tuple[str, ...]
    times: tuple[Time, ...]
    outer: int | None = None

    @property
    def is_tree(self) -> bool:
        """Whether its times are positions in a tree: ways from the root of unlike length."""
        return len({len(time) for time in self.times if isinstance(time, tuple)}) > 1

    @property
    def firsts(self) -> list[Time]:
        """The first time, or the first one in every step of the outer recurrence."""
        if self.outer is None:
            return [self.times[0]]
        found: dict[Any, Time] = {}
        for time in self.times:
            found.setdefault(_tuple(time)[:-1], time)
        return list(found.values())


class Place(NamedTuple):
    """Where a scope stands.

    Attributes:
        loop: the number of the recurrence; None outside every one.
        time: the step.
        path: the modules, from the outside.
        offset: how far from the start of the step, in creation numbers, each module call began.
        start: the creation number at which the scope was opened.
    """

    loop: int | None
    time: Time | None
    path: tuple[str, ...]
    offset: tuple[int, ...]
    start: int


def places(scopes: Iterable[Scope | None]) -> tuple[dict[Scope | None, Place], tuple[Loop, ...]]:
    """The place of every scope (and of None: outside all of them), and the recurrences."""
    ordered = sorted(_with_parents(scopes), key=attrgetter("start"))
    steps: dict[tuple[Scope | None, str], list[Scope]] = defaultdict(list)
    for scope in ordered:
        if scope.index is not None:
            steps[scope.parent, scope.label].append(scope)
    run = {scope: at for siblings in steps.values() for scope, at in _runs(siblings).items()}
    found: dict[Scope | None, Place] = {None: Place(None, None, (), (), 0)}
    numbers: dict[object, int] = {}
    times: list[tuple[tuple[str, ...], dict[Time, None], int | None]] = []
    for scope in ordered:
        above = found[scope.parent]
        if scope.index is None:
            offset = () if above.loop is None else (*above.offset, scope.start - above.start)
            path = (*above.path, scope.label)
            found[scope] = Place(above.loop, above.time, path, offset, scope.start)
            continue
        time = _time(scope.index)
        time = time if above.time is None else (*_tuple(above.time), *_tuple(time))
        which, again = run[scope]
        # What ran inside an outer recurrence is one recurrence, over all the outer steps.
        inside = scope.parent if above.loop is None else (above.loop, above.offset)
        number = numbers.setdefault((inside, scope.label, which), len(numbers))
        if number == len(times):
            times.append((above.path, {}, above.loop))
        times[number][1][time] = None
        found[scope] = Place(number, time, above.path, (-again,), scope.start)
    loops = [Loop(k, path, tuple(ts), outer) for k, (path, ts, outer) in enumerate(times)]
    return found, tuple(loops)


def _runs(steps: Sequence[Scope]) -> dict[Scope, tuple[int, int]]:
    """For each of some step scopes the run that it belongs to, and how often it was open before.

    A run ends where a time comes again. But where several steps are opened twice in a row, the
    second time goes on with the step: a loop whose body opens its step more than once.
    """
    if len({step.index for step in steps}) == len(steps):
        return dict.fromkeys(steps, (0, 0))
    changes = [b for a, b in zip(steps, steps[1:], strict=False) if a.index != b.index]
    repeats = len(steps) - 1 - len(changes)
    goes_on = repeats > 1 or len({step.index for step in steps}) == 1 + len(changes)
    found: dict[Scope, tuple[int, int]] = {}
    run, count = 0, Counter[Any]()
    for k, step in enumerate(steps):
        if count[step.index] and not (goes_on and step.index == steps[k - 1].index):
            run, count = run + 1, Counter()
            if _starts(steps, k - 1):
                found[steps[k - 1]] = (run, 0)
                count[steps[k - 1].index] += 1
        found[step] = (run, count[step.index])
        count[step.index] += 1
    return found


def _starts(steps: Sequence[Scope], k: int) -> bool:
    """Whether step k, seen as the last of a run, is rather the initial state of the next.

    When one recurrence runs over 1, 2, 3 and the next over 3, 2, 1, the initial states of the
    latter are made in a step 4: in line with what follows, and smaller than a step that computes.
    """
    if not 0 < k < len(steps) - 2:
        return False
    before, here, after, then = (step.start for step in steps[k - 1 : k + 3])
    a, b, c = (step.index for step in steps[k : k + 3])
    in_line = isinstance(a, int) and isinstance(c, int) and b - a == c - b
    return in_line and after - here < min(here - before, then - after)


def _time(index: Any) -> Time:
    """A number, or the tuple of numbers that tells a position: in a grid, in a tree."""
    return tuple(index) if isinstance(index, Iterable) and not isinstance(index, str) else index


def _tuple(time: Time) -> tuple[int, ...]:
    return time if isinstance(time, tuple) else (time,)


def _with_parents(scopes: Iterable[Scope | None]) -> set[Scope]:
    found: set[Scope] = set()
    for scope in scopes:
        while scope is not None and scope not in found:
            found.add(scope)
            scope = scope.parent
    return found
