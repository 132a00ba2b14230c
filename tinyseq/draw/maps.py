"""maps: which values of a run or a circuit are products with parameters, U x + W h, and of what.

A product with a parameter is a map; several that are added make one, and one that is cut into parts
(the gates of a cell) is one map a part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from tinyseq.draw.fold import CircuitVertex
from tinyseq.draw.paths import Argument, Paths
from tinyseq.draw.run import RunVertex

AnyVertex = RunVertex | CircuitVertex

# What only hands a value on, and of that what hands on a part.
SILENT = frozenset(
    "identity reshape permute broadcast_to astype stack concatenate split unbind pick slice "
    "getitem".split()
)
_PIECES = frozenset({"pick", "slice", "getitem"})


class Term(NamedTuple):
    """A part of a map: what is multiplied, with which parameters, where; which piece of it."""

    source: Argument
    letters: tuple[str, ...]
    product: int
    piece: str = ""


class Maps:
    """The maps among the vertices.

    Args:
        vertices: of a run or a circuit.
        paths: what they read, and which of them are learned.
        variables: the ids of those that are drawn as variables.
        across: whether products of different modules that are added make one map.

    Attributes:
        terms: for every vertex what it is the sum of; nothing if it is no map.
        absorbed: the ids of maps that are drawn as parts of others only.
    """

    def __init__(
        self,
        vertices: Sequence[AnyVertex],
        paths: Paths,
        variables: Collection[int],
        across: bool,
    ) -> None:
        self.vertices = vertices
        self.paths = paths
        self.variables = variables
        self.across = across
        self.arguments, self.learned = paths.arguments, paths.learned
        self.read = Counter(a.source for v in vertices for a in self.arguments(v.id))
        self.terms: list[tuple[Term, ...]] = []
        self.pieces: Counter[int] = Counter()
        self.absorbed: set[int] = set()
        for v in vertices:
            self.terms.append(self._terms(v))
        self.absorbed |= {k for k, count in self.pieces.items() if count == self.read[k]}

    def _terms(self, v: AnyVertex) -> tuple[Term, ...]:
        """What a value is the sum of, if it is a map."""
        if v.kind == "parameter" or v.id in self.learned:
            return ()
        given = [a for a in self.arguments(v.id) if a.source not in self.learned]
        met = [(a, self._letters(v, a.number)) for a in given]
        if any(letters for _, letters in met):
            return tuple(Term(a, letters, v.id) for a, letters in met)
        if not given or any(a.delay != 0 or a.source in self.variables for a in given):
            return ()
        if op_of(v) in _PIECES and len(given) == 1:
            base = given[0].source
            self.pieces[base] += 1
            gate = v.op.partition(" ")[2]
            number = gate if gate.isalpha() else str(self.pieces[base])
            number = number if self.read[base] > 1 else ""
            return tuple(t._replace(piece=t.piece or number) for t in self._base(base))
        if not self.across and any(self.vertices[a.source].place != v.place for a in given):
            return ()
        alone = all(self.read[a.source] == 1 and self.terms[a.source] for a in given)
        if alone and (v.op == "add" or (v.op in SILENT and len(given) == 1)):
            self.absorbed.update(a.source for a in given)
            return tuple(term for a in given for term in self.terms[a.source])
        return ()

    def _letters(self, v: AnyVertex, number: int) -> tuple[str, ...]:
        """The parameters that an argument is multiplied with."""
        return tuple(letter for _, letter in sorted(self.paths.factors(v.id, number)))

    def _base(self, k: int) -> tuple[Term, ...]:
        return () if k in self.variables else self.terms[k]


def op_of(v: AnyVertex) -> str:
    """The name of an operation, without the part that it picks."""
    return v.op.partition(" ")[0]
