"""fold: from the unrolled run to the circuit, by identifying what differs only in time.

    circuit = fold(run)
    circuit.vertices[9]     # CircuitVertex(op="linear", inputs=(Input(12, delay=1), ...), ...)

Values of different steps that correspond become one vertex; an edge whose ends are d steps apart
becomes a wire through a delay of d. The first and last steps may lack values that nobody read, and
the first ones read initial states; in all else the steps must be alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import sub
from typing import NamedTuple

from tinyseq.autograd.engine import paused_gc
from tinyseq.draw.classes import classes, described, difference
from tinyseq.draw.graph import Time
from tinyseq.draw.pace import Pace, pace
from tinyseq.draw.run import RunGraph, grouped
from tinyseq.draw.stages import titles


class Input(NamedTuple):
    """What a vertex of a circuit reads: another vertex, ``delay`` steps ago.

    The delay is None if it is always one particular step: the last one of another recurrence, say.
    """

    source: int
    delay: Time | None = 0


class CircuitVertex(NamedTuple):
    """A vertex of the circuit: what corresponding values of the steps have in common.

    The fields are those of RunVertex, and:

    Attributes:
        inputs: an entry for every argument of the operation; None for a constant.
        initial: what stands in for a delayed input in the first steps: (argument, source).
        members: the ids of the values of the run.
    """

    id: int
    op: str
    family: str
    kind: str
    label: str | None
    variable: str | None
    loop: int | None
    place: tuple[str, ...]
    shape: tuple[int, ...]
    inputs: tuple[Input | None, ...]
    symbol: str | None
    number: float | None
    initial: tuple[tuple[int, int], ...]
    members: tuple[int, ...]


@dataclass(frozen=True)
class Circuit:
    """The recurrent graph of a run.

    Attributes:
        vertices: in the order in which a step computes them.
        titles: as those of a Graph.
        pace: how the recurrences go along with each other.
    """

    vertices: tuple[CircuitVertex, ...]
    titles: tuple[tuple[int, str], ...] = ()
    pace: Pace = Pace()


def fold(run: RunGraph) -> Circuit:
    """Fold a run by time.

    Raises:
        FoldError: no recurrence of two steps or more, or steps that differ (the first difference).
    """
    with paused_gc():
        at = pace(run)
        folding = _Folding(run, classes(run), at)
        vertices = tuple(map(folding.vertex, range(len(folding.groups))))
        return Circuit(vertices, titles(run, at), at)


class _Folding:
    """What the vertices of a class read, found argument by argument."""

    def __init__(self, run: RunGraph, number: Sequence[int], at: Pace) -> None:
        self.run = run
        self.pace = at
        self.steps = at.times  # of every value, in steps of its own recurrence
        self.number = number
        self.groups = run.members if number is run.role else grouped(number, max(number) + 1)
        # An initial state stands in for a delayed one; it is not itself some steps ago.
        self.times = list(at.times)
        self.parents = _through_carried(run)
        for role, members in zip(run.roles, run.members, strict=True):
            for k in members if role.kind == "initial" else ():
                self.times[k] = None

    def vertex(self, k: int) -> CircuitVertex:
        """The vertex of a class."""
        members = self.groups[k]
        v = self.run.vertex(members[-1])
        inputs, initial = self._inputs(members)
        return CircuitVertex(
            k,
            v.op,
            v.family,
            v.kind,
            v.label,
            v.variable,
            v.loop,
            v.place,
            v.shape,
            inputs,
            v.symbol,
            v.number if self._is_same(v.number, members) else None,
            initial,
            tuple(members),
        )

    def _is_same(self, number: float | None, members: Sequence[int]) -> bool:
        """Whether all members have a number in common."""
        run = self.run
        return number is None or all(run.roles[run.role[k]].number == number for k in members)

    def _inputs(
        self, members: Sequence[int]
    ) -> tuple[tuple[Input | None, ...], tuple[tuple[int, int], ...]]:
        """What a class reads in every step, and what stands in for it in the first steps."""
        parents = self.parents
        if len(members) == 1:
            (k,) = members
            found = [self._input(k, p) for p in parents[k]]
            # A total over all steps reads them all alike.
            return tuple(dict.fromkeys(found) if self.run.times[k] is None else found), ()
        rows = [parents[k] for k in members]
        count = len(rows[0])
        if set(map(len, rows)) != {count}:
            k, m = members[0], next(k for k in members if len(parents[k]) != count)
            raise difference(
                f"{self._described(k)} reads {count} values, {self._described(m)} reads "
                f"{len(parents[m])}"
            )
        inputs, initial = [], []
        for i, column in enumerate(zip(*rows, strict=True)):
            usual, others = self._argument(members, column)
            inputs.append(usual)
            initial += [(i, source) for source in others]
        return tuple(inputs), tuple(initial)

    def _argument(
        self, members: Sequence[int], column: Sequence[int | None]
    ) -> tuple[Input | None, list[int]]:
        """What an argument of a class is in every step, and what else it is in some of them.

        Args:
            members: of the class.
            column: what each of them reads there.
        """
        p = column[0]
        if column.count(p) == len(column) and (p is None or self.times[p] is None):
            return self._input(members[0], p), []
        times = self.times
        entries: list[Input | None]
        try:
            sources = [self.number[p] for p in column]  # type: ignore[index]
            then = [times[p] for p in column]  # type: ignore[index]
            delays = list(map(sub, [times[k] for k in members], then))
        except TypeError:  # a constant, an initial state, or times that are no numbers
            entries = [self._input(k, p) for k, p in zip(members, column, strict=True)]
        else:
            if len(set(sources)) == 1 == len(set(delays)):
                return Input(sources[0], delays[0]), []
            if self.pace.rates:
                entries = [self._input(k, p) for k, p in zip(members, column, strict=True)]
            else:
                entries = list(map(Input, sources, delays))
        count = Counter(entries)
        if len(count) == 1:
            return entries[0], []
        usual = self._usual(members, column, entries, count)
        others = [entry.source for entry in count if entry is not None and entry != usual]
        return usual, list(dict.fromkeys(others))

    def _input(self, k: int, p: int | None) -> Input | None:
        """The class that a value comes from, and how long ago."""
        if p is None:
            return None
        now, then = self.steps[k], self.steps[p]
        if then is None:
            return Input(self.number[p], 0)
        if now is None or self.times[p] is None:
            return Input(self.number[p], None)
        return Input(self.number[p], self._delay(k, p))

    def _delay(self, k: int, p: int) -> Time | None:
        """How long ago a value was made that another one reads."""
        return minus(self._step(k, self._loop([p])), self._step(p, self._loop([k])))

    def _step(self, k: int, other: int | None) -> Time:
        """The step of a value: that of the other recurrence into which it falls, if it is slower.

        And otherwise that of its own.
        """
        step, loop = self.steps[k], self._loop([k])
        assert step is not None
        if isinstance(step, int) and (other, loop) in self.pace.rates:
            return self.pace.rates[other, loop].beat(step)  # type: ignore[index]
        return step

    def _usual(
        self,
        members: Sequence[int],
        column: Sequence[int | None],
        entries: Sequence[Input | None],
        count: Mapping[Input | None, int],
    ) -> Input | None:
        """What an argument of a class is, seeing that not all steps read the same.

        It is a delayed value, for which something else stands in as long as there is none; or else
        one and the same value for all steps.
        """
        run = self.run
        loop = self._loop(members)

        def weight(entry: Input | None) -> tuple[bool, bool, int]:
            delayed = entry is not None and entry.delay not in (0, None)
            own = entry is not None and self._loop(self.groups[entry.source]) == loop
            return delayed, delayed and own, count[entry]

        usual = max(count, key=weight)
        if usual is not None and len(set(column)) == 1:
            return Input(usual.source, None)
        delay = usual.delay if usual is not None else None
        group = [] if usual is None else self.groups[usual.source]
        source = self._loop(group) if group else None
        there = {self._step(k, loop) for k in group if self.steps[k] is not None}
        for k, p, entry in zip(members, column, entries, strict=True):
            if entry == usual or (p is not None and run.roles[run.role[p]].kind == "initial"):
                continue
            # What belongs to no step is alone in its class: here are steps.
            if delay is None or delay == 0 or minus(self._step(k, source), delay) in there:
                example = entries.index(usual)
                w, q = members[example], column[example]
                raise difference(
                    f"{self._described(k)} reads {self._described(p)}, but {self._described(w)} "
                    f"reads {self._described(q)}"
                )
        return usual

    def _loop(self, members: Sequence[int]) -> int | None:
        return self.run.roles[self.run.role[members[0]]].loop

    def _described(self, k: int | None) -> str:
        return described(None if k is None else self.run.vertex(k))


def _through_carried(run: RunGraph) -> Sequence[tuple[int | None, ...]]:
    """The parents of every value; in place of a state that an inner recurrence goes on with, that.

    For whoever reads it in the first step of the second time round, it is but the last state.
    """
    if all(loop.outer is None for loop in run.loops):
        return run.parents
    loops = [role.loop for role in run.roles]
    carried: dict[int | None, int | None] = {}
    for role, members in zip(run.roles, run.members, strict=True):
        for k in members if role.kind == "initial" and role.op == "identity" else ():
            (p,) = run.parents[k]
            if p is not None and loops[run.role[p]] == role.loop:
                carried[k] = p
    return [tuple([carried.get(p, p) for p in parents]) for parents in run.parents]


def minus(later: Time, earlier: Time) -> Time | None:
    """The difference of two times, by components if they have several; None if there is none.

    In a tree, where the time of a node is the way to it from the root, it is the way from a node
    down to what it reads: (2,) for its second child.
    """
    if isinstance(later, int) and isinstance(earlier, int):
        return later - earlier
    if isinstance(later, tuple) and isinstance(earlier, tuple) and len(later) == len(earlier):
        return tuple(a - b for a, b in zip(later, earlier, strict=True)) if later != earlier else 0
    if isinstance(later, tuple) and isinstance(earlier, tuple):
        if earlier[: len(later)] == later:
            return earlier[len(later) :]
    return None
