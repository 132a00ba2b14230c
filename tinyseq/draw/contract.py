"""contract: from all that was computed to the variables.

    graph = contract(run)               # the unrolled graph
    graph = contract(fold(run))         # the circuit

What carries no label vanishes: an edge stands for all paths through unlabelled values, marked with
the parameters that the source is multiplied with on the way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container
from typing import Any

from tinyseq.autograd.engine import paused_gc
from tinyseq.draw.columns import columns, sortable
from tinyseq.draw.fold import Circuit, minus
from tinyseq.draw.graph import Edge, Graph, Time, Vertex
from tinyseq.draw.pace import pace
from tinyseq.draw.paths import RunPaths, circuit_paths
from tinyseq.draw.run import RunGraph
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
    roles = graph.vertices if isinstance(graph, Circuit) else graph.roles
    if not any(role.variable is not None for role in roles):
        raise DrawError(
            "no variable to draw: nothing in this run carries a label. ts.unroll labels inputs, "
            "states and outputs by itself; name a value of your own with ts.label(h, 'h')."
        )
    with paused_gc():
        if isinstance(graph, Circuit):
            return _circuit(graph)
        return _run(graph, None if times is None else set(times), set(initial), values)


def _circuit(circuit: Circuit) -> Graph:
    vertices = circuit.vertices
    drawn = [v.variable is not None and v.kind != "initial" for v in vertices]
    paths = circuit_paths(circuit, drawn)
    edges = Edges()
    for v in vertices:
        if drawn[v.id]:
            for k, delay, letters in paths.into(v.id):
                s = vertices[k]
                rate = 1 if delay is None else circuit.pace.between(s.loop, v.loop)
                edges.add(s, v, Edge(name_of(s), name_of(v), delay, letters, rate=rate))
    return Graph(
        tuple(record(v, name_of(v), edges.states) for v in vertices if drawn[v.id]),
        edges.all(),
        titles=circuit.titles,
    )


def _run(run: RunGraph, shown: set[Time] | None, initial: set[int], values: bool) -> Graph:
    copies = copied_states(run)
    wanted = []
    for role, members in zip(run.roles, run.members, strict=True):
        if role.variable is not None and role.kind != "initial":
            wanted += members
        elif role.variable is not None:
            wanted += [k for k in members if k in initial or k in copies]
    wanted.sort()
    drawn = [False] * len(run)
    for k in wanted:
        drawn[k] = True
    near = None if shown is None else shown | neighbours(run, shown) | {None}
    targets = wanted if near is None else [k for k in wanted if run.times[k] in near]
    ways = RunPaths(run, drawn).into_each(targets)

    stamp = {time: "" if time is None else f"({time_text(time)})" for time in set(run.times)}
    name = {k: f"{run.roles[run.role[k]].variable}{stamp[run.times[k]]}" for k in wanted}
    edges = Edges()
    for k in targets:
        now, role = run.times[k], run.roles[run.role[k]]
        for s, _, letters in ways[k]:
            then = run.times[s]
            delay = 0 if now is None or then is None or now == then else minus(now, then)
            edge = Edge(name[s], name[k], delay, letters, s in copies)
            edges.add(run.roles[run.role[s]], role, edge)
    records = {
        name[k]: record(
            run.vertex(k),
            name[k],
            edges.states,
            run.values.get(k) if values else None,
            run.gradients.get(k),
        )
        for k in wanted
        if k not in copies and (shown is None or run.times[k] is None or run.times[k] in shown)
    }
    whole, cut = edges.parted(records)
    times = {
        time
        for role, members in zip(run.roles, run.members, strict=True)
        if role.variable is not None and role.kind != "initial"
        for time in {run.times[k] for k in members}
        if time is not None
    }
    at = pace(run)
    return Graph(
        tuple(records.values()),
        whole,
        tuple(sorted(times, key=sortable)),
        cut,
        columns(run, initial),
        titles(run, at),
        grids=at.grids,
    )


def copied_states(run: RunGraph) -> dict[int, int]:
    """The initial states that truncation has cut off, each with what it is a copy of."""
    initial: list[tuple[str | None, int]] = []
    computed: dict[str | None, list[list[int]]] = defaultdict(list)
    for role, members in zip(run.roles, run.members, strict=True):
        if role.kind == "initial":
            initial += [(role.variable, k) for k in members]
        elif role.variable is not None:
            computed[role.variable].append(members)
    found = {}
    for variable in {variable for variable, _ in initial if variable in computed}:
        of_time = {run.times[k]: k for members in computed[variable] for k in members}
        for other, k in initial:
            if other == variable and run.times[k] in of_time:
                found[k] = of_time[run.times[k]]
    return found


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

    def parted(self, shown: Container[str]) -> tuple[tuple[Edge, ...], tuple[Edge, ...]]:
        """Those of which both ends are shown, and those of which one is."""
        ends = [(edge, edge.source in shown, edge.target in shown) for edge in self.found]
        return tuple(e for e, a, b in ends if a and b), tuple(e for e, a, b in ends if a != b)


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
    """The steps just before and after the given ones; those around them in a grid."""
    found: set[Time] = set()
    for loop in run.loops:
        for time in times.intersection(loop.times):
            if isinstance(time, tuple) and len(time) == 2:
                i, j = time
                found |= {(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)}
        for a, b in zip(loop.times, loop.times[1:], strict=False):
            if a in times:
                found.add(b)
            if b in times:
                found.add(a)
    return found
