"""Which values of different steps are the same value of the circuit.

Two values correspond if they belong to one recurrence and have the same rank in their step. Ranks
are creation numbers, counted from the start of the step; where they do not agree between steps
(several threads were numbering), the order of operations in the step decides instead.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from tinyseq.draw.extract import RunGraph, RunVertex
from tinyseq.draw.graph import Time
from tinyseq.errors import FoldError


def classes(run: RunGraph) -> list[int]:
    """For every vertex the number of its class; classes are numbered in order of appearance.

    What lies outside the recurrences, and initial states, are classes of their own.

    Raises:
        FoldError: no recurrence has two steps, or the steps have different operations.
    """
    for loop in run.loops:
        if len({len(time) for time in loop.times if isinstance(time, tuple)}) > 1:
            raise FoldError(
                "a recurrence over a tree has no circuit: its leaves and its other nodes compute "
                "in different ways. draw.unrolled draws the tree."
            )
    steps = _regular_steps(run)
    if max(Counter(loop for loop, _ in steps).values(), default=0) < 2:
        raise FoldError(
            "there is nothing to fold: a circuit is read off from two or more time steps. Run the "
            "recurrence with ts.unroll, or open each step with ts.scope('step', t)."
        )
    inside = [(v.loop, v.time) in steps and v.kind != "initial" for v in run.vertices]
    found = _by_rank(run, inside)
    return _by_sequence(run, inside) if found is None else found


def described(v: RunVertex | None) -> str:
    """A value in words, for messages: ``tanh 'h' of step 3 in lm.rnn``."""
    if v is None:
        return "a constant"
    label = f" {v.label!r}" if v.label else ""
    step = f" of step {v.time}" if v.time is not None else ""
    return v.op + label + step + (f" in {'.'.join(v.place)}" if v.place else "")


def difference(first: str) -> FoldError:
    """The error for steps that differ."""
    return FoldError(
        "the steps are not alike, so no circuit describes them all. The first difference: "
        f"{first}. draw.unrolled draws this run, it needs no equal steps."
    )


def _regular_steps(run: RunGraph) -> set[tuple[int | None, Time | None]]:
    """The steps of all recurrences, but for those that only hold initial states."""
    initial: set[Any] = set()
    labelled: set[Any] = set()
    found: set[Any] = set()
    for v in run.vertices:
        if v.loop is not None:
            found.add((v.loop, v.time))
            if v.variable is not None:
                (initial if v.kind == "initial" else labelled).add((v.loop, v.time))
    return found - (initial - labelled)


def _by_rank(run: RunGraph, inside: Sequence[bool]) -> list[int] | None:
    """The classes by rank; None if ranks do not agree between steps."""
    known: dict[Any, tuple[int, str, str | None]] = {}
    number: list[int] = []
    for v, regular in zip(run.vertices, inside, strict=True):
        key = (v.loop, v.rank) if regular else v.id
        entry = known.get(key)
        if entry is None:
            entry = known[key] = (len(known), v.op, v.label)
        elif entry[1] != v.op or entry[2] != v.label:
            return None
        number.append(entry[0])
    return None if _split_up(run, inside, number) else number


def _split_up(run: RunGraph, inside: Sequence[bool], number: Sequence[int]) -> bool:
    """Whether some operation has more ranks than there are values of it in any one step."""
    ranks: dict[Any, set[int]] = defaultdict(set)
    for v, regular, k in zip(run.vertices, inside, number, strict=True):
        if regular:
            ranks[v.loop, v.place, v.op, v.label].add(k)
    count: dict[Any, Counter[Any]] = {key: Counter() for key in ranks if len(ranks[key]) > 1}
    for v, regular in zip(run.vertices, inside, strict=True):
        times = count.get((v.loop, v.place, v.op, v.label))
        if regular and times is not None:
            times[v.time] += 1
    return any(max(times.values()) < len(ranks[key]) for key, times in count.items())


def _by_sequence(run: RunGraph, inside: Sequence[bool]) -> list[int]:
    """The classes by position among the values of a step.

    The longest step of a recurrence is the measure: the others have the same operations and labels
    in the same order, but may lack some.
    """
    steps: dict[Any, dict[Any, list[RunVertex]]] = defaultdict(lambda: defaultdict(list))
    for v, regular in zip(run.vertices, inside, strict=True):
        if regular:
            steps[v.loop][v.time].append(v)
    key: list[Any] = list(range(len(run.vertices)))
    for loop, by_time in steps.items():
        longest = max(by_time.values(), key=len)
        for values in by_time.values():
            position = 0
            for v in values:
                expected = longest[position] if position < len(longest) else None
                while position < len(longest) and not _alike(v, longest[position]):
                    position += 1
                if position == len(longest):
                    there = (
                        described(expected) if expected else f"nothing in step {longest[0].time}"
                    )
                    raise difference(f"where there is {described(v)}, there is {there}")
                key[v.id] = (loop, position)
                position += 1
    known: dict[Any, int] = {}
    return [known.setdefault(k, len(known)) for k in key]


def _alike(v: RunVertex, w: RunVertex) -> bool:
    return v.op == w.op and v.label == w.label and v.place == w.place
