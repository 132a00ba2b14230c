"""All paths from variable to variable through what carries no label, and the parameters on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from tinyseq.draw.fold import CircuitVertex
from tinyseq.draw.graph import Time
from tinyseq.draw.run import RunVertex
from tinyseq.errors import DrawError

AnyVertex = RunVertex | CircuitVertex
Delay = Time | None
Marks = frozenset[tuple[int, str]]  # where on the path a parameter was met, and its letter

_PRODUCTS = frozenset({"mul", "take"})  # what multiplies, beyond the kinds of operations that do
_PRODUCT_FAMILIES = frozenset({"bilinear", "multilinear", "affine"})
_PATIENCE = 20  # visits of a value, on average, before we say that a label is missing


class Argument(NamedTuple):
    """One thing that a vertex reads: as which argument, from where, how long ago."""

    number: int
    source: int
    delay: Delay


class Paths:
    """The edges between drawn vertices.

    Args:
        vertices: of a run or a circuit.
        arguments: what a vertex reads.
        drawn: for every vertex, whether paths end at it.
    """

    def __init__(
        self,
        vertices: Sequence[AnyVertex],
        arguments: Callable[[Any], Iterable[Argument]],
        drawn: Sequence[bool],
    ) -> None:
        self.vertices = vertices
        self.arguments = arguments
        self.drawn = drawn
        self.learned = self._learned()
        self.visits = _PATIENCE * len(vertices) + 1000

    def _learned(self) -> list[bool]:
        """For every vertex, whether it is a parameter or computed from parameters alone."""
        learned: list[bool] = []
        for v in self.vertices:
            if v.kind != "operation":
                learned.append(v.kind == "parameter")
                continue
            sources = [a.source for a in self.arguments(v)]
            learned.append(bool(sources) and all(s < v.id and learned[s] for s in sources))
        return learned

    def into(self, target: int) -> list[tuple[int, Delay, tuple[str, ...]]]:
        """The sources of a vertex, each with its delay and the letters met on all paths from it.

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
            v = self.vertices[k]
            marks = met[k, delay]
            for a in self.arguments(v):
                if self.learned[a.source]:
                    continue
                there = (a.source, plus(delay, a.delay))
                new = marks | self.factors(v, a.number)
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

    def factors(self, v: AnyVertex, index: int) -> Marks:
        """The parameters that an argument of an operation is multiplied with."""
        if v.op not in _PRODUCTS and v.family not in _PRODUCT_FAMILIES:
            return frozenset()
        # The third argument of an affine map is added, not multiplied.
        factors = [a for a in self.arguments(v) if v.family != "affine" or a.number < 2]
        if not any(a.number == index for a in factors):
            return frozenset()
        others = [a.source for a in factors if a.number != index and self.learned[a.source]]
        return frozenset((v.id, letter) for s in others for letter in self.letters(s))

    def letters(self, learned: int) -> list[str]:
        """The letters of the parameters from which a vertex is computed."""
        found: dict[str, None] = {}
        stack = [learned]
        while stack:
            v = self.vertices[stack.pop()]
            if v.kind == "parameter":
                if v.symbol:
                    found[v.symbol] = None
            else:
                stack += [a.source for a in self.arguments(v)]
        return list(found)

    def _unlabelled(self, target: int) -> DrawError:
        v = self.vertices[target]
        return DrawError(
            f"{v.variable!r} depends on very many other steps through values that carry no label. "
            "Label what links the steps, the state, with ts.label(h, 'h') in every step."
        )


def plus(a: Delay, b: Delay) -> Delay:
    """The sum of two delays; None (one particular step) stays None."""
    if a is None or b is None:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if isinstance(a, tuple) and isinstance(b, tuple):
        return tuple(m + n for m, n in zip(a, b, strict=True))
    return b if a == 0 else a
