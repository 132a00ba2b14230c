"""operations: all that is computed, as the gates of an LSTM are drawn (book, figure 10.16).

    graph = operations(run)               # the unrolled graph
    graph = operations(fold(run))         # the circuit

A product with a parameter is a map, U x + W h (see ``maps``). Other operations are vertices; what
only hands a value on (reshaping, stacking, picking) vanishes, and so do biases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tinyseq.draw.columns import columns, sortable
from tinyseq.draw.contract import Edges, copied_states, name_of, neighbours, record
from tinyseq.draw.fold import Circuit, minus
from tinyseq.draw.graph import Edge, Graph, Time, Vertex
from tinyseq.draw.maps import SILENT, AnyVertex, Maps, Term, op_of
from tinyseq.draw.paths import Argument, Delay, RunPaths, circuit_paths, plus
from tinyseq.draw.run import RunGraph
from tinyseq.draw.text import MINUS, time_text

_ARITHMETIC = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "matmul": "@", "neg": "−"}
_FUNCTIONS = {
    "sigmoid": "σ", "tanh": "tanh", "relu": "relu", "exp": "exp", "log": "log", "abs": "|·|",
    "softmax": "softmax", "softplus": "softplus", "sqrt": "√", "sin": "sin", "cos": "cos",
    "sum": "Σ", "maximum": "max", "minimum": "min", "log_softmax": "log softmax",
    "take_along_axis": "pick",
}  # fmt: skip


class Read(NamedTuple):
    """What an operation reads, the letters it is multiplied with, and when."""

    end: End
    letters: tuple[str, ...] = ()
    place: str | None = None


class End(NamedTuple):
    """What a value comes from: an operation or a variable, how long ago, and whether cut off."""

    id: int
    delay: Delay
    is_variable: bool
    detached: bool = False


def operations(
    graph: RunGraph | Circuit,
    times: Collection[Time] | None = None,
    initial: Collection[int] = (),
    values: bool = False,
    across: bool = True,
    places: Mapping[int, str] | None = None,
) -> Graph:
    """The graph of the operations and variables of a run or of a circuit.

    Of what carries no label, only that is shown on which something labelled depends; all, if there
    are no labels.

    Args:
        graph: what was extracted, or folded.
        times: the steps of a run to show; None means all. A circuit shows all it has.
        initial: the ids of the initial states of a run to show.
        values: give the variables of a run their values, the raw arrays.
        across: whether products of different modules that are added make one map.
        places: of the vertices of a circuit, when they are worked out (``schedule.places_of``).
    """
    return _Operations(graph, times, initial, values, across, places or {}).graph()


class _Operations:
    def __init__(
        self,
        graph: RunGraph | Circuit,
        times: Collection[Time] | None,
        initial: Collection[int],
        values: bool,
        across: bool,
        places: Mapping[int, str],
    ) -> None:
        self.places = places
        self.source = graph
        self.vertices: Sequence[AnyVertex] = graph.vertices
        self.shown = None if times is None else set(times)
        self.initial = initial
        self.values = values
        nothing = [False] * len(self.vertices)
        if isinstance(graph, Circuit):
            self.paths = circuit_paths(graph, nothing)
            self.copies: dict[int, int] = {}
        else:
            self.paths = RunPaths(graph, nothing)
            # A state that truncation has cut off is drawn as what it is a copy of.
            self.copies = copied_states(graph)
        self.arguments = self.paths.arguments
        self.learned = self.paths.learned
        self.variables = {
            v.id for v in self.vertices if v.variable and (v.kind != "initial" or v.id in initial)
        }
        maps = Maps(self.vertices, self.paths, self.variables, across)
        self.terms, self.absorbed = maps.terms, maps.absorbed
        self.numbers = self._numbers()

    # -- what is drawn --

    def _is_operation(self, v: AnyVertex) -> bool:
        if v.op == "leaf" or v.id in self.learned:
            return False
        if self.terms[v.id]:
            return True
        return v.kind != "initial" and op_of(v) not in SILENT

    def _ends(self, argument: Argument) -> list[End]:
        """The drawn vertices from which an argument comes, through what only hands it on."""
        found: dict[End, None] = {}
        stack: list[tuple[int, Delay]] = [(argument.source, argument.delay)]
        seen = set(stack)
        while stack:
            k, delay = stack.pop()
            v = self.vertices[k]
            if k in self.learned:
                continue
            if k in self.copies:
                found[End(self.copies[k], delay, True, True)] = None
            elif k in self.variables:
                found[End(k, delay, True)] = None
            elif self._is_operation(v):
                found[End(k, delay, False)] = None
            else:
                before = [(a.source, plus(delay, a.delay)) for a in self.arguments(v.id)]
                stack += [there for there in before[::-1] if there not in seen]
                seen.update(before)
        return list(found)

    def _inputs(self, k: int) -> list[Read]:
        """What an operation reads."""
        if self.terms[k]:
            return [
                Read(end, t.letters, self.places.get(t.product))
                for t in self.terms[k]
                for end in self._ends(t.source)
            ]
        return [Read(end) for a in self.arguments(k) for end in self._ends(a)]

    def graph(self) -> Graph:
        """Everything that the variables depend on, from the last to the first."""
        near = self.shown
        if near is not None and isinstance(self.source, RunGraph):
            near = near | neighbours(self.source, near)
        ends = [End(k, 0, True) for k in sorted(self.variables)]
        ends = ends or [
            End(v.id, 0, False)
            for v in self.vertices
            if self._is_operation(v) and v.id not in self.absorbed
        ]
        todo = [(end.id, end.is_variable) for end in ends]
        drawn = set(todo)
        edges = Edges()
        while todo:
            k, is_variable = todo.pop()
            v = self.vertices[k]
            time = getattr(v, "time", None)
            if near is not None and time is not None and time not in near:
                continue
            if is_variable and self._is_operation(v):
                inputs = [Read(End(k, 0, False))]
            elif is_variable:
                inputs = [Read(end) for a in self.arguments(v.id) for end in self._ends(a)]
            else:
                inputs = self._inputs(k)
            for end, letters, place in inputs:
                s = self.vertices[end.id]
                delay = end.delay if isinstance(self.source, Circuit) else _passed(v, s)
                edge = Edge(
                    self._id(end.id, end.is_variable),
                    self._id(k, is_variable),
                    delay,
                    letters,
                    end.detached,
                    place,
                )
                edges.add(s, v, edge)
                if (end.id, end.is_variable) not in drawn:
                    drawn.add((end.id, end.is_variable))
                    todo.append((end.id, end.is_variable))
        return self._records(sorted(drawn), edges)

    def _records(self, drawn: Sequence[tuple[int, bool]], edges: Edges) -> Graph:
        records: dict[str, Vertex] = {}
        for k, is_variable in drawn:
            v = self.vertices[k]
            time = getattr(v, "time", None)
            if self.shown is None or time is None or time in self.shown:
                id = self._id(k, is_variable)
                if is_variable:
                    values = self.source.values if isinstance(self.source, RunGraph) else {}
                    norms = self.source.gradients if isinstance(self.source, RunGraph) else {}
                    value = values.get(k) if self.values else None
                    found = record(v, id, edges.states, value, norms.get(k))
                else:
                    kind, label = self._look(v)
                    found = Vertex(id, label, kind, time, ".".join(v.place), v.shape, v.loop)
                records[id] = replace(found, place=self.places[k]) if k in self.places else found
        lines = edges.all()[::-1]
        whole = [e for e in lines if e.source in records and e.target in records]
        cut = [e for e in lines if (e.source in records) != (e.target in records)]
        steps = {
            time for k, _ in drawn if (time := getattr(self.vertices[k], "time", None)) is not None
        }
        return Graph(
            tuple(records.values()),
            tuple(whole),
            tuple(sorted(steps, key=sortable)),
            tuple(cut),
            columns(self.source, self.initial) if isinstance(self.source, RunGraph) else (),
        )

    # -- what they are called --

    def _numbers(self) -> list[int]:
        """Of every operation the how-manieth of its kind in its step it is."""
        count: Counter[Any] = Counter()
        found = []
        for v in self.vertices:
            inside = v.loop is not None and v.kind != "initial"
            key = (inside, getattr(v, "time", None), self._kind(v))
            count[key] += self._is_operation(v) and v.id not in self.absorbed
            found.append(count[key])
        return found

    def _kind(self, v: AnyVertex) -> str:
        return "map" if self.terms[v.id] else op_of(v)

    def _id(self, k: int, is_variable: bool) -> str:
        v = self.vertices[k]
        if is_variable:
            return name_of(v)
        outside = "" if v.loop is not None else " outside"
        time = getattr(v, "time", None)
        step = "" if time is None else f"({time_text(time)})"
        return f"{self._kind(v)} {self.numbers[k]}{outside}{step}"

    def _look(self, v: AnyVertex) -> tuple[str, str]:
        """The kind of an operation, and what is written in it."""
        terms = self.terms[v.id]
        if terms:
            # What stands in for a delayed value in the first steps goes without saying.
            usual = [t for t in terms if self.vertices[t.source.source].kind != "initial"]
            return "map", " + ".join(dict.fromkeys(map(self._term, usual or terms)))
        op = op_of(v)
        if op not in _ARITHMETIC:
            function = v.family == "elementwise"
            return "function" if function else "operation", _FUNCTIONS.get(op, op.replace("_", " "))
        sign = _ARITHMETIC[op]
        given = {a.number for a in self.arguments(v.id) if a.source not in self.learned}
        if op != "neg" and len(given) == 1:
            learned = [a.source for a in self.arguments(v.id) if a.source in self.learned]
            letters = [letter for source in learned for letter in self.paths.letters(source)]
            known = "k" if v.number is None else f"{v.number:.3g}".replace("-", MINUS)
            other = letters[0] if letters else known
            sign = f"{sign} {other}" if 0 in given and op != "mul" else f"{other} {sign}"
        return "arithmetic", sign

    def _term(self, term: Term) -> str:
        letters = " ".join(term.letters)
        if term.piece:
            letters = f"{letters}{',' if '_' in letters else '_'}{term.piece}"
        called = self._called(term.source.source)
        return f"{letters} {called[0] if len(called) == 1 else '[' + ','.join(called) + ']'}"

    def _called(self, k: int) -> list[str]:
        """The names of the variables from which a value comes; a dot for an operation."""
        found: dict[str, None] = {}
        stack, seen = [k], {k}
        while stack:
            v = self.vertices[stack.pop()]
            if v.variable:
                found[v.variable] = None
            elif self._is_operation(v):
                found["·"] = None
            elif v.id not in self.learned:
                new = [a.source for a in self.arguments(v.id) if a.source not in seen]
                seen.update(new)
                stack += new[::-1]
        return list(found) or ["·"]


def _passed(target: Any, source: Any) -> Delay:
    if target.time is None or source.time is None:
        return 0
    return minus(target.time, source.time)
