"""All paths from variable to variable through what carries no label, and the parameters on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, repeat
from operator import eq
from typing import Any, NamedTuple

from tinyseq.draw.fold import Circuit, CircuitVertex
from tinyseq.draw.graph import Time
from tinyseq.draw.run import Role, RunGraph
from tinyseq.errors import DrawError

Delay = Time | None
Marks = frozenset[tuple[int, str]]  # where on the path a parameter was met, and its letter
Way = tuple[int, Delay, tuple[str, ...]]  # from where, with which delay and parameters

_PRODUCTS = frozenset({"mul", "take"})  # what multiplies, beyond the kinds of operations that do
_PRODUCT_FAMILIES = frozenset({"bilinear", "multilinear", "affine"})
_PATIENCE = 20  # visits of a value, on average, before we say that a label is missing
_DIFFERENT = 8  # ways in which a variable is computed; of more, each time is looked at by itself


class Argument(NamedTuple):
    """One thing that a vertex reads: as which argument, from where, how long ago."""

    number: int
    source: int
    delay: Delay


class Paths:
    """The edges between drawn vertices of a run or a circuit, which are known by their numbers.

    Args:
        roles: what each vertex is.
        sources: what it reads; None for a constant.
        arguments: the same with delays.
        drawn: for every vertex, whether paths end at it.
    """

    def __init__(
        self,
        roles: Sequence[Role | CircuitVertex],
        sources: Sequence[Sequence[int | None]],
        arguments: Callable[[int], Iterable[Argument]],
        drawn: Sequence[bool],
    ) -> None:
        self.roles = roles
        self.arguments = arguments
        self.drawn = drawn
        self.learned = _learned(roles, sources)
        self.visits = _PATIENCE * len(roles) + 1000

    def into(self, target: int, passed: list[int] | None = None) -> list[Way]:
        """The sources of a vertex, each with its delay and the letters met on all paths from it.

        Args:
            target: the vertex.
            passed: a list to which everything is added that the paths lead through.

        Raises:
            DrawError: a recurrence runs through vertices that are not drawn.
        """
        met: dict[tuple[int, Delay], Marks] = {(target, 0): frozenset()}
        ends: set[tuple[int, Delay]] = set()
        stack: list[tuple[int, Delay]] = [(target, 0)]
        while stack:
            k, delay = stack.pop()
            self.visits -= 1
            if self.visits < 0:
                raise self._unlabelled(target)
            if passed is not None:
                passed.append(k)
            marks = met[k, delay]
            for a in self.arguments(k):
                if a.source in self.learned:
                    continue
                there = (a.source, plus(delay, a.delay))
                new = marks | self.factors(k, a.number)
                old = met.get(there)
                if old is not None and new <= old:
                    continue
                met[there] = new if old is None else old | new
                if self.drawn[a.source]:
                    ends.add(there)
                else:
                    stack.append(there)
        return [
            (
                source,
                delay,
                tuple(dict.fromkeys(letter for _, letter in sorted(met[source, delay]))),
            )
            for source, delay in sorted(ends, key=lambda end: (end[0], str(end[1])))
        ]

    def factors(self, k: int, index: int) -> Marks:
        """The parameters that an argument of an operation is multiplied with."""
        role = self.roles[k]
        if role.op not in _PRODUCTS and role.family not in _PRODUCT_FAMILIES:
            return frozenset()
        # The third argument of an affine map is added, not multiplied.
        factors = [a for a in self.arguments(k) if role.family != "affine" or a.number < 2]
        if not any(a.number == index for a in factors):
            return frozenset()
        others = [a.source for a in factors if a.number != index and a.source in self.learned]
        return frozenset((k, letter) for s in others for letter in self.letters(s))

    def letters(self, learned: int) -> list[str]:
        """The letters of the parameters from which a vertex is computed."""
        found: dict[str, None] = {}
        stack = [learned]
        while stack:
            k = stack.pop()
            role = self.roles[k]
            if role.kind == "parameter":
                if role.symbol:
                    found[role.symbol] = None
            else:
                stack += [a.source for a in self.arguments(k)]
        return list(found)

    def _unlabelled(self, target: int) -> DrawError:
        return DrawError(
            f"{self.roles[target].variable!r} depends on very many other steps through values that "
            "carry no label. Label what links the steps, the state, with ts.label(h, 'h') in every "
            "step."
        )


def _learned(
    roles: Sequence[Role | CircuitVertex], sources: Sequence[Sequence[int | None]]
) -> set[int]:
    """The parameters, and what is computed from parameters alone."""
    learned: set[int | None] = {None}
    for k, (role, read) in enumerate(zip(roles, sources, strict=True)):
        if role.kind == "parameter":
            learned.add(k)
        elif not learned.isdisjoint(read) and role.kind == "operation":
            if learned.issuperset(read) and any(s is not None for s in read):
                learned.add(k)
    return {k for k in learned if k is not None}


def circuit_paths(circuit: Circuit, drawn: Sequence[bool]) -> Paths:
    """The edges of a circuit."""
    arguments = [
        [Argument(i, p.source, p.delay) for i, p in enumerate(v.inputs) if p is not None]
        + [Argument(i, source, None) for i, source in v.initial]
        for v in circuit.vertices
    ]
    sources = [[a.source for a in read] for read in arguments]
    return Paths(circuit.vertices, sources, arguments.__getitem__, drawn)


class RunPaths(Paths):
    """The edges of an unrolled run, found for all steps together that are alike."""

    def __init__(self, run: RunGraph, drawn: Sequence[bool]) -> None:
        def arguments(k: int) -> list[Argument]:
            return [Argument(i, p, 0) for i, p in enumerate(run.parents[k]) if p is not None]

        super().__init__([run.roles[r] for r in run.role], run.parents, arguments, drawn)
        self.run = run
        self.given = {None, *self.learned}  # what no path leads through

    def into_each(self, targets: Iterable[int]) -> dict[int, list[Way]]:
        """What ``into`` gives for each of several vertices."""
        found: dict[int, list[Way]] = {}
        alike: dict[int, list[int]] = defaultdict(list)
        for k in targets:
            alike[self.run.role[k]].append(k)
        for group in alike.values():
            todo: list[Sequence[int]] = [group]
            for _ in range(_DIFFERENT):
                if todo:
                    todo += self._into_alike(todo.pop(), found)
            for k in (k for rest in todo for k in rest):
                found[k] = self.into(k)
        return found

    def _into_alike(
        self, group: Sequence[int], found: dict[int, list[Way]]
    ) -> Iterable[Sequence[int]]:
        """Find the ways into all that is computed as the first of a group; gives the others.

        The vertices on the ways into the first one are compared, one by one, with the corresponding
        ones for all others at once: a column.
        """
        first, parents, role = group[0], self.run.parents, self.run.role
        passed: list[int] = []
        ways = self.into(first, passed)
        columns: dict[int | None, Sequence[Any]] = {first: group}
        others: dict[Any, list[int]] = defaultdict(list)

        def keep(keys: Sequence[Any]) -> None:
            """Put those apart of which the key is not that of the first."""
            if keys.count(keys[0]) < len(keys):
                for k, key in zip(columns[first], keys, strict=True):
                    if key != keys[0]:
                        others[key].append(k)
                for name, column in columns.items():
                    columns[name] = [
                        k for k, key in zip(column, keys, strict=True) if key == keys[0]
                    ]

        for k in dict.fromkeys(passed):
            keep([len(parents[v]) for v in columns[k]])
            for i, p in enumerate(parents[k]):
                column = [parents[v][i] for v in columns[k]]
                if p in columns:
                    keep(list(map(eq, column, columns[p])))
                elif column.count(p) < len(column) or p not in self.given:
                    regular = self.given.isdisjoint(column)
                    keys = [role[q] for q in column] if regular else list(map(self._key, column))
                    columns[p] = column
                    keep(keys)
        for (a, _, _), (b, _, _) in combinations(ways, 2):
            if role[a] == role[b]:
                keep(list(map(eq, columns[a], columns[b])))
        rows = zip(*[columns[s] for s, _, _ in ways], strict=True) if ways else repeat(())
        for k, sources in zip(columns[first], rows, strict=False):
            found[k] = sorted((s, 0, way[2]) for s, way in zip(sources, ways, strict=True))
        return others.values()

    def _key(self, k: int | None) -> Any:
        """What two vertices have in common that the same ways lead to."""
        if k is None:
            return None
        return tuple(self.letters(k)) if k in self.learned else self.run.role[k]


def plus(a: Delay, b: Delay) -> Delay:
    """The sum of two delays; None (one particular step) stays None."""
    if a is None or b is None:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return tuple(m + n for m, n in zip(a, b, strict=True))
    return b if a == 0 else a
