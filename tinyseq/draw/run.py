"""Run: everything that one run computed, as plain data.

    run = extract(loss)
    run.vertices[5]     # RunVertex(id=5, time=1, shape=(1, 8), parents=(3, 4), op="tanh", ...)

Long runs repeat themselves: what a vertex has in common with the corresponding ones of other steps
is its role, which is kept once, and the rest in lists. The records of single vertices are made from
them when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from tinyseq.draw.graph import Time
from tinyseq.draw.steps import Loop


class Role(NamedTuple):
    """What a vertex is, the same at all times; for the fields see RunVertex."""

    op: str
    family: str
    kind: str
    label: str | None
    variable: str | None
    loop: int | None
    place: tuple[str, ...]
    rank: tuple[int, ...]
    symbol: str | None
    number: float | None = None


class RunVertex(NamedTuple):
    """One value of the run.

    Attributes:
        id: its number; parents have smaller ones.
        time: the step, or None.
        shape: of the value.
        parents: ids of what it was computed from; None for a constant.
        op: the operation that made it, or "leaf".
        family: the kind of operation: "elementwise", "linear", "bilinear", ...
        kind: "operation"; if it is labelled "variable", "input" (given, not computed) or "initial"
            (a state that is carried into the recurrence); "parameter".
        label: as given by the user or by the recurrence.
        variable: the label, numbered where the run has several variables of that label.
        loop: the number of the recurrence, or None.
        place: the modules in which it was computed, from the outside.
        rank: where in the step, in creation numbers: the same in all steps of a regular recurrence.
        symbol: the letter of a parameter.
        number: of two operands the one that is a plain number: the 1 of 1 - z.
    """

    id: int
    time: Time | None
    shape: tuple[int, ...]
    parents: tuple[int | None, ...]
    op: str
    family: str
    kind: str
    label: str | None
    variable: str | None
    loop: int | None
    place: tuple[str, ...]
    rank: tuple[int, ...]
    symbol: str | None
    number: float | None = None


@dataclass(frozen=True)
class RunGraph:
    """Everything that one run computed, in the order of creation; a vertex's id is its index.

    Attributes:
        roles: what there is in a step, in the order in which it first appears. What belongs to no
            recurrence has a role of its own, and so has every initial state.
        role: of every vertex, the number of its role.
        times, shapes, parents: of every vertex.
        loops: the recurrences.
        values: by id, the raw arrays of labelled vertices.
        gradients: by id, the norms of the gradient, if they were asked for.
    """

    roles: Sequence[Role]
    role: Sequence[int]
    times: Sequence[Time | None]
    shapes: Sequence[tuple[int, ...]]
    parents: Sequence[tuple[int | None, ...]]
    loops: tuple[Loop, ...]
    values: Mapping[int, Any]
    gradients: Mapping[int, float]

    def __len__(self) -> int:
        return len(self.role)

    def vertex(self, id: int) -> RunVertex:
        """The record of one vertex."""
        role = self.roles[self.role[id]]
        return RunVertex(id, self.times[id], self.shapes[id], self.parents[id], *role)

    @cached_property
    def members(self) -> list[list[int]]:
        """The ids of the vertices of every role."""
        return grouped(self.role, len(self.roles))

    @cached_property
    def vertices(self) -> tuple[RunVertex, ...]:
        """The records of all vertices."""
        return tuple(map(self.vertex, range(len(self))))


def grouped(numbers: Sequence[int], count: int) -> list[list[int]]:
    """For each number below a count, where it stands in a sequence."""
    found: list[list[int]] = [[] for _ in range(count)]
    for k, number in enumerate(numbers):
        found[number].append(k)
    return found
