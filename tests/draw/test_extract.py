"""From a run to plain records: what is a variable, of which step, under which name."""

import gc
import weakref

import numpy as np
import pytest

import tinyseq as ts
from draw.runs import H, I, N, by_hand, data, one_output, vector_to_sequence, wiring, with_cell
from tinyseq import nn, ops
from tinyseq.draw import contract, extract
from tinyseq.errors import DrawError, GraphError
from tinyseq.recurrence import unroll


def labels(run) -> set:
    return {v.variable for v in run.vertices if v.variable}


def test_records_are_in_order_and_point_back():
    run = extract(with_cell(nn.ElmanCell)(3))
    for k, v in enumerate(run.vertices):
        assert v.id == k
        assert all(p is None or p < k for p in v.parents)
    h = next(v for v in run.vertices if v.label == "h" and v.time == 2)
    assert (h.op, h.kind, h.shape, h.loop) == ("tanh", "variable", (N, H), 0)
    assert h.place[-1] == "cell"
    letters = {v.symbol for v in run.vertices if v.kind == "parameter"}
    assert letters == {"U", "W", "V", "b_1", "b_2", "c"}
    assert run.loops[0].times == (0, 1, 2, 3)


def test_outputs_may_be_nested():
    x = ts.tensor(np.ones(2), requires_grad=True)
    a, b, c = (ts.label(x * k, name) for k, name in enumerate("abc", 2))
    assert labels(extract({"one": a, "rest": [b, (c,)]})) == {"a", "b", "c"}
    assert labels(extract([a, b])) == {"a", "b"}


@pytest.mark.parametrize(
    "outputs", [1.5, np.ones(3), [], {}, "loss", nn.Linear(2, 2), [np.ones(2)], None]
)
def test_what_is_no_tensor_is_refused(outputs):
    with pytest.raises(DrawError, match="Tensor|nothing to draw"):
        extract(outputs)


def test_what_was_not_recorded_is_refused():
    with ts.no_grad():
        loss = with_cell(nn.ElmanCell)(3)
    with pytest.raises(GraphError, match="no_grad"):
        extract(loss)
    with pytest.raises(GraphError, match="detached"):
        extract(with_cell(nn.ElmanCell)(3).detach())


def test_a_run_without_labels_says_what_to_do():
    x = ts.tensor(np.ones(2), requires_grad=True)
    with pytest.raises(DrawError, match="ts.label"):
        contract(extract(x * 2))


def test_shared_learned_leaves_are_parameters_whatever_their_label():
    assert labels(extract(by_hand(3))) == {"x", "h", "o", "L", "y"}


def test_an_input_that_all_steps_read_is_a_variable_without_a_time():
    run = extract(vector_to_sequence(3))
    (x,) = (v for v in run.vertices if v.label == "x")
    assert (x.time, x.kind) == (None, "input")


def test_the_total_of_the_losses_is_left_out():
    total = ts.label(by_hand(4), "L")
    assert len([v for v in extract(total).vertices if v.variable == "L"]) == 4


def test_a_single_loss_is_no_total():
    assert "L" in labels(extract(one_output(3)))


def test_an_element_of_a_stack_is_that_element():
    edges = wiring(contract(extract(one_output(4))))
    assert [s for s, _, t, _ in edges if t == "o"] == ["h(4)"]


def test_an_input_that_two_recurrences_read_is_one():
    xs, _ = data(3)
    hs, _ = nn.RNN(I, H, bidirectional=True, seed=0)(xs)
    run = extract(hs)
    assert labels(run) == {"x", "h", "g"}
    assert sum(v.variable == "x" for v in run.vertices) == 3


def test_the_same_array_at_several_times_is_several_inputs():
    x = data(1)[0][0]
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), [x, x, x])
    assert sum(v.variable == "x" for v in extract(hs).vertices) == 3


def test_slices_of_a_sequence_belong_to_the_steps_that_read_them():
    xs = ts.tensor(data(3)[0], requires_grad=True)
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), xs * 2)
    inputs = [v for v in extract(hs).vertices if v.variable == "x"]
    assert [v.time for v in inputs] == [1, 2, 3]


def test_two_variables_of_one_label_are_numbered():
    x = ts.label(ts.tensor(np.ones((N, I)), requires_grad=True), "x")
    W = nn.Parameter(np.ones((I, I)), "W")
    for t in (1, 2):
        with ts.scope("step", t):
            a = ts.label(ops.tanh(ops.linear(x, W)), "h")
            b = ts.label(ops.tanh(ops.linear(a, W)), "h")
    assert labels(extract(b)) == {"x", "h1", "h2"}


def test_a_value_that_is_only_encoded_anew_is_the_same_variable():
    W = nn.Parameter(np.ones((H, 5)), "W")
    for t in (1, 2):
        with ts.scope("step", t):
            y = ts.label(np.array([1, 2]), "y")
            y = ts.label(ops.take(np.eye(5), y), "y")
            h = ts.label(ops.linear(y, W), "h")
    graph = contract(extract(h))
    assert wiring(graph) == [("y(2)", "W", "h(2)", 0)]


@pytest.mark.parametrize("steps", [2, 5])
def test_initial_states_stand_before_the_first_step(steps):
    xs, _ = data(steps)
    start = nn.Parameter(np.zeros((1, H)))
    cell = nn.ElmanCell(I, H, seed=0)
    given = ts.label(ts.tensor(np.ones((N, H)), requires_grad=True), "h")
    for state in (None, np.ones((N, H)), ops.broadcast_to(start, (N, H)), given):
        hs, _ = unroll(cell, xs, state)
        initial = [v for v in extract(hs).vertices if v.kind == "initial"]
        assert [(v.variable, v.time) for v in initial] == [("h", 0)]
    hs, _ = unroll(cell, xs, reverse=True)
    (initial,) = (v for v in extract(hs).vertices if v.kind == "initial")
    assert initial.time == steps + 1


def test_an_initial_state_outside_the_steps_is_one_too():
    h = ts.label(ts.tensor(np.ones((N, I)), requires_grad=True), "h")
    W = nn.Parameter(np.ones((I, I)), "W")
    for t in (1, 2, 3):
        with ts.scope("step", t):
            h = ts.label(ops.tanh(ops.linear(h, W)), "h")
    vertices = [v for v in extract(h).vertices if v.variable]
    assert [(v.variable, v.time, v.kind) for v in vertices] == [
        ("h", 0, "initial"), ("h", 1, "variable"), ("h", 2, "variable"), ("h", 3, "variable"),
    ]  # fmt: skip


def test_steps_may_be_numbered_from_zero():
    W = nn.Parameter(np.ones((I, I)), "W")
    h = np.zeros((N, I))
    for t in range(3):
        with ts.scope("step", t):
            h = ts.label(ops.tanh(ops.linear(h, W) + ts.label(data(3)[0][t], "x")), "h")
    vertices = [v for v in extract(h).vertices if v.variable]
    assert {v.kind for v in vertices} == {"variable", "input"}
    assert {v.time for v in vertices} == {0, 1, 2}


def test_truncation_moves_the_cut_off_state_to_the_step_before():
    xs, _ = data(4)
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), xs, detach_every=2)
    graph = contract(extract(hs))
    assert [(e.source, e.target) for e in graph.edges if e.detached] == [("h(2)", "h(3)")]
    assert len([v for v in graph.vertices if v.label == "h"]) == 4


def test_a_step_opened_twice_is_one_step():
    W, h = nn.Parameter(np.ones((I, I)), "W"), np.zeros((N, I))
    for t in (1, 2, 3):
        with ts.scope("step", t):
            h = ts.label(ops.tanh(ops.linear(h, W) + ts.label(data(3)[0][t - 1], "x")), "h")
        with ts.scope("step", t):
            o = ts.label(ops.linear(h, W), "o")
    run = extract([o, h])
    assert len(run.loops) == 1
    assert run.loops[0].times == (1, 2, 3)


def test_thousands_of_steps_without_recursion():
    run = extract(by_hand(4_000))
    assert len([v for v in run.vertices if v.variable == "h"]) == 4_000


def test_nothing_of_the_run_is_kept_alive():
    loss = by_hand(3)
    run = extract(loss)
    h = next(v.id for v in run.vertices if v.label == "h")
    array = weakref.ref(run.values[h])
    graph = contract(run)
    del loss, run
    gc.collect()
    assert array() is None
    assert len(graph.vertices) == 15


def test_values_on_request():
    run = extract(by_hand(3))
    values = {v.id: v.value for v in contract(run, values=True).vertices}
    np.testing.assert_array_equal(values["x(2)"], data(3)[0][1])


def test_records_can_be_printed():
    graph = contract(extract(by_hand(2)))
    assert "h(1) -W-> h(2) (delay 1)" in str(graph)
    assert "RunVertex(id=0" in repr(extract(by_hand(2)).vertices[0])


def test_an_embedding_and_its_tokens(xp):
    ids = xp.asarray([[0, 1], [2, 3]])
    embed = nn.Embedding(5, I, seed=0).to("cupy" if xp is not np else "numpy")
    hs = []
    for t in (1, 2):
        with ts.scope("step", t):
            hs.append(ts.label(ops.tanh(embed(ts.label(ids[t - 1], "x"))), "h"))
    assert ("x(2)", "E", "h(2)", 0) in wiring(contract(extract(hs)))
