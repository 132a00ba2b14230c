"""Circuits are what the book's figures state, whatever the number of steps."""

import numpy as np
import pytest

import tinyseq as ts
from draw.runs import CASES, H, I, K, N, as_networkx, data, same, unrolled_again, wiring
from tinyseq import nn, ops
from tinyseq.draw import contract, extract, fold
from tinyseq.errors import DrawError, FoldError
from tinyseq.recurrence import unroll


@pytest.mark.parametrize("case", CASES, ids=repr)
@pytest.mark.parametrize("steps", [3, 5, 9])
def test_circuit_is_the_figures(case, steps):
    assert same(wiring(contract(fold(extract(case.run(steps))))), case.circuit)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_unrolling_the_circuit_gives_the_run(case):
    run = wiring(contract(extract(case.run(6))))
    assert same(run, unrolled_again(case.circuit, 6))
    assert len(run) == len(unrolled_again(case.circuit, 6))


def test_the_comparison_sees_a_wrong_parameter_delay_or_edge():
    right = CASES[0].circuit
    for k, (source, letter, target, delay) in enumerate(right):
        for wrong in ((source, letter + "Z", target, delay), (source, letter, target, delay + 1)):
            assert not same(right, [*right[:k], wrong, *right[k + 1 :]])
        assert not same(right, right[:k] + right[k + 1 :])


def test_every_operation_is_folded():
    run = extract(CASES[0].run(7))
    circuit = fold(run)
    assert sorted(k for v in circuit.vertices for k in v.members) == list(range(len(run.vertices)))
    in_steps = [v for v in circuit.vertices if v.loop is not None and v.kind != "initial"]
    assert {len(v.members) for v in in_steps} == {7}
    linear = next(v for v in in_steps if v.op == "linear" and v.inputs[0].delay == 1)
    assert circuit.vertices[linear.inputs[0].source].label == "h"
    ((argument, source),) = linear.initial
    assert argument == 0 and circuit.vertices[source].kind == "initial"


def test_wiring_of_one_step_cannot_be_folded():
    with pytest.raises(FoldError, match="two or more time steps"):
        fold(extract(CASES[0].run(1)))


def test_without_steps_there_is_nothing_to_fold():
    h = ts.label(ops.tanh(ts.tensor(np.ones(3), requires_grad=True)), "h")
    with pytest.raises(FoldError, match="ts.unroll"):
        fold(extract(h))


def _hand_run(step, steps=6):
    """A recurrence of ``step(t, x, h, W) -> h`` over labelled inputs."""
    W = nn.Parameter(np.eye(H) * 0.5, "W")
    U = nn.Parameter(np.ones((H, I)), "U")
    h, hs = np.zeros((N, H)), []
    for t, x in enumerate(data(steps)[0], 1):
        with ts.scope("step", t):
            h = ts.label(step(t, ts.label(x, "x") @ U.T, h @ W.T), "h")
            hs.append(h)
    return hs


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda t, a, b: ops.relu(a + b) if t == 4 else ops.tanh(a + b), "relu.*tanh|tanh.*relu"),
        (lambda t, a, b: ops.tanh(a + b) * 2 if t == 4 else ops.tanh(a + b), "step 4"),
        (lambda t, a, b: ops.tanh(a) if t == 4 else ops.tanh(a + b), "step"),
        (lambda t, a, b: ops.tanh(b + a if t == 3 else a + b), "add of step"),
        (lambda t, a, b: ops.stack([a] * (t % 2) + [b, a]).sum(0), "reads 2 values.*reads 3|3.*2"),
    ],
)
def test_steps_that_differ_are_an_error_that_shows_where(step, words):
    with pytest.raises(FoldError, match=words) as error:
        fold(extract(_hand_run(step)))
    assert "draw.unrolled" in str(error.value)
    assert len(contract(extract(_hand_run(step))).vertices) == 12


def test_a_state_that_is_reset_in_the_middle_is_an_error():
    W, h, hs = nn.Parameter(np.eye(H) * 0.5, "W"), np.zeros((N, H)), []
    for t in range(1, 7):
        with ts.scope("step", t):
            h = np.zeros((N, H)) if t == 4 else h
            h = ts.label(ops.tanh(h @ W + ts.label(np.ones((N, H)) * t, "x")), "h")
            hs.append(h)
    with pytest.raises(FoldError, match="step 4 reads a constant"):
        fold(extract(hs))


def test_a_loss_of_some_steps_only_can_be_folded():
    xs, ys = data(9)
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), xs, as_list=True)
    V = nn.Parameter(np.ones((5, H)), "V")
    losses = []
    for t in (2, 5, 8):
        with ts.scope("step", t + 1):
            o = ts.label(ops.linear(hs[t], V), "o")
            losses.append(ts.label(nn.cross_entropy(o, ts.label(ys[t], "y")), "L"))
    circuit = contract(fold(extract(losses)))
    assert same(wiring(circuit), CASES[0].circuit)


def test_interleaved_creation_numbers_do_not_matter():
    """As when another thread makes nodes in between: the order of operations decides."""

    def step(t, a, b):
        for _ in range(t * t % 5):
            ts.tensor(np.ones(1), requires_grad=True)  # takes a number
        return ops.tanh(a + b)

    circuit = contract(fold(extract(_hand_run(step))))
    assert sorted(wiring(circuit)) == [("h", "W", "h", 1), ("x", "U", "h", 0)]


def test_a_module_called_twice_in_a_step_is_two_places():
    class Twice(nn.Cell):
        def __init__(self):
            self.hidden_size = H
            self.inner = nn.Linear(H, H, symbol="W", seed=0)

        def __call__(self, x, h):
            h = ops.tanh(self.inner(ops.tanh(self.inner(h))) + x)
            return h, h

    rng = np.random.default_rng(0)
    hs, _ = unroll(Twice(), rng.normal(size=(4, N, H)))
    circuit = fold(extract(hs))
    assert sum(v.op == "linear" for v in circuit.vertices) == 2
    assert same(wiring(contract(circuit)), [("x", "", "h", 0), ("h", "W", "h", 1)])


def test_encoder_and_decoder_are_two_recurrences():
    xs, ys = data(5)
    _, h = unroll(nn.ElmanCell(I, H, seed=0), xs)
    ss, _ = unroll(nn.ElmanCell(I, H, seed=1), xs[:3], h, names={"h": "s", "x": "z"})
    graph = contract(fold(extract(ss)))
    assert ("h", "W_s", "s", None) in wiring(graph)
    assert ("s", "W_s", "s", 1) in wiring(graph)
    unrolled = contract(extract(ss))
    assert [e for e in unrolled.edges if (e.source, e.target) == ("h(5)", "s(1)")]


def test_a_context_that_every_step_reads_is_one_particular_step():
    xs, _ = data(5)
    _, context = unroll(nn.ElmanCell(I, H, seed=0), xs)
    W, C = nn.Parameter(np.eye(H), "W"), nn.Parameter(np.eye(H), "C")

    def step(_, s):
        s = ops.tanh(ops.linear(s, W) + ops.linear(context, C))
        return s, s

    ss, _ = unroll(step, None, np.zeros((N, H)), length=4, names={"h": "s"})
    graph = contract(fold(extract(ss)))
    assert ("h", "C", "s", None) in wiring(graph)


def test_a_state_without_a_label_is_an_error_in_the_circuit():
    W, U = nn.Parameter(np.eye(H), "W"), nn.Parameter(np.ones((H, I)), "U")
    h, outputs = np.zeros((N, H)), []
    for t, x in enumerate(data(6)[0], 1):
        with ts.scope("step", t):
            h = ops.tanh(ts.label(x, "x") @ U.T + h @ W.T)
            outputs.append(ts.label(h * 2, "o"))
    with pytest.raises(DrawError, match="ts.label"):
        contract(fold(extract(outputs)))


def test_isomorphism_helper_labels_every_node():
    graph = as_networkx(CASES[0].circuit)
    assert {graph.nodes[n]["label"] for n in graph} == {"x", "h", "o", "L", "y"}


def test_a_step_that_lacks_one_of_two_values_of_a_label_keeps_the_name_of_the_other():
    """The last target that is fed back is read by no step; the one to compare with is the other."""
    xs, ys = data(4)
    model = nn.SequenceModel(nn.OutputRecurrentCell(I, H, K, seed=0))
    loss, _ = model.loss(nn.Forced(xs, ys), np.roll(ys, 1, 1))
    circuit = contract(fold(extract(loss)))
    assert [v.id for v in circuit.vertices] == ["x", "y1", "y2", "h", "o", "L"]
    assert {("y1", "R", "h", 1), ("y2", "", "L", 0)} <= set(wiring(circuit))
    unrolled = contract(extract(loss))
    compared = {e.source for e in unrolled.edges if e.target.startswith("L") and e.source[0] == "y"}
    assert compared == {f"y2({t})" for t in (1, 2, 3, 4)}
