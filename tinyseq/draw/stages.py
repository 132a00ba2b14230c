"""Which recurrences of a run go along with each other, which one follows another, and their names.

Recurrences that go along with each other (two directions, two layers, a readout in a pass of its
own) are one stage. One that starts from what another has come to, a decoder from its encoder's last
state, is a later stage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tinyseq.draw.graph import Time
from tinyseq.draw.pace import Pace
from tinyseq.draw.run import RunGraph

Path = tuple[str, ...]


class Stages(NamedTuple):
    """For every recurrence its stage, and how many stages stand before that, one behind the other.

    Two stages may stand equally far behind: two encoders of one decoder.
    """

    group: dict[int, int]
    depth: Mapping[int | None, int]


def stages(run: RunGraph, at: Pace) -> Stages:
    """The stages of a run; also recurrences of different rates may go along with each other."""
    if len(run.loops) < 2:
        return Stages({k.number: 0 for k in run.loops}, {k.number: 0 for k in run.loops})
    delays, read, follows = _reading(run)
    group = {loop.number: loop.number for loop in run.loops}
    steps = {loop.number: loop.times for loop in run.loops}
    for (a, b), times in read.items():
        along = len(delays[a, b]) < len(times) or (a, b) in at.rates or (b, a) in at.rates
        if along or (len(steps[a]) == 1 and steps[a] == steps[b]):
            joined = group[b]
            group = {loop: group[a] if g == joined else g for loop, g in group.items()}
    depth = dict.fromkeys(group.values(), 0)
    for _ in depth:  # the longest way to each; in a circle (of chunks that alternate), enough
        for a, b in follows:
            if group[a] != group[b]:
                depth[group[b]] = max(depth[group[b]], min(depth[group[a]] + 1, len(depth) - 1))
    return Stages(group, {loop: depth[group[loop]] for loop in group})


def titles(run: RunGraph, at: Pace) -> tuple[tuple[int, str], ...]:
    """The recurrences of several stages, each with the name of its stage; none if there are none.

    The name is that of the module that the states of a stage are computed in, and those of no other
    stage.
    """
    group = stages(run, at).group
    if len(set(group.values())) < 2:
        return ()
    states = {(role.loop, role.variable) for role in run.roles if role.kind == "initial"}
    paths: dict[int, set[Path]] = defaultdict(set)
    for role in run.roles:
        if role.kind == "variable" and (role.loop, role.variable) in states:
            assert role.loop is not None  # there is nothing initial outside of a recurrence
            paths[group[role.loop]].add(role.place)
    shared = {g: _common(found) for g, found in paths.items()}
    outer = len(_common(shared.values()))
    name = {g: path[outer] for g, path in shared.items() if len(path) > outer}
    if len(set(name.values())) < len(name):
        return ()  # the chunks of a truncated run, say, are no modules of their own
    return tuple((loop, name[g]) for loop, g in group.items() if g in name)


def _common(paths: Iterable[Path]) -> Path:
    """The modules that all paths begin with."""
    found: list[str] = []
    for labels in zip(*paths, strict=False):
        if len(set(labels)) > 1:
            break
        found.append(labels[0])
    return tuple(found)


def _reading(run: RunGraph) -> tuple[dict[Any, set[Any]], dict[Any, set[Any]], set[Any]]:
    """Which recurrence reads which: with which delays, at which times, and at all.

    The last also through values that belong to no step.
    """
    delays: dict[Any, set[Any]] = defaultdict(set)
    read: dict[Any, set[Any]] = defaultdict(set)
    follows: set[Any] = set()
    behind: dict[int, frozenset[Any]] = {}  # of values outside: the recurrences they come from
    nothing: frozenset[Any] = frozenset()
    loops = [role.loop for role in run.roles]
    initial = [role.kind == "initial" for role in run.roles]
    for k, parents in enumerate(run.parents):
        time, role = run.times[k], run.role[k]
        here = nothing
        for p in parents:
            if p is None:
                continue
            then, loop = run.times[p], loops[run.role[p]]
            if then is not None and time is not None and loop == loops[role]:
                continue
            there = behind.get(p, nothing) if then is None else frozenset([loop])
            if time is None:
                here |= there
                continue
            follows.update((a, loops[role]) for a in there if a != loops[role])
            if then is not None and not initial[role]:
                delays[loop, loops[role]].add(_difference(time, then))
                read[loop, loops[role]].add(time)
        if here:
            behind[k] = here
    return delays, read, follows


def _difference(later: Time, earlier: Time) -> Any:
    if isinstance(later, int) and isinstance(earlier, int):
        return later - earlier
    return later == earlier or (later, earlier)
