"""contract: from all that was computed to the variables.

    graph = contract(run)               # the unrolled graph
    graph = contract(fold(run))         # the circuit

What carries no label vanishes: an edge stands for all paths through unlabelled values, marked with
the parameters that the source is multiplied with on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from tinyseq.draw.columns import columns
from tinyseq.draw.fold import Circuit, CircuitVertex, minus
from tinyseq.draw.graph import Edge, Graph, Time, Vertex
from tinyseq.draw.paths import Argument, Paths
from tinyseq.draw.run import RunGraph, RunVertex
from tinyseq.draw.stages import titles
from tinyseq.draw.text import time_text
from tinyseq.errors import DrawError


def contract(
    graph: RunGraph | Circuit,
    times: Collection[Time] | None = None,
    initial: Collection[int] = (),
    values: bool = False,
) -> Graph:
    """The graph of the variables of a run or of a circuit.

    Args:
        graph: what was extracted, or folded.
        times: the steps of a run to show; None means all. A circuit shows all it has.
        initial: the ids of the initial states of a run to show.
        values: give the vertices of a run their values, the raw arrays.

    Raises:
        DrawError: nothing carries a label, or the value that links the steps carries none.
    """
    if not any(v.variable is not None for v in graph.vertices):
        raise DrawError(
            "no variable to draw: nothing in this run carries a label. ts.unroll labels inputs, "
            "states and outputs by itself; name a value of your own with ts.label(h, 'h')."
        )
    if isinstance(graph, Circuit):
        return _circuit(graph)
    return _run(graph, None if times is None else set(times), set(initial), values)


def _circuit(circuit: Circuit) -> Graph:
    vertices = circuit.vertices
    drawn = [v.variable is not None and v.kind != "initial" for v in vertices]

    paths = Paths(vertices, arguments_of(circuit), drawn)
    edges = Edges()
    for v in vertices:
        if drawn[v.id]:
            for s, delay, letters in paths.into(v.id):
                edges.add(vertices[s], v, Edge(name_of(vertices[s]), name_of(v), delay, letters))
    return Graph(
        tuple(record(v, name_of(v), edges.states) for v in vertices if drawn[v.id]),
        edges.all(),
        titles=circuit.titles,
    )


def _run(run: RunGraph, shown: set[Time] | None, initial: set[int], values: bool) -> Graph:
    vertices = run.vertices
    named = [v for v in vertices if v.variable is not None]
    computed = {name_of(v) for v in named if v.kind != "initial"}
    # A state that truncation has cut off is drawn as what it is a copy of.
    copies = {v.id for v in named if v.kind == "initial" and name_of(v) in computed}
    wanted = [v for v in named if v.kind != "initial" or v.id in initial or v.id in copies]
    drawn = [False] * len(vertices)
    for v in wanted:
        drawn[v.id] = True
    paths = Paths(vertices, arguments_of(run), drawn)
    near = None if shown is None else shown | neighbours(run, shown)
    edges = Edges()
    for v in wanted:
        if near is None or v.time is None or v.time in near:
            for k, _, letters in paths.into(v.id):
                s = vertices[k]
                delay = 0 if v.time is None or s.time is None else minus(v.time, s.time)
                edges.add(s, v, Edge(name_of(s), name_of(v), delay, letters, k in copies))
    records = {
        name_of(v): record(
            v,
            name_of(v),
            edges.states,
            run.values.get(v.id) if values else None,
            run.gradients.get(v.id),
        )
        for v in wanted
        if v.id not in copies and (shown is None or v.time is None or v.time in shown)
    }
    whole = [e for e in edges.all() if e.source in records and e.target in records]
    cut = [e for e in edges.all() if (e.source in records) != (e.target in records)]
    times = sorted({v.time for v in wanted if v.time is not None and v.kind != "initial"})
    return Graph(
        tuple(records.values()),
        tuple(whole),
        tuple(times),
        tuple(cut),
        columns(run, initial),
        titles(run),
    )


def arguments_of(graph: RunGraph | Circuit) -> Callable[[Any], list[Argument]]:
    """What tells the arguments of a vertex. Those of a run have no delays: a vertex has a time."""

    def of_circuit(v: CircuitVertex) -> list[Argument]:
        usual = [Argument(i, p.source, p.delay) for i, p in enumerate(v.inputs) if p is not None]
        return usual + [Argument(i, source, None) for i, source in v.initial]

    def of_run(v: RunVertex) -> list[Argument]:
        return [Argument(i, p, 0) for i, p in enumerate(v.parents) if p is not None]

    return of_circuit if isinstance(graph, Circuit) else of_run


class Edges:
    """The edges, each once, and the variables that a later step reads."""

    def __init__(self) -> None:
        self.found: dict[Edge, None] = {}
        self.states: set[str | None] = set()

    def add(self, source: Any, target: Any, edge: Edge) -> None:
        self.found[edge] = None
        if source.loop is not None and source.loop == target.loop and edge.delay not in (0, None):
            self.states.add(source.variable)

    def all(self) -> tuple[Edge, ...]:
        return tuple(self.found)


def name_of(v: Any) -> str:
    """What a variable is called at its time: ``h(2)``."""
    time = getattr(v, "time", None)
    return v.variable if time is None else f"{v.variable}({time_text(time)})"


def record(
    v: Any, name: str, states: Collection[Any], value: Any = None, grad: float | None = None
) -> Vertex:
    """A variable as it is drawn; one of ``states`` is read by a later step."""
    kind = "state" if v.kind == "variable" and v.variable in states else v.kind
    return Vertex(
        name,
        v.variable,
        kind,
        getattr(v, "time", None),
        ".".join(v.place),
        v.shape,
        v.loop,
        value,
        grad,
    )


def neighbours(run: RunGraph, times: set[Time]) -> set[Time]:
    """The steps just before and after the given ones."""
    found: set[Time] = set()
    for loop in run.loops:
        for a, b in zip(loop.times, loop.times[1:], strict=False):
            if a in times:
                found.add(b)
            if b in times:
                found.add(a)
    return found
