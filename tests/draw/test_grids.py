"""Recurrences along two axes: delays are vectors, and the unrolled graph is a lattice."""

import networkx as nx
import numpy as np
import pytest

import tinyseq as ts
from draw.runs import H, I, K, N, as_networkx, same, wiring
from tinyseq import draw, nn, ops
from tinyseq.draw import contract, extract, fold
from tinyseq.draw.curves import holds, sampled
from tinyseq.recurrence import unroll_grid

REVERSES = [(False, False), (False, True), (True, False), (True, True)]


def numbers(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, columns, N, I))


def grid(rows=3, columns=4, kind=nn.MDRNNCell, **options):
    return unroll_grid(kind(I, H, 0), numbers(rows, columns), **options)[0]


def with_outputs(rows=3, columns=3):
    cell, readout = nn.MDRNNCell(I, H, 0), nn.Linear(H, K, seed=1)

    def step(x, states):
        h, _ = cell(x, states)
        return readout(h), h

    return unroll_grid(step, numbers(rows, columns), cell.init_state(N))[0]


def classified():
    o = ts.label(nn.Linear(H, K, seed=1)(grid()[-1, -1]), "o")
    return ts.label(nn.cross_entropy(o, ts.label(np.array([1, 2]), "y")), "L")


PLAIN = [("x", "U", "h", 0), ("h", "W", "h", (1, 0)), ("h", "Q", "h", (0, 1))]
LSTM = [
    ("x", "U", "c", 0), ("x", "U", "h", 0), ("c", "", "h", 0),
    ("c", "", "c", (1, 0)), ("c", "", "c", (0, 1)),
    *((s, p, t, d) for t in "ch" for s, p, d in (("h", "W", (1, 0)), ("h", "Q", (0, 1)))),
]  # fmt: skip


@pytest.mark.parametrize("size", [(2, 2), (3, 4), (5, 2)])
def test_the_delays_of_a_circuit_are_vectors(size):
    assert same(wiring(contract(fold(extract(grid(*size))))), PLAIN)
    assert same(wiring(contract(fold(extract(grid(*size, kind=nn.MDLSTMCell))))), LSTM)


@pytest.mark.parametrize("reverse", REVERSES)
def test_directions_are_signs(reverse):
    down, across = (-1 if back else 1 for back in reverse)
    expected = [("x", "U", "h", 0), ("h", "W", "h", (down, 0)), ("h", "Q", "h", (0, across))]
    assert same(wiring(contract(fold(extract(grid(reverse=reverse))))), expected)


@pytest.mark.parametrize("kind", [nn.MDRNNCell, nn.MDLSTMCell])
def test_unrolling_the_circuit_gives_the_run(kind):
    rows, columns = 3, 4
    circuit = PLAIN if kind is nn.MDRNNCell else LSTM
    places = {(i, j) for i in range(1, rows + 1) for j in range(1, columns + 1)}
    expected = nx.MultiDiGraph()
    for i, j in places:
        for s, letter, t, delay in circuit:
            down, across = delay or (0, 0)
            if (i - down, j - across) in places:
                expected.add_edge(f"{s}({i - down},{j - across})", f"{t}({i},{j})", p=letter)
    found = nx.MultiDiGraph()
    for e in contract(extract(grid(kind=kind))).edges:
        found.add_edge(e.source, e.target, p=",".join(e.parameters))
    assert nx.utils.edges_equal(found.edges(data=True), expected.edges(data=True), directed=True)


def test_a_delay_of_each_direction_says_which():
    scene = draw.circuit(grid()).scene
    assert len(scene.squares) == 2
    assert {note.text.base for note in scene.notes} == {"i−1", "j−1"}
    backwards = draw.circuit(grid(reverse=(True, True))).scene
    assert {note.text.base for note in backwards.notes} == {"i+1", "j+1"}
    for note in scene.notes:
        for wire in scene.wires:
            assert not any(
                abs(x - note.x) < note.text.width / 2 and abs(y - note.y) < 4
                for x, y in sampled(wire.curve)
            )


@pytest.mark.parametrize("run", [grid, with_outputs, classified])
def test_places_stand_in_a_lattice(run):
    scene = draw.unrolled(run()).scene
    for label in {d.vertex.label for d in scene.discs if isinstance(d.vertex.time, tuple)}:
        at = {d.vertex.time: (d.x, d.y) for d in scene.discs if d.vertex.label == label}
        across = sorted({x for x, _ in at.values()})
        down = sorted({y for _, y in at.values()}, reverse=True)
        assert all(at[i, j] == (across[j - 1], down[i - 1]) for i, j in at)


@pytest.mark.parametrize("run", [grid, with_outputs, classified, lambda: grid(kind=nn.MDLSTMCell)])
def test_nothing_covers_anything(run):
    scene = draw.unrolled(run()).scene
    for k, one in enumerate(scene.discs):
        for other in scene.discs[:k]:
            assert np.hypot(one.x - other.x, one.y - other.y) > (one.width + other.width) / 2
        for wire in scene.wires:
            if one.vertex.id not in (wire.start, wire.end):
                assert not any(holds(one, point) for point in sampled(wire.curve))


def test_states_are_joined_by_straight_lines():
    for wire in draw.unrolled(with_outputs()).scene.wires:
        if wire.edge.source[0] == wire.edge.target[0] == "h":
            (x, y), (u, v) = wire.curve[0], wire.tip
            assert (x == pytest.approx(u)) != (y == pytest.approx(v))
            assert (v < y) == (wire.edge.parameters == ("W",))


def test_what_is_made_of_the_corner_stands_on_the_right():
    picture = draw.unrolled(classified())
    assert ("h(3,4)", "o") in {(e.source, e.target) for e in picture.graph.edges}
    at = {d.vertex.id: (d.x, d.y) for d in picture.scene.discs}
    assert at["h(3,4)"][0] < at["o"][0] < at["L"][0] < at["y"][0]
    assert at["h(3,4)"][1] == at["o"][1]
    assert [e.source for e in picture.graph.edges if e.target == "o"] == ["h(3,4)"]


def test_of_a_large_grid_the_first_and_last_rows_and_columns_are_shown():
    picture = draw.unrolled(grid(9, 11))
    shown = {v.time for v in picture.graph.vertices}
    assert shown == {(i, j) for i in (1, 2, 3, 8, 9) for j in (1, 2, 3, 10, 11)}
    assert {n.text.base for n in picture.scene.notes} == {"··· 6 more ···", "··· 4 more rows ···"}
    stubs = [w for w in picture.scene.wires if w.start is None or w.end is None]
    assert len(stubs) == 20 and all(w.dashed for w in stubs)
    corner = draw.unrolled(grid(9, 11), window=(1, 1)).graph
    assert {v.time for v in corner.vertices} == {(1, 1), (1, 11), (9, 1), (9, 11)}
    chosen = draw.unrolled(grid(9, 11), window=[(4, 4), (4, 5)]).graph
    assert {v.time for v in chosen.vertices} == {(4, 4), (4, 5)}


def test_scopes_inside_each_other_may_be_a_grid_too():
    cell = nn.MDRNNCell(I, H, 0)
    border, xs = cell.init_state(N), numbers(3, 3)
    states: dict = {}
    for i in (1, 2, 3):
        with ts.scope("row", i):
            for j in (1, 2, 3):
                with ts.scope("step", j):
                    x = ts.label(xs[i - 1, j - 1], "x")
                    above, left = states.get((i - 1, j), border), states.get((i, j - 1), border)
                    states[i, j] = ts.label(cell(x, (above, left))[0], "h")
    assert same(wiring(draw.circuit(states[3, 3]).graph), PLAIN)
    scene = draw.unrolled(states[3, 3]).scene
    assert len({d.x for d in scene.discs}) == len({d.y for d in scene.discs}) == 6


def test_four_directions_are_told_apart():
    xs, corners = numbers(2, 3), []
    for k, (reverse, name) in enumerate(zip(REVERSES, "hgpq", strict=True)):
        cell = nn.MDRNNCell(I, H, k)
        corners.append(unroll_grid(cell, xs, reverse=reverse, names={"h": name})[0][0, 1])
    o = ts.label(ops.tanh(ops.concatenate(corners, -1)), "o")
    graph = as_networkx(wiring(draw.circuit(o).graph))
    for name, (back, left) in zip("hgpq", REVERSES, strict=True):
        loops = {d["parameters"]: d["delay"] for _, _, d in graph.out_edges(name, data=True)}
        assert loops[f"W_{name}"] == (-1 if back else 1, 0)
        assert loops[f"Q_{name}"] == (0, -1 if left else 1)
    assert len(draw.unrolled(o).scene.discs) == 6 * 5 + 1


@pytest.mark.parametrize("kind", [nn.MDRNNCell, nn.MDLSTMCell])
@pytest.mark.parametrize("view", [draw.circuit, draw.unrolled])
@pytest.mark.parametrize("detail", ["modules", "ops"])
def test_grids_are_drawn_at_every_level(kind, view, detail):
    picture = view(grid(2, 3, kind=kind), detail=detail)
    assert len({(d.x, d.y) for d in picture.scene.discs}) == len(picture.scene.discs) > 2


def test_gradients_are_shown_on_the_lattice():
    picture = draw.unrolled(ops.sum(grid()[-1, -1]), gradients=True)
    norms = {v.time: v.grad for v in picture.graph.vertices if v.label == "h"}
    assert all(norm > 0 for norm in norms.values())


def test_the_page_has_the_grid():
    assert "h" in draw.unrolled(grid(2, 2)).page.html
