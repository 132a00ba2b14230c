"""What is true of every picture, computed from its geometry."""

from itertools import combinations, pairwise
from math import dist

import numpy as np
import pytest

import tinyseq as ts
from draw.runs import (
    CASES,
    H,
    I,
    by_hand,
    data,
    one_output,
    skip_through_time,
    vector_to_sequence,
    with_cell,
)
from tinyseq import draw, nn, ops
from tinyseq.draw.curves import holds
from tinyseq.recurrence import unroll

CIRCUITS = {f"circuit of {case}": lambda case=case: draw.circuit(case.run(5)) for case in CASES}
UNROLLED = {f"unrolled {case}": lambda case=case: draw.unrolled(case.run(5)) for case in CASES}
ELIDED = {
    f"elided {case}": lambda case=case: draw.unrolled(case.run(40), window=(4, 3))
    for case in CASES
    if case.name in ("figure 10.3", "LSTM", "bidirectional", "skip through time")
}
OTHERS = {
    "one output": lambda: draw.unrolled(one_output(5)),
    "vector to sequence": lambda: draw.unrolled(vector_to_sequence(5)),
    "in the middle": lambda: draw.unrolled(by_hand(40), window=range(20, 24)),
    "gradients": lambda: draw.unrolled(with_cell(nn.LSTMCell)(5), gradients=True),
    "text": lambda: draw.unrolled(by_hand(5), text={"x": "hello", "y": "world"}),
    "initial": lambda: draw.unrolled(with_cell(nn.LSTMCell)(4), initial=True),
    "long names": lambda: draw.unrolled(long_names(4)),
}
TIMED = {**UNROLLED, **ELIDED, **OTHERS}
EVERY = {**CIRCUITS, **TIMED}


def long_names(steps: int) -> ts.Tensor:
    W = nn.Parameter(np.ones((I, I)), "weight_of_everything")
    h = np.zeros((2, I))
    for t in range(1, steps + 1):
        with ts.scope("step", t):
            x = ts.label(data(steps)[0][t - 1], "the input")
            h = ts.label(ops.tanh(x @ W + h), "a very long name of a hidden state")
    return h


@pytest.fixture(params=EVERY, scope="module")
def picture(request):
    return EVERY[request.param]()


@pytest.fixture(params=TIMED, scope="module")
def timed(request):
    return TIMED[request.param]()


def along(wire, count=60):
    """Points of a wire, with the tip of its arrow."""
    a, b, c, d = (np.array(p) for p in wire.curve)
    s = np.linspace(0, 1, count)[:, None]
    curve = (1 - s) ** 3 * a + 3 * (1 - s) ** 2 * s * b + 3 * (1 - s) * s**2 * c + s**3 * d
    return [*map(tuple, curve), *([wire.tip] if wire.tip else [])]


def box(note):
    w, h = note.text.width / 2, 0.35 * note.text.size
    return note.x - w, note.y - h, note.x + w, note.y + h


def texts(scene):
    return [*scene.notes, *(w.label for w in scene.wires if w.label)]


def test_columns_are_in_the_order_of_time(timed):
    x = {}
    for disc in timed.scene.discs:
        if disc.vertex.time is not None:
            assert x.setdefault(disc.vertex.time, disc.x) == disc.x
    places = [x[time] for time in sorted(x)]
    assert all(b - a >= 60 for a, b in pairwise(places))


def test_rows_are_straight_and_one_variable_each(picture):
    y = {}
    for disc in picture.scene.discs:
        assert y.setdefault(disc.vertex.label, disc.y) == disc.y
    assert len(set(y.values())) == len(y)


def test_no_node_overlaps_another(picture):
    for a, b in combinations(picture.scene.discs, 2):
        apart_x = abs(a.x - b.x) - (a.width + b.width) / 2
        apart_y = abs(a.y - b.y) - (a.height + b.height) / 2
        assert max(apart_x, apart_y) > 8


def test_no_wire_runs_through_a_node(picture):
    for wire in picture.scene.wires:
        ends = {wire.start, wire.end}
        for disc in picture.scene.discs:
            margin = -1.0 if disc.vertex.id in ends else 3.0
            assert not any(holds(disc, p, margin) for p in along(wire)), (wire.edge, disc.vertex.id)


def test_wires_join_what_they_say(picture):
    discs = {disc.vertex.id: disc for disc in picture.scene.discs}
    for wire in picture.scene.wires:
        if wire.start in discs:
            assert holds(discs[wire.start], wire.curve[0], 0.5)
        if wire.end in discs:
            assert holds(discs[wire.end], wire.tip, 0.5)
            assert dist(wire.tip, wire.curve[-1]) == pytest.approx(7.5, abs=0.3)


def test_every_edge_is_drawn(picture):
    drawn = {(w.edge.source, w.edge.target, w.edge.delay) for w in picture.scene.wires}
    assert {(e.source, e.target, e.delay) for e in picture.graph.edges} <= drawn


def test_every_parameter_is_written_on_its_edge(picture):
    written = {w.edge for w in picture.scene.wires if w.label}
    for edge in picture.graph.edges:
        assert (edge in written) == bool(edge.parameters)


def test_no_letter_stands_on_a_node(picture):
    for note in texts(picture.scene):
        left, low, right, high = box(note)
        for disc in picture.scene.discs:
            nearest = (min(max(disc.x, left), right), min(max(disc.y, low), high))
            assert not holds(disc, nearest, -0.5), (note.text, disc.vertex.id)


def test_no_letter_stands_on_another(picture):
    for a, b in combinations(map(box, texts(picture.scene)), 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_no_letter_is_crossed_by_a_wire(picture):
    for note in texts(picture.scene):
        left, low, right, high = box(note)
        for wire in picture.scene.wires:
            assert not any(left < x < right and low < y < high for x, y in along(wire)), note.text


def test_names_fit_into_their_nodes(picture):
    for disc in picture.scene.discs:
        assert disc.name.width < disc.width - 5


def test_delays_stand_beside_the_column():
    for make in CIRCUITS.values():
        scene = make().scene
        for square in scene.squares:
            assert not any(holds(d, (square.x, square.y), 10) for d in scene.discs)
        for a, b in combinations(scene.squares, 2):
            assert dist((a.x, a.y), (b.x, b.y)) > 20


def rows_of(picture):
    return [d.vertex.label for d in sorted(picture.scene.discs, key=lambda disc: disc.y)]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("figure 10.3", "x h o L y"),
        ("figure 10.4", "x h o L y"),
        ("figure 10.6", "x h o L y"),
        ("LSTM", "x c h o L y"),
        ("bidirectional", "x h g o L y"),
        ("two layers", "x h1 h2 o L y"),
    ],
)
def test_rows_stand_as_in_the_book(name, rows):
    (case,) = (case for case in CASES if case.name == name)
    assert rows_of(draw.circuit(case.run(3))) == rows.split()
    discs = draw.unrolled(case.run(3)).scene.discs
    column = sorted((d for d in discs if d.vertex.time == 2), key=lambda d: d.y)
    assert [d.vertex.label for d in column] == rows.split()


def test_the_last_output_stands_over_the_last_step():
    x = {d.vertex.id: d.x for d in draw.unrolled(one_output(5)).scene.discs}
    assert x["o"] == x["L"] == x["y"] == x["h(5)"]


def test_an_input_of_all_steps_stands_in_the_middle():
    x = {d.vertex.id: d.x for d in draw.unrolled(vector_to_sequence(5)).scene.discs}
    assert x["x"] == x["h(3)"]


def test_one_state_is_black_and_several_are_told_apart():
    plain = draw.circuit(by_hand(3)).scene
    assert {w.colour for w in plain.wires} == {"#000000"}
    lstm = draw.circuit(with_cell(nn.LSTMCell)(3)).scene
    recurring = {w.edge.source: w.colour for w in lstm.wires if w.edge.delay == 1}
    assert len({recurring["h"], recurring["c"], "#000000"}) == 3


@pytest.mark.parametrize("run", [by_hand, skip_through_time])
def test_a_delay_of_one_needs_no_number(run):
    notes = [note.text.plain for note in draw.circuit(run(4)).scene.notes]
    assert notes == (["2"] if run is skip_through_time else [])


def test_the_loop_of_a_reversed_recurrence_says_so():
    (case,) = (case for case in CASES if case.name == "bidirectional")
    assert [n.text.plain for n in draw.circuit(case.run(4)).scene.notes] == ["−1"]


def test_a_gap_says_how_many_steps_it_hides():
    scene = draw.unrolled(by_hand(40), window=(4, 3)).scene
    (note,) = scene.notes
    x = {d.vertex.time: d.x for d in scene.discs}
    assert "33 more steps" in note.text.base
    assert x[4] < note.x < x[38]
    stubs = [w for w in scene.wires if w.start is None or w.end is None]
    assert [(w.edge.source, w.edge.target) for w in stubs] == [("h(4)", "h(5)"), ("h(37)", "h(38)")]
    assert all(w.dashed for w in stubs)


def test_a_truncated_edge_is_dashed():
    (case,) = (case for case in CASES if case.name == "truncated")
    wires = draw.unrolled(case.run(4)).scene.wires
    assert [(w.edge.source, w.edge.target) for w in wires if w.dashed] == [("h(2)", "h(3)")]


def test_layout_does_not_depend_on_what_was_drawn_before():
    first = draw.unrolled(by_hand(4)).dot
    draw.circuit(with_cell(nn.LSTMCell)(3))
    assert draw.unrolled(by_hand(4)).dot == first


def test_a_thousand_steps_have_a_thousand_columns():
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), data(1000)[0])
    scene = draw.unrolled(hs, window="all").scene
    assert len({d.x for d in scene.discs}) == 1000
