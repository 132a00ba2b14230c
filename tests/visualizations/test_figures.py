"""Every figure is the graph that the book's figure shows, written down here a second time.

An edge is its source, its letter (or -) and its target, with the times that the book writes:
``h(t-1) W h(t)`` stands for an edge to every step, and in a circuit for a loop with a delay of one.
"""

import re
from dataclasses import dataclass
from typing import Any

import networkx as nx
import pytest

from visualizations.scripts import picture


@dataclass(frozen=True)
class Book:
    """A figure: the edges of every step, how many steps (None: a circuit), and edges besides."""

    edges: str
    steps: int | None = None
    besides: str = ""

    def graph(self) -> nx.MultiDiGraph:
        found = nx.MultiDiGraph()

        def add(source: str, letter: str, target: str, delay: int | None) -> None:
            for name in (source, target):
                found.add_node(name, label=name.partition("(")[0])
            found.add_edge(source, target, letter=letter.strip("-"), delay=delay)

        for source, letter, target in _edges(self.edges):
            name, back = _name_and_number(source)
            to = target.removesuffix("(t)")
            if self.steps is None:
                add(name, letter, to, -(back or 0))
                continue
            for t in range(1, self.steps + 1):
                if back is None:
                    add(name, letter, f"{to}({t})", 0)
                elif 1 <= t + back <= self.steps:
                    add(f"{name}({t + back})", letter, f"{to}({t})", -back)
        for source, letter, target in _edges(self.besides):
            times = _name_and_number(source)[1], _name_and_number(target)[1]
            if self.steps is None:  # what stands outside the steps reads one of them
                add(source, letter, target, None)
            else:
                add(source, letter, target, 0 if None in times else times[1] - times[0])
        return found


def _edges(text: str) -> list[list[str]]:
    return [edge.split() for edge in text.split("; ") if edge]


def _name_and_number(text: str) -> tuple[str, Any]:
    """h(t-1) is h, -1; h(t) is h, 0; h(3) is h, 3; h alone has no number."""
    match = re.fullmatch(r"(\w+)(\(t?([-+]?\d+)?\))?", text)
    assert match is not None, text
    return match[1], None if match[2] is None else int(match[3] or 0)


READOUT = "h(t) V o(t); o(t) - L(t); y(t) - L(t)"
FIG_3 = f"x(t) U h(t); h(t-1) W h(t); {READOUT}"
FIG_4 = f"x(t) U h(t); o(t-1) W h(t); {READOUT}"
# The book counts h, o and L from one step earlier: y(t) is read by h(t), and y(t+1) by L(t).
FIG_9 = f"x R h(t); h(t-1) W h(t); y(t-1) U h(t); {READOUT}"
FIG_10 = f"x(t) U h(t); h(t-1) W h(t); y(t-1) R h(t); {READOUT}"
FIG_11 = (
    "x(t) U_h h(t); h(t-1) W_h h(t); x(t) U_g g(t); g(t+1) W_g g(t); h(t) V o(t); g(t) V o(t); "
    "o(t) - L(t); y(t) - L(t)"
)
DECODER = "C U_s s(t); s(t-1) W_s s(t); y(t-1) R s(t); s(t) V y(t)"
DEEP = "x(t) P p(t); p(t) U h(t); h(t-1) Q q(t); q(t) W h(t); h(t) R r(t); r(t) V y(t)"

BOOK = {
    "fig_10_01_circuit.svg": Book("s(t-1) f s(t)"),
    "fig_10_01_unrolled.svg": Book("s(t-1) f s(t)", 3),
    "fig_10_02_circuit.svg": Book("h(t-1) f h(t); x(t) f h(t)"),
    "fig_10_02_unrolled.svg": Book("h(t-1) f h(t); x(t) f h(t)", 3),
    "fig_10_03_circuit.svg": Book(FIG_3),
    "fig_10_03_unrolled.svg": Book(FIG_3, 3),
    "fig_10_04_circuit.svg": Book(FIG_4),
    "fig_10_04_unrolled.svg": Book(FIG_4, 3),
    "fig_10_05_unrolled.svg": Book(
        "x(t) U h(t); h(t-1) W h(t)", 2, "x(20) U h(20); h(20) V o; o - L; y - L"
    ),
    "fig_10_06_train.svg": Book(f"x(t) U h(t); y(t-1) W h(t); {READOUT}", 2),
    "fig_10_06_test.svg": Book("x(t) U h(t); o(t-1) W h(t); h(t) V o(t)", 2),
    "fig_10_07_complete_graph.svg": Book(
        "y(t-1) - y(t); y(t-2) - y(t); y(t-3) - y(t); y(t-4) - y(t)", 5
    ),
    "fig_10_08_states.svg": Book("h(t-1) - h(t); y(t-1) - h(t); h(t) - y(t)", 5),
    "fig_10_09_circuit.svg": Book(FIG_9),
    "fig_10_09_unrolled.svg": Book(FIG_9, 4, "y(0) U h(1)"),
    "fig_10_10_circuit.svg": Book(FIG_10),
    "fig_10_10_unrolled.svg": Book(FIG_10, 4),
    "fig_10_11_circuit.svg": Book(FIG_11),
    "fig_10_11_unrolled.svg": Book(FIG_11, 3),
    "fig_10_12_circuit.svg": Book(f"x(t) U_h h(t); h(t-1) W_h h(t); {DECODER}", None, "h - C"),
    "fig_10_12_unrolled.svg": Book(
        DECODER,
        3,
        "x(1) U_h h(1); x(2) U_h h(2); x(3) U_h h(3); x(4) U_h h(4); "
        "h(1) W_h h(2); h(2) W_h h(3); h(3) W_h h(4); h(4) - C",
    ),
    "fig_10_13_a.svg": Book(
        "x(t) U_1 h1(t); h1(t-1) W_1 h1(t); h1(t) U_2 h2(t); h2(t-1) W_2 h2(t); h2(t) V y(t)"
    ),
    "fig_10_13_b.svg": Book(DEEP),
    "fig_10_13_c.svg": Book(f"{DEEP}; h(t-1) S h(t)"),
}


def drawn(graph: Any) -> nx.MultiDiGraph:
    """What was drawn, as networkx has it."""
    found = nx.MultiDiGraph()
    for v in graph.vertices:
        found.add_node(v.id, label=v.label)
    for e in graph.edges:
        found.add_edge(e.source, e.target, letter=",".join(e.parameters), delay=e.delay)
    return found


def same(one: nx.MultiDiGraph, other: nx.MultiDiGraph) -> bool:
    def edges(a: Any, b: Any) -> bool:
        return sorted(map(str, a.values())) == sorted(map(str, b.values()))

    return nx.is_isomorphic(one, other, lambda a, b: a["label"] == b["label"], edges)


@pytest.mark.parametrize("file", BOOK)
def test_is_the_graph_of_the_book(file: str):
    assert same(drawn(picture(file).graph), BOOK[file].graph())


@pytest.mark.parametrize(
    ("figure", "ends"),
    {
        "01": ["s f s", "s f s"],
        "02": ["h f h", "h f h"],
        "03": ["h W h", "h W h"],
        "04": ["o W h", "o W h"],
        "11": ["g W_g g", "g W_g g", "h W_h h", "h W_h h"],
    }.items(),
)
def test_what_goes_on_beyond_three_steps(figure: str, ends: list[str]):
    cut = picture(f"fig_10_{figure}_unrolled.svg").graph.cut
    assert sorted(f"{e.source[0]} {e.parameters[0]} {e.target[0]}" for e in cut) == ends


def test_the_comparison_sees_what_differs():
    right = Book(FIG_3)
    assert same(right.graph(), Book("; ".join(reversed(FIG_3.split("; ")))).graph())
    for wrong in (
        FIG_3.replace("W", "U"),
        FIG_3.replace("h(t-1)", "h(t-2)"),
        FIG_3.replace("h(t) V", "x(t) V"),
        FIG_3.replace("y(t)", "z(t)"),
        FIG_3 + "; x(t) - L(t)",
    ):
        assert not same(right.graph(), Book(wrong).graph())
        assert not same(Book(FIG_3, 4).graph(), Book(wrong, 4).graph())
    assert not same(Book(FIG_3, 4).graph(), Book(FIG_3, 5).graph())
    assert same(Book("a(t-1) W a(t)", 3).graph(), Book("", 0, "a(1) W a(2); a(2) W a(3)").graph())


@pytest.mark.parametrize(
    ("part", "state", "length"), [("a", "h1", 1), ("b", "h", 2), ("c", "h", 1)]
)
def test_the_shortest_way_from_step_to_step(part: str, state: str, length: int):
    """Book, section 10.5: layers between the steps lengthen it, a skip connection shortens it."""
    graph = drawn(picture(f"fig_10_13_{part}.svg").graph)
    within = nx.DiGraph((a, b) for a, b, delay in graph.edges(data="delay") if not delay)
    later = [b for _, b, delay in graph.out_edges(state, data="delay") if delay == 1]
    ways = [1 + nx.shortest_path_length(within, b, state) for b in later]
    assert min(ways) == length
