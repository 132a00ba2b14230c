"""Which values of different steps are the same value of the circuit.

Two values correspond if they belong to one recurrence and have the same rank in their step. Ranks
are creation numbers, counted from the start of the step; where they do not agree between steps
(several threads were numbering), the order of operations in the step decides instead.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from tinyseq.draw.graph import Step
from tinyseq.draw.run import RunGraph, RunVertex
from tinyseq.errors import FoldError


def classes(run: RunGraph) -> Sequence[int]:
    """For every vertex the number of its class; classes are numbered in order of appearance.

    What lies outside the recurrences, and initial states, are classes of their own.

    Raises:
        FoldError: no recurrence has two steps, or the steps have different operations.
    """
    for loop in run.loops:
        if loop.is_tree:
            raise FoldError(
                "a recurrence over a tree has no circuit: its leaves and its other nodes compute "
                "in different ways. draw.unrolled draws the tree."
            )
    initial = _initial_steps(run)
    if not _has_two_steps(run, initial):
        raise FoldError(
            "there is nothing to fold: a circuit is read off from two or more time steps. Run the "
            "recurrence with ts.unroll, or open each step with ts.scope('step', t)."
        )
    alone = [role.loop is None or role.kind == "initial" for role in run.roles]
    odd = {
        k
        for loop, time in initial
        for r, role in enumerate(run.roles)
        if role.loop == loop and not alone[r]
        for k in run.members[r]
        if run.times[k] == time
    }
    found = _by_rank(run, alone, odd)
    if found is None:
        inside = [not alone[r] and k not in odd for k, r in enumerate(run.role)]
        found = _by_sequence(run, inside)
    return found


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


def _initial_steps(run: RunGraph) -> set[Step]:
    """The steps that only hold initial states."""
    initial: set[Step] = set()
    labelled: set[Step] = set()
    for role, members in zip(run.roles, run.members, strict=True):
        if role.variable is not None and role.loop is not None:
            found = initial if role.kind == "initial" else labelled
            found.update([(role.loop, run.times[k]) for k in members])  # type: ignore[misc]
    return initial - labelled


def _has_two_steps(run: RunGraph, initial: Collection[Step]) -> bool:
    """Whether some recurrence has two steps, not counting those of initial states."""
    times: dict[int | None, set[Any]] = defaultdict(set)
    for role, members in zip(run.roles, run.members, strict=True):
        if role.loop is not None and len(times[role.loop]) < 2:
            there = {run.times[k] for k in members}
            times[role.loop] |= {time for time in there if (role.loop, time) not in initial}
    return max(map(len, times.values()), default=0) >= 2


def _by_rank(run: RunGraph, alone: Sequence[bool], odd: Collection[int]) -> Sequence[int] | None:
    """The classes by rank; None if ranks do not agree between steps."""
    in_steps = {r for k, r in enumerate(run.role) if k not in odd} if odd else range(len(run.roles))
    known: dict[Any, tuple[int, str, str | None]] = {}
    first = list(range(len(run.roles)))  # of every role, the first one of its class
    for r, role in enumerate(run.roles):
        if not alone[r] and r in in_steps:
            entry = known.setdefault((role.loop, role.rank), (r, role.op, role.label))
            if entry[1:] != (role.op, role.label):
                return None
            first[r] = entry[0]
    if _split_up(run, first, [r for r, _, _ in known.values()], odd):
        return None
    if not odd and first == list(range(len(first))):
        return run.role
    return _in_order([~k if k in odd else first[r] for k, r in enumerate(run.role)])


def _split_up(
    run: RunGraph, first: Sequence[int], classes: Sequence[int], odd: Collection[int]
) -> bool:
    """Whether some operation has more ranks than there are values of it in any one step."""
    ranks: dict[Any, list[int]] = defaultdict(list)
    for r in classes:
        role = run.roles[r]
        ranks[role.loop, role.place, role.op, role.label].append(r)
    several = {r: key for key, found in ranks.items() if len(found) > 1 for r in found}
    times: dict[Any, Counter[Any]] = defaultdict(Counter)
    for r, members in enumerate(run.members):
        if first[r] in several:
            found = times[several[first[r]]]
            found.update([run.times[k] for k in members if k not in odd])
    return any(max(found.values()) < len(ranks[key]) for key, found in times.items())


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
    return _in_order(key)


def _in_order(keys: Sequence[Any]) -> list[int]:
    """The keys by the order of their first appearance."""
    known = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return [known[key] for key in keys]


def _alike(v: RunVertex, w: RunVertex) -> bool:
    return v.op == w.op and v.label == w.label and v.place == w.place
