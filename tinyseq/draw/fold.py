"""fold: from the unrolled run to the circuit, by identifying what differs only in time.

    circuit = fold(run)
    circuit.vertices[9]     # CircuitVertex(op="linear", inputs=(Input(12, delay=1), ...), ...)

Values of different steps that correspond become one vertex; an edge whose ends are d steps apart
becomes a wire through a delay of d. The first and last steps may lack values that nobody read, and
the first ones read initial states; in all else the steps must be alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tinyseq.draw.classes import classes, described, difference
from tinyseq.draw.extract import RunGraph, RunVertex
from tinyseq.draw.graph import Time
from tinyseq.errors import FoldError


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
    initial: tuple[tuple[int, int], ...]
    members: tuple[int, ...]


@dataclass(frozen=True)
class Circuit:
    """The recurrent graph of a run; vertices in the order in which a step computes them."""

    vertices: tuple[CircuitVertex, ...]


def fold(run: RunGraph) -> Circuit:
    """Fold a run by time.

    Raises:
        FoldError: no recurrence of two steps or more, or steps that differ (the first difference).
    """
    number = classes(run)
    groups: list[list[RunVertex]] = [[] for _ in range(max(number) + 1)]
    for v, k in zip(run.vertices, number, strict=True):
        groups[k].append(v)
    vertices = []
    for k, group in enumerate(groups):
        inputs, initial = _inputs(group, groups, run, number)
        v = group[-1]
        vertices.append(
            CircuitVertex(
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
                initial,
                tuple(v.id for v in group),
            )
        )
    return Circuit(tuple(vertices))


Group = Sequence[RunVertex]


def _inputs(
    group: Group, groups: Sequence[Group], run: RunGraph, number: Sequence[int]
) -> tuple[tuple[Input | None, ...], tuple[tuple[int, int], ...]]:
    """What a class reads in every step, and what stands in for it in the first steps."""
    distinct: dict[tuple[Input | None, ...], list[RunVertex]] = {}
    for v in group:
        distinct.setdefault(_reads(v, run, number), []).append(v)
    if len(distinct) == 1:
        return next(iter(distinct)), ()
    if len({len(reads) for reads in distinct}) > 1:
        v, w = (members[0] for members in list(distinct.values())[:2])
        raise difference(
            f"{described(v)} reads {len(v.parents)} values, {described(w)} reads {len(w.parents)}"
        )
    inputs, initial = [], []
    for i in range(len(group[0].parents)):
        readers: dict[Input | None, list[RunVertex]] = defaultdict(list)
        for reads, members in distinct.items():
            readers[reads[i]] += members
        usual = _usual(i, readers, groups, run)
        inputs.append(usual)
        others = [entry for entry in readers if entry is not None and entry != usual]
        initial += [(i, source) for source in dict.fromkeys(entry.source for entry in others)]
    return tuple(inputs), tuple(initial)


def _reads(v: RunVertex, run: RunGraph, number: Sequence[int]) -> tuple[Input | None, ...]:
    """For every argument of a value the class it comes from, and how long ago."""
    found: list[Input | None] = []
    for p in v.parents:
        if p is None:
            found.append(None)
            continue
        parent = run.vertices[p]
        if parent.time is None:
            found.append(Input(number[p], 0))
        elif v.time is None or parent.kind == "initial":
            found.append(Input(number[p], None))
        else:
            found.append(Input(number[p], minus(v.time, parent.time)))
    # A total over all steps reads them all alike.
    return tuple(dict.fromkeys(found)) if v.time is None else tuple(found)


def minus(later: Time, earlier: Time) -> Time:
    """The difference of two times, by components if they have several.

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
    raise FoldError(f"step {later!r} reads step {earlier!r}: these times have no difference")


def _usual(
    i: int,
    readers: dict[Input | None, list[RunVertex]],
    groups: Sequence[Group],
    run: RunGraph,
) -> Input | None:
    """What argument i of a class is, seeing that not all steps read the same.

    It is a delayed value, for which something else stands in as long as there is none; or else one
    and the same value for all steps.
    """
    if len(readers) == 1:
        return next(iter(readers))
    loop = next(iter(readers.values()))[0].loop

    def weight(entry: Input | None) -> tuple[bool, bool, int]:
        delayed = entry is not None and entry.delay not in (0, None)
        own = entry is not None and groups[entry.source][0].loop == loop
        return delayed, delayed and own, len(readers[entry])

    usual = max(readers, key=weight)
    sources = {v.parents[i] for members in readers.values() for v in members}
    if len(sources) == 1 and usual is not None:
        return Input(usual.source, None)
    delay = usual.delay if usual is not None else None
    there = set() if usual is None else {v.time for v in groups[usual.source]}
    for entry, members in readers.items():
        for v in members if entry != usual else []:
            assert v.time is not None  # what belongs to no step is alone in its class
            p = v.parents[i]
            parent = None if p is None else run.vertices[p]
            if parent is not None and parent.kind == "initial":
                continue
            if delay is None or delay == 0 or minus(v.time, delay) in there:
                w = readers[usual][0]
                q = w.parents[i]
                expected = described(None if q is None else run.vertices[q])
                raise difference(
                    f"{described(v)} reads {described(parent)}, but {described(w)} reads {expected}"
                )
    return usual
