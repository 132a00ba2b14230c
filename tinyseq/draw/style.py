"""How variables look: sizes, letters, and a colour for each state where there are several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tinyseq.draw.graph import Graph, Vertex
from tinyseq.draw.scene import BLACK, Disc, Wire
from tinyseq.draw.text import Name, name

DIAMETER = 44.6  # of a node
COLUMN = 88.0  # from one step to the next
ROW = 84.0  # from one variable to the next
GREY = "#808080"
_ROOM = 38.0  # for a name inside a circle
_SIZE, _SMALLEST = 15.0, 10.0  # of letters

# One for each variable that recurs, where there are several; apart for the colour-blind as well.
_STATES = (
    ("#1f5fa8", "#e8f0fa"),
    ("#b3402a", "#fbece8"),
    ("#00996b", "#e2f4ed"),
    ("#b28100", "#f8f0da"),
    ("#80265c", "#f5e7ef"),
)
STATE_LINES = tuple(line for line, _ in _STATES)
# Fill and line of operations: linear maps green, functions orange, arithmetic blue,
# others grey; modules violet.
OPERATION_FILLS = {
    "map": ("#e6f2e2", "#3c7a34"),
    "function": ("#fdf0dc", "#9a6a1c"),
    "arithmetic": ("#e6eff8", "#41678f"),
    "operation": ("#f2f2f2", "#6a6a6a"),
    "module": ("#f3eefa", "#6b4f94"),
}
_OPERATION_SIZE = 32.0
Colours = Mapping[str, tuple[str, str]]


def names(graph: Graph) -> dict[str, Name]:
    """Every vertex's id with its name as it is written.

    Numbers are italic, all else bold, as in the book; all names of a variable have one size.
    """
    longest: dict[str, float] = defaultdict(float)
    for v in graph.vertices:
        longest[v.label] = max(longest[v.label], _name(v, _SIZE).width)
    size = {
        label: max(_SMALLEST, min(_SIZE, _SIZE * _ROOM / need)) for label, need in longest.items()
    }
    return {v.id: _name(v, size[v.label]) for v in graph.vertices}


def _name(v: Vertex, size: float) -> Name:
    return name(v.label, v.time, bold=v.shape != () and v.label != "L", size=size)


def sizes(graph: Graph, written: Mapping[str, Name]) -> dict[str, tuple[float, float]]:
    """Width and height of each variable's nodes: circles, unless a name does not fit into one."""
    need: dict[str, float] = defaultdict(float)
    for v in graph.vertices:
        need[v.label] = max(need[v.label], written[v.id].width)
    return {
        label: (DIAMETER, DIAMETER) if room < _ROOM + 1 else (room + 18, 34.0)
        for label, room in need.items()
    }


def operation_size(kind: str, text: Name) -> tuple[float, float]:
    """Width and height of an operation: a circle if what it says fits into one, else a box."""
    side = _OPERATION_SIZE if kind == "function" else 0.8 * _OPERATION_SIZE
    if kind in ("function", "arithmetic") and text.width < side - 5:
        return side, side
    return 1.05 * text.width + 16, 40.0 if kind == "module" else 26.0


def colours(graph: Graph) -> Colours:
    """Line and fill of the variables that recur; nothing where there is only one."""
    states = sorted_states(v.label for v in graph.vertices if v.kind == "state")
    return {s: _STATES[k % len(_STATES)] for k, s in enumerate(states)} if len(states) > 1 else {}


def sorted_states(labels: Iterable[str]) -> list[str]:
    """The states in the order of their colours: h is always the first, the blue one."""
    return sorted(dict.fromkeys(labels), key=lambda label: not label.startswith("h"))


def tinted(disc: Disc, colours: Colours) -> Disc:
    """The node in the colour of its state."""
    if disc.vertex.label not in colours:
        return disc
    line, fill = colours[disc.vertex.label]
    return replace(disc, line=line, fill=fill)


def inked(wire: Wire, discs: Mapping[str, Disc], colours: Colours) -> Wire:
    """The wire in the colour of the state that it carries to another step, if it does."""
    ends = [discs[k].vertex for k in (wire.edge.source, wire.edge.target) if k in discs]
    recurs = wire.edge.delay not in (0, None) and len({v.loop for v in ends}) == 1
    source = wire.edge.source if wire.edge.source in discs else None
    state = discs[source].vertex.label if source else wire.edge.source.rpartition("(")[0]
    colour = colours[state][0] if recurs and state in colours else BLACK
    if colour == BLACK and not wire.edge.detached:
        return wire
    return replace(wire, colour=colour, dashed=wire.dashed or wire.edge.detached)
