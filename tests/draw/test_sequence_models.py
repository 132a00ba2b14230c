"""Runs of sequence models: forced inputs by their names, and only the losses that count."""

import numpy as np
import pytest

from draw.runs import H, I, K, N, data
from tinyseq import draw, nn

T = 4
FORCED = {"x -U-> h", "y -R-> h (delay 1)", "h -V-> o", "o -> L", "y -> L"}


@pytest.mark.parametrize("hidden_recurrence", [False, True])
@pytest.mark.parametrize("same", [True, False], ids=["the same array", "a view of it"])
def test_a_forced_target_is_one_variable(hidden_recurrence: bool, same: bool):
    """Figures 10.6 and 10.10: the next step reads the y(t) of the loss, as a one-hot vector."""
    xs, ys = data(T)
    cell = nn.OutputRecurrentCell(I, H, K, hidden_recurrence, seed=0)
    loss, _ = nn.SequenceModel(cell).loss(nn.Forced(xs, ys), ys if same else ys[:])
    expected = FORCED | ({"h -W-> h (delay 1)"} if hidden_recurrence else set())
    assert set(str(draw.circuit(loss).graph).splitlines()) == expected
    assert {v.label for v in draw.unrolled(loss).graph.vertices} == {"x", "y", "h", "o", "L"}


def test_a_forced_run_without_a_loss():
    xs, ys = data(T)
    outputs, _ = nn.SequenceModel(nn.OutputRecurrentCell(I, H, K, seed=0))(nn.Forced(xs, ys))
    graph = draw.circuit(outputs).graph
    assert {"x", "h", "o"} <= {v.label for v in graph.vertices}
    assert not any(len(v.label) > 1 for v in graph.vertices)


def masked(*counts: bool):
    xs, ys = data(len(counts))
    model = nn.SequenceModel(nn.ElmanCell(I, H, seed=0), nn.Linear(H, K, seed=1))
    mask = np.array(counts)[:, None] & np.ones((len(counts), N), bool)
    return model, xs, ys, mask


@pytest.mark.parametrize("counts", [(False,) * 5 + (True,), (True, False, True, True, False, True)])
def test_a_step_that_does_not_count_has_no_loss(counts: tuple[bool, ...]):
    model, xs, ys, mask = masked(*counts)
    loss, _ = model.loss(xs, ys, mask=mask)
    graph = draw.unrolled(loss, gradients=True).graph
    steps = {t for t, one in enumerate(counts, 1) if one}
    for label in ("L", "o", "y"):
        assert {v.time for v in graph.vertices if v.label == label} == steps
    assert all(v.grad == 1 for v in graph.vertices if v.label == "L")
    assert len(draw.circuit(loss).graph.vertices) == 5


def test_leaving_losses_out_changes_no_number():
    model, xs, ys, mask = masked(False, True, False, True)
    found = []
    for literal in (True, False):
        model.zero_grad()
        loss, _ = model.loss(xs, ys, mask=mask, literal=literal)
        loss.backward()
        found.append([loss.data, *(p.grad for p in model.parameters())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_loss_that_counts_for_some_sequences_is_drawn():
    model, xs, ys, mask = masked(True, True, True)
    mask[1, 0] = False
    graph = draw.unrolled(model.loss(xs, ys, mask=mask)[0]).graph
    assert [v.time for v in graph.vertices if v.label == "L"] == [1, 2, 3]


def test_without_any_loss_that_counts_the_run_is_drawn_as_it_is():
    model, xs, ys, mask = masked(False, False)
    loss, _ = model.loss(xs, ys, mask=mask)
    grads = {v.id: v.grad for v in draw.unrolled(loss, gradients=True).graph.vertices}
    assert loss.item() == 0 and grads["o(2)"] == grads["h(1)"] == 0
