"""All operations of a run: what is in the graph, and where it stands."""

from itertools import combinations, pairwise
from time import perf_counter

import networkx
import numpy as np
import pytest

import tinyseq as ts
from draw.runs import CASES, H, I, N, bidirectional, data, skip_through_time, with_cell
from nn.registry import CELLS, case
from tinyseq import draw, nn, ops
from tinyseq.draw import extract, fold
from tinyseq.draw.curves import holds, sampled
from tinyseq.draw.operations import operations
from tinyseq.draw.operations_layout import operations_circuit, operations_unrolled
from tinyseq.errors import DrawError
from tinyseq.recurrence import unroll
from visualizations.scripts import picture


def what(vertex):
    """What a vertex is, whatever its number and time: a variable's name, or the operation."""
    operation = vertex.kind in ("map", "function", "arithmetic", "operation")
    return vertex.id.split()[0] if operation else vertex.label


def as_networkx(graph):
    found = networkx.MultiDiGraph()
    for v in graph.vertices:
        found.add_node(v.id, label=what(v))
    for e in graph.edges:
        found.add_edge(e.source, e.target, letters=",".join(e.parameters), delay=e.delay)
    return found


def same(a, b):
    def edges(m, n):
        return sorted(map(str, m.values())) == sorted(map(str, n.values()))

    return networkx.is_isomorphic(a, b, lambda m, n: m["label"] == n["label"], edges)


def book(edges):
    """A graph written down as ``h -W,1-> map2; map2 -> sigmoid2``: letters and delays on edges."""
    found = networkx.MultiDiGraph()
    for edge in edges.split(";"):
        source, mark, target = edge.split()
        marks = mark.strip("->").split(",")
        for name in (source, target):
            found.add_node(name, label=name.rstrip("0123456789"))
        delay = int(marks[-1]) if marks[-1].isdigit() else 0
        letters = marks[0] if marks[0].isalpha() else ""
        found.add_edge(source, target, letters=letters, delay=delay)
    return found


FIG_16 = """
    x -U-> map1; h -W,1-> map1; map1 -> sigmoid1;
    x -U-> map2; h -W,1-> map2; map2 -> sigmoid2;
    x -U-> map3; h -W,1-> map3; map3 -> tanh1;
    x -U-> map4; h -W,1-> map4; map4 -> sigmoid4;
    sigmoid2 -> mul1; c -1-> mul1;
    sigmoid1 -> mul2; tanh1 -> mul2;
    mul1 -> add; mul2 -> add; add -> c;
    c -> tanh2; tanh2 -> mul3; sigmoid4 -> mul3; mul3 -> h
"""
GRU = """
    x -U-> map1; h -W,1-> map1; map1 -> sigmoid1;
    x -U-> map2; h -W,1-> map2; map2 -> sigmoid2;
    x -U-> map3; h -W,1-> map4; sigmoid1 -> mul1; map4 -> mul1;
    map3 -> add1; mul1 -> add1; add1 -> tanh;
    sigmoid2 -> mul2; h -1-> mul2; sigmoid2 -> sub; sub -> mul3; tanh -> mul3;
    mul2 -> add2; mul3 -> add2; add2 -> h
"""
ELMAN = "x -U-> map; h -W,1-> map; map -> tanh; tanh -> h"
WRITTEN = {"LSTMCell": FIG_16, "GRUCell": GRU, "ElmanCell": ELMAN}


def states_of(cell_class, steps=4):
    return unroll(cell_class(I, H, seed=0), data(steps)[0])[1]


@pytest.mark.parametrize("name", WRITTEN)
def test_is_the_circuit_of_the_paper(name):
    graph = operations(fold(extract(states_of(getattr(nn, name)))))
    assert same(as_networkx(graph), book(WRITTEN[name]))


def test_figure_16_is_that_of_the_book():
    assert same(as_networkx(picture("fig_10_16_lstm.svg").graph), book(FIG_16))


def test_the_comparison_sees_what_differs():
    right = book(FIG_16)
    for old, new in (("c -1->", "c ->"), ("h -W,1-> map1", "h -U,1-> map1"), ("tanh2 ", "tanh1 ")):
        assert old in FIG_16 and not same(right, book(FIG_16.replace(old, new)))


def maps_of(graph) -> list[str]:
    return sorted(v.label for v in graph.vertices if v.kind == "map")


def test_gates_are_maps_with_the_letters_that_the_cell_gives_them():
    graph = operations(fold(extract(states_of(nn.LSTMCell))))
    assert maps_of(graph) == [f"U_{gate} x + W_{gate} h" for gate in "fgio"]
    assert {v.label for v in graph.vertices if v.kind == "function"} == {"σ", "tanh"}
    gru = maps_of(operations(fold(extract(states_of(nn.GRUCell)))))
    assert gru == ["U_n x", "U_r x + W_r h", "U_z x + W_z h", "W_n h"]


def test_the_gates_of_two_layers_have_the_letters_of_their_own_maps():
    """U of the first layer for the gate f is one name: U with the subscript 1,f."""
    outputs, _ = nn.LSTM(3, 4, num_layers=2, seed=0)(np.zeros((2, 1, 3), np.float32))
    texts = {v.label for v in draw.circuit(outputs, detail="ops").graph.vertices}
    assert {
        f"U_{k},{gate} {x} + W_{k},{gate} h{k}" for k, x in ((1, "x"), (2, "h1")) for gate in "ifgo"
    } <= texts


@pytest.mark.parametrize("gates", [None, "abcde", ("a", "b", "c", "d"), 4])
def test_gates_without_letters_that_fit_are_numbered(gates):
    cell = nn.LSTMCell(I, H, seed=0)
    cell.gates = gates
    ys, _ = unroll(cell, np.ones((3, N, I), np.float32))
    graph = operations(fold(extract(ys)))
    assert maps_of(graph) == [f"U_{k} x + W_{k} h" for k in (1, 2, 3, 4)]


def run_of(entry, steps):
    made = case(entry, steps=steps)
    ys, state = unroll(made.cell, made.inputs, made.state, length=made.length())
    return extract((ys, state))


# A clockwork cell updates its modules at different steps: its steps are not alike.
REGULAR = [entry for entry in CELLS if not entry.name.startswith("clockwork")]


@pytest.mark.parametrize("entry", REGULAR, ids=lambda entry: entry.name)
def test_every_cell_has_one_circuit_whatever_the_steps(entry):
    circuits = [operations(fold(run_of(entry, steps))) for steps in (5, 9)]
    assert set(circuits[0].edges) == set(circuits[1].edges)
    assert [(v.id, v.label, v.kind) for v in circuits[0].vertices] == [
        (v.id, v.label, v.kind) for v in circuits[1].vertices
    ]
    assert circuits[0].edges


@pytest.mark.parametrize("entry", REGULAR, ids=lambda entry: entry.name)
def test_unrolling_the_circuit_gives_the_run(entry):
    steps = 5
    run = run_of(entry, steps)
    circuit, graph = operations(fold(run)), operations(run)
    times = range(1, steps + 1)
    again = {
        (f"{e.source}({t - e.delay})", f"{e.target}({t})", e.parameters)
        for e in circuit.edges
        if e.delay is not None
        for t in times
        if t - e.delay in times
    }
    assert {
        (e.source, e.target, e.parameters) for e in graph.edges if "(0)" not in e.source
    } == again


def check_geometry(scene):
    for a, b in combinations(scene.discs, 2):
        apart_x = abs(a.x - b.x) - (a.width + b.width) / 2
        apart_y = abs(a.y - b.y) - (a.height + b.height) / 2
        assert max(apart_x, apart_y) > 8, (a.vertex.id, b.vertex.id)
    for wire in scene.wires:
        ends = {wire.start, wire.end}
        points = [
            p for k in range(0, len(wire.curve) - 1, 3) for p in sampled(wire.curve[k : k + 4])
        ]
        for disc in scene.discs:
            margin = -1.0 if disc.vertex.id in ends else 2.0
            assert not any(holds(disc, p, margin) for p in points), (wire.edge, disc.vertex.id)
        for square in scene.squares:
            if square not in ends:
                assert not any(
                    abs(x - square.x) < square.side / 2 and abs(y - square.y) < square.side / 2
                    for x, y in points
                ), wire.edge
    for note in scene.notes:
        assert not any(holds(d, (note.x, note.y), 3) for d in scene.discs)
    for disc in scene.discs:
        assert disc.name.width < disc.width - 2, disc.name.plain


@pytest.mark.parametrize("entry", CELLS, ids=lambda entry: entry.name)
def test_pictures_of_every_cell_are_tidy(entry):
    run = run_of(entry, 4)
    check_geometry(operations_unrolled(operations(run)))
    if entry in REGULAR:
        scene = operations_circuit(operations(fold(run)))
        check_geometry(scene)
        assert len(scene.squares) >= 1


@pytest.mark.parametrize("entry", CASES, ids=repr)
def test_pictures_of_whole_networks_are_tidy(entry):
    check_geometry(draw.circuit(entry.run(4), detail="ops").scene)
    check_geometry(draw.unrolled(entry.run(4), detail="ops").scene)
    check_geometry(draw.unrolled(entry.run(20), detail="ops", window=(2, 1)).scene)


def test_steps_are_alike_and_in_the_order_of_time():
    discs = draw.unrolled(with_cell(nn.LSTMCell)(6), detail="ops").scene.discs
    spans = []
    for t in range(1, 7):
        step = [d for d in discs if d.vertex.time == t]
        spans.append((min(d.x for d in step), max(d.x for d in step)))
    assert all(a[1] < b[0] for a, b in pairwise(spans))
    places = {d.vertex.id: d.y for d in discs}
    for d in discs:
        if d.vertex.time in (3, 4):
            later = d.vertex.id.replace(f"({d.vertex.time})", f"({d.vertex.time + 1})")
            assert places[later] == pytest.approx(d.y, abs=1.0)


def test_the_wires_of_the_states_have_their_colours():
    scene = draw.circuit(with_cell(nn.LSTMCell)(3), detail="ops").scene
    colour = {w.edge.source: w.colour for w in scene.wires if w.edge.delay == 1}
    assert len({colour["h"], colour["c"], "#000000"}) == 3
    assert {w.colour for w in scene.wires if w.edge.delay == 0} == {"#000000"}


def test_delays_have_their_numbers():
    def notes(run):
        return sorted(n.text.plain for n in draw.circuit(run(4), detail="ops").scene.notes)

    assert notes(with_cell(nn.GRUCell)) == []
    assert notes(skip_through_time) == ["2"]
    assert notes(bidirectional) == ["−1"]


def test_a_gap_says_how_many_steps_it_hides():
    scene = draw.unrolled(with_cell(nn.LSTMCell)(40), detail="ops", window=(2, 2)).scene
    (note,) = scene.notes
    assert "36 more steps" in note.text.plain
    dashed = {(w.edge.source, w.edge.target.split()[0]) for w in scene.wires if w.dashed}
    assert dashed == {("h(2)", "map"), ("c(2)", "mul"), ("h(38)", "map"), ("c(38)", "mul")}


def test_states_without_labels_can_be_drawn():
    W, h = nn.Parameter(np.eye(H), "W"), np.ones((N, H))
    for t in range(1, 5):
        with ts.scope("step", t):
            h = ops.tanh(h @ W)
    graph = operations(fold(extract(h)))
    assert {str(e) for e in graph.edges} == {"map 1 -> tanh 1", "tanh 1 -W-> map 1 (delay 1)"}
    check_geometry(operations_circuit(graph))


def test_what_stands_in_the_signs():
    W, b = nn.Parameter(np.eye(H), "W"), nn.Parameter(np.ones(H), "b")
    x = ts.label(ts.tensor(np.ones((N, H)), requires_grad=True), "x")
    y = ops.reshape(1 - (x * 0.25 - b) / (x @ W + b) + np.float64(-3), (N, H))
    y = ts.label(y * np.ones(H), "y")
    labels = [v.label for v in operations(extract(y)).vertices]
    assert labels == ["x", "0.25 ×", "− b", "W x", "÷", "1 −", "+ −3", "k ×", "y"]


def test_a_number_that_differs_between_steps_is_left_open():
    def leaky(rate):
        W, h = nn.Parameter(np.eye(H), "W"), np.ones((N, H))
        for t in range(1, 5):
            with ts.scope("step", t):
                h = ts.label(ops.tanh(h @ W) * rate(t), "h")
        return operations(fold(extract(h)))

    assert [v.label for v in leaky(lambda t: 0.5).vertices] == ["W h", "tanh", "0.5 ×", "h"]
    assert [v.label for v in leaky(lambda t: 1 / t).vertices] == ["W h", "tanh", "k ×", "h"]


def test_hostile_names_stay_text():
    x = ts.label(ts.tensor(np.ones(3), requires_grad=True), "<TABLE HREF='javascript:1'>")
    W = nn.Parameter(np.eye(3), "</TD><b>")
    picture = draw.unrolled(ts.label(ops.tanh(x @ W), "\\N"), detail="ops")
    svg = picture.render("svg")
    assert b"<a " not in svg and b"href" not in svg.replace(b"HREF", b"")
    assert b"&lt;TABLE" in svg and b"&lt;/TD&gt;" in svg


def test_too_many_operations_are_refused_and_told_what_to_do():
    loss = with_cell(nn.LSTMCell)(400)
    with pytest.raises(DrawError, match="window=.*detail='variables'"):
        draw.unrolled(loss, detail="ops", window="all")
    assert len(draw.unrolled(loss, detail="ops").graph.shown) == 5


def test_twelve_steps_of_an_lstm_take_under_two_seconds():
    loss = with_cell(nn.LSTMCell)(12)
    start = perf_counter()
    assert draw.unrolled(loss, detail="ops").render("svg")
    assert perf_counter() - start < 2
