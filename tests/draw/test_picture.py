"""draw.circuit and draw.unrolled: windows, initial states, what a Picture can do."""

import subprocess
import sys
import time

import numpy as np
import pytest

import tinyseq as ts
from draw.runs import H, I, N, by_hand, data, with_cell
from tinyseq import draw, nn, ops
from tinyseq.errors import DrawError, GraphError
from tinyseq.recurrence import unroll


def shown(picture) -> list[int]:
    return sorted({v.time for v in picture.graph.vertices if v.time is not None})


@pytest.mark.parametrize(
    ("steps", "window", "times"),
    [
        (12, None, list(range(1, 13))),
        (13, None, [1, 2, 3, 12, 13]),
        (30, (1, 1), [1, 30]),
        (30, (0, 2), [29, 30]),
        (30, (2, 0), [1, 2]),
        (5, (9, 9), [1, 2, 3, 4, 5]),
        (30, "all", list(range(1, 31))),
        (30, range(10, 13), [10, 11, 12]),
        (30, [4, 8], [4, 8]),
        (30, {30, 31, 99}, [30]),
    ],
)
def test_window(steps, window, times):
    picture = draw.unrolled(by_hand(steps), window=window)
    assert shown(picture) == times
    assert picture.graph.times == tuple(range(1, steps + 1))
    edges = {(e.source, e.target) for e in picture.graph.edges}
    for t in times:
        assert {(f"x({t})", f"h({t})"), (f"y({t})", f"L({t})")} <= edges
        assert ((f"h({t - 1})", f"h({t})") in edges) == (t - 1 in times)
    cut = {(e.source, e.target) for e in picture.graph.cut}
    ends = {t for t in times if t - 1 not in times and t > 1}
    starts = {t + 1 for t in times if t + 1 not in times and t < steps}
    assert cut == {(f"h({t - 1})", f"h({t})") for t in ends | starts}


@pytest.mark.parametrize("window", ["some", 5, (1.5, 2), (-1, 2), (0, 0), [99]])
def test_an_odd_window_is_refused(window):
    with pytest.raises(DrawError, match="window"):
        draw.unrolled(by_hand(3), window=window)


def initial_ids(picture) -> list[str]:
    return [v.id for v in picture.graph.vertices if v.kind == "initial"]


def test_initial_states_are_shown_if_they_carry_something():
    xs, _ = data(3)
    cell = nn.ElmanCell(I, H, seed=0)
    for state, ids in ((None, []), (np.zeros((N, H)), []), (np.ones((N, H)), ["h(0)"])):
        hs, _ = unroll(cell, xs, state)
        assert initial_ids(draw.unrolled(hs)) == ids
        assert initial_ids(draw.unrolled(hs, initial=True)) == ["h(0)"]
        assert initial_ids(draw.unrolled(hs, initial=False)) == []
    hs, _ = unroll(nn.LearnedInitialState(cell), xs)
    picture = draw.unrolled(hs)
    assert initial_ids(picture) == ["h(0)"]
    assert ("h(0)", "h(1)", ("W",)) in {
        (e.source, e.target, e.parameters) for e in picture.graph.edges
    }
    (disc,) = (d for d in picture.scene.discs if d.vertex.kind == "initial")
    assert disc.is_dashed
    assert disc.x < min(d.x for d in picture.scene.discs if d is not disc)


def test_the_initial_state_of_a_reversed_recurrence_stands_at_the_right():
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), data(3)[0], np.ones((N, H)), reverse=True)
    discs = draw.unrolled(hs).scene.discs
    (initial,) = (d for d in discs if d.vertex.kind == "initial")
    assert initial.x > max(d.x for d in discs if d is not initial)


def test_the_state_of_an_encoder_is_no_initial_state():
    xs, _ = data(3)
    _, h = unroll(nn.ElmanCell(I, H, seed=0), xs)
    ss, _ = unroll(nn.ElmanCell(I, H, seed=1), xs, h, names={"h": "s"})
    assert initial_ids(draw.unrolled(ss)) == []


def test_a_picture_shows_itself_in_a_notebook():
    picture = draw.circuit(by_hand(3))
    bundle = picture._repr_mimebundle_()
    assert bundle["image/svg+xml"].lstrip().startswith("<?xml")
    assert "5 variables" in bundle["text/plain"]


def test_a_circuit_is_the_same_for_every_length():
    assert draw.circuit(by_hand(4)).dot == draw.circuit(by_hand(50)).dot


def test_a_run_without_steps_is_drawn_as_it_is():
    x = ts.label(np.ones((N, I)), "x")
    h = ts.label(ops.tanh(ops.linear(x, nn.Parameter(np.ones((H, I)), "U"))), "h")
    picture = draw.unrolled(h)
    assert str(picture.graph) == "x -U-> h"
    x, h = picture.scene.discs
    assert x.x == h.x and x.y < h.y


@pytest.mark.parametrize("detail", ["op", "Variables", "", None])
def test_other_levels_of_detail_are_refused(detail):
    for view in (draw.circuit, draw.unrolled):
        with pytest.raises(DrawError, match="variables"):
            view(by_hand(3), detail=detail)


def test_too_many_nodes_are_refused_before_they_are_laid_out():
    with pytest.raises(DrawError, match="window="):
        draw.unrolled(by_hand(4_100), window="all")


def test_a_run_under_no_grad_is_refused():
    with ts.no_grad():
        loss = by_hand(3)
    for view in (draw.circuit, draw.unrolled):
        with pytest.raises(GraphError, match="no_grad"):
            view(loss)


def test_a_state_without_a_label_is_an_error_and_not_a_hang():
    W, h, outputs = nn.Parameter(np.eye(H), "W"), np.zeros((N, H)), []
    for t in range(1, 801):
        with ts.scope("step", t):
            h = ops.tanh(ts.label(np.ones((N, H)), "x") + h @ W)
            outputs.append(ts.label(h * 2, "o"))
    with pytest.raises(DrawError, match=r"ts\.label\(h, 'h'\)"):
        draw.unrolled(outputs, window="all")


def test_thousands_of_steps_are_elided_in_seconds():
    loss = by_hand(4_000)
    start = time.process_time()
    picture = draw.unrolled(loss, gradients=True)
    draw.circuit(loss)
    assert time.process_time() - start < 8
    assert shown(picture) == [1, 2, 3, 3_999, 4_000]


def test_a_thousand_steps_of_an_lstm_are_laid_out_in_seconds():
    loss = with_cell(nn.LSTMCell)(1000)
    start = time.process_time()
    picture = draw.unrolled(loss, window="all")
    svg = picture.render("svg", time_limit=60)
    assert time.process_time() - start < 8
    assert svg.count(b"<ellipse") == 6000


def test_importing_the_package_needs_no_plotting_library():
    code = "import sys, tinyseq.draw; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_folder_that_is_not_there_is_told_before_anything_is_drawn(tmp_path):
    path = tmp_path / "nodir" / "a.svg"
    with pytest.raises(DrawError, match="there is no folder .*nodir"):
        draw.unrolled(by_hand(2)).save(path, engine="no such engine either")
