"""modules: the variables, and a box for every module that computes them.

    graph = modules(run)                # every module a box
    graph = modules(run, depth=0)       # the outermost ones as closed boxes
    graph = modules(fold(run))          # the circuit

What carries no label and belongs to no box vanishes, as among the variables. A module called
twice in a step, the second time with what came of the first, is two boxes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace

from tinyseq.draw.fold import Circuit
from tinyseq.draw.graph import OPERATIONS, Edge, Graph, Time, Vertex
from tinyseq.draw.operations import operations
from tinyseq.draw.paths import plus
from tinyseq.draw.run import RunGraph
from tinyseq.draw.text import time_text

Call = tuple[str, int, int | None]  # the path of a module, which call in its step, which loop


def modules(
    graph: RunGraph | Circuit,
    times: Collection[Time] | None = None,
    initial: Collection[int] = (),
    values: bool = False,
    depth: int | None = None,
) -> Graph:
    """The graph of the modules and variables of a run or of a circuit.

    Args:
        graph: what was extracted, or folded.
        times: the steps of a run to show; None means all. A circuit shows all it has.
        initial: the ids of the initial states of a run to show.
        values: give the variables of a run their values, the raw arrays.
        depth: how deep modules are opened: 0 shows the outermost ones closed; None opens all that
            have modules inside.
    """
    return closed(operations(graph, times, initial, values, across=False), depth)


def closed(graph: Graph, depth: int | None) -> Graph:
    """A graph of operations, with those of one call of a module as one box."""
    call = _calls(graph, depth)
    graph = _without(graph, [v.id for v in graph.vertices if _is_loose(v, call)])
    box: dict[str, str] = {}
    vertices: dict[str, Vertex] = {}
    loops: dict[str, dict[int | None, int]] = defaultdict(dict)  # in which a module is called
    for v in graph.vertices:
        if v.kind in OPERATIONS and v.id in call:
            path, number, loop = call[v.id]
            others = loops[path].setdefault(loop, sum(k is not None for k in loops[path]))
            step = "" if v.time is None else f"({time_text(v.time)})"
            outside = "" if v.loop is not None else " outside"
            outside += f" of loop {others + 1}" * (loop is not None and others > 0)
            box[v.id] = f"{path} {number + 1}{outside}{step}"
            name = path.rpartition(".")[2]
            vertices.setdefault(
                box[v.id], replace(v, id=box[v.id], label=name, kind="module", scope=path)
            )
        else:
            vertices[v.id] = v
    return replace(
        graph,
        vertices=tuple(vertices.values()),
        edges=_between(graph.edges, box, call),
        cut=_between(graph.cut, box, call),
    )


def _is_loose(v: Vertex, call: dict[str, Call]) -> bool:
    return v.kind in OPERATIONS and v.id not in call


def _without(graph: Graph, ids: Collection[str]) -> Graph:
    """The graph without some vertices, and with an edge for every way through them.

    What reads itself from an earlier step stays: it is a state without a label.
    """
    into: dict[str, dict[Edge, None]] = defaultdict(dict)
    out: dict[str, dict[Edge, None]] = defaultdict(dict)
    for e in (*graph.edges, *graph.cut):
        out[e.source][e] = into[e.target][e] = None
    gone = set()
    for id in ids:
        if any(e.source == id for e in into[id]):
            continue
        gone.add(id)
        for a in into[id]:
            for b in out[id]:
                both = tuple(dict.fromkeys(a.parameters + b.parameters))
                cut_off = a.detached or b.detached
                e = Edge(a.source, b.target, plus(a.delay, b.delay), both, cut_off)
                out[e.source][e] = into[e.target][e] = None
        for a in into.pop(id):
            out[a.source].pop(a, None)
        for b in out.pop(id, ()):
            into[b.target].pop(b, None)
    there = {v.id for v in graph.vertices} - gone
    edges = [e for k, found in out.items() for e in found if k not in gone]
    return replace(
        graph,
        vertices=tuple(v for v in graph.vertices if v.id in there),
        edges=tuple(e for e in edges if e.source in there and e.target in there),
        cut=tuple(e for e in edges if (e.source in there) != (e.target in there)),
    )


def _between(
    edges: Collection[Edge], box: dict[str, str], call: dict[str, Call]
) -> tuple[Edge, ...]:
    """The edges between boxes and variables, with all letters of those that run side by side."""
    letters: dict[Edge, dict[str, None]] = defaultdict(dict)
    for e in edges:
        source, target = box.get(e.source, e.source), box.get(e.target, e.target)
        inside = e.delay == 0 and call.get(e.source) == call.get(e.target, ("", -1, None))
        # A variable of a module that the module goes on to read is shown as what it puts out.
        if inside and (source == target or (e.source not in box and e.target in box)):
            continue
        key = replace(e, source=source, target=target, parameters=())
        letters[key].update(dict.fromkeys(e.parameters))
    return tuple(replace(e, parameters=tuple(found)) for e, found in letters.items())


def _calls(graph: Graph, depth: int | None) -> dict[str, Call]:
    """For what is computed in a module, which one, and in which call of a step."""
    sources = defaultdict(list)
    for e in graph.edges:
        if e.delay == 0:
            sources[e.target].append(e.source)
    path = {
        v.id: v.scope.split(".")[: None if depth is None else depth + 1] for v in graph.vertices
    }
    opened = {tuple(parts[:k]) for parts in path.values() for k in range(1, len(parts))}
    found: dict[str, Call] = {}
    # Behind a vertex: the last calls of each module in each loop.
    seen: dict[str, dict[tuple[str, int | None], int]] = {}
    for v in graph.vertices:
        own = ".".join(path[v.id]), v.loop
        behind: dict[tuple[str, int | None], int] = {}
        number = 0
        for s in sources[v.id]:
            for other, count in seen.get(s, {}).items():
                behind[other] = max(count, behind.get(other, 0))
            if own in seen.get(s, {}):
                again = s not in found or (found[s][0], found[s][2]) != own
                number = max(number, seen[s][own] + again)
        if own[0] and v.kind != "input" and tuple(path[v.id]) not in opened:
            found[v.id] = own[0], number, v.loop
            behind[own] = number
        seen[v.id] = behind
    return found
