"""The rows of a picture: which variable stands above which, as in the book.

x at the bottom, then the states, o, L, and y above what it is compared with. Known names play no
part: the order of computation decides.
"""

from __future__ import annotations

from collections import defaultdict

from tinyseq.draw.graph import Graph
from tinyseq.draw.style import ROW

_OUTSIDE = 34.0  # more room below and above the rows of a module that has a box around it


def heights(graph: Graph) -> dict[str, float]:
    """Of every variable how high its row stands."""
    title = dict(graph.titles)
    of_row = {v.label: title.get(v.loop) for v in graph.vertices if v.loop is not None}
    found: dict[str, float] = {}
    height, before = -ROW, None
    for k, label in enumerate(rows(graph)):
        around = of_row.get(label)
        height += ROW
        if k and around != before:
            height += _OUTSIDE * ((around is not None) + (before is not None))
        found[label], before = height, around
    return found


def rows(graph: Graph) -> list[str]:
    """The variables from the bottom row to the top one."""
    place: dict[str, int] = {}
    given: dict[str, bool] = {}
    variable: dict[str, str] = {}
    loop: dict[str, int | None] = {}
    for v in graph.vertices:
        variable[v.id], loop[v.id] = v.label, v.loop
        if v.kind != "initial":
            place.setdefault(v.label, len(place))
            given[v.label] = given.get(v.label, True) and v.kind == "input"
    for v in graph.vertices:
        place.setdefault(v.label, len(place))
        given.setdefault(v.label, True)

    sources: dict[str, set[str]] = defaultdict(set)
    readers: dict[str, set[str]] = defaultdict(set)
    for edge in graph.edges:
        s, t = variable[edge.source], variable[edge.target]
        recurs = loop[edge.source] == loop[edge.target] and edge.delay not in (0, None)
        if s != t and not recurs and place[s] < place[t]:
            sources[t].add(s)
            readers[s].add(t)

    level: dict[str, int] = {}
    for name in sorted(place, key=place.__getitem__):
        level[name] = 0 if given[name] else 1 + max((level[s] for s in sources[name]), default=0)
    order = {name: (float(level[name]), place[name], 1) for name in place}
    for name in place:
        if given[name] and readers[name]:
            lowest = min(readers[name], key=lambda reader: (level[reader], place[reader]))
            compared = all(
                not readers[reader] and any(not given[s] for s in sources[reader])
                for reader in readers[name]
            )
            if compared:  # above what it is compared with
                order[name] = max(level[reader] for reader in readers[name]) + 0.5, place[name], 0
            else:  # just below the first that reads it
                order[name] = float(level[lowest]), place[lowest], 0
    return sorted(place, key=order.__getitem__)
