"""Pictures of a compiled run: there are no steps in it to draw, and it says so."""

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import draw, nn
from tinyseq.errors import TinyseqError

XS = np.random.default_rng(0).normal(size=(5, 2, 3))


def losses(cell: nn.Cell) -> tuple[ts.Tensor, ts.Tensor]:
    """Of the outputs, and of the final state."""
    ys, state = ts.unroll(cell, XS)
    return (ys * ys).sum(), (state.c * state.c).sum()


@pytest.mark.parametrize("picture", [draw.circuit, draw.unrolled])
def test_a_compiled_run_says_that_it_was_compiled_and_what_to_do(picture):
    for loss in losses(ts.compile(nn.LSTMCell(3, 4).to(np.float64))):
        with pytest.raises(TinyseqError, match="compiled") as caught:
            picture(loss).graph  # noqa: B018
        assert "unroll" in str(caught.value)


@pytest.mark.parametrize("picture", [draw.circuit, draw.unrolled])
def test_a_layer_and_a_model_say_so_too(picture):
    layer = ts.compile(nn.LSTM(3, 4).to(np.float64))
    model = ts.compile(nn.SequenceModel(nn.GRUCell(3, 4), nn.Linear(4, 2)).to(np.float64))
    targets = np.zeros((5, 2), int)
    for loss in (layer(XS)[0].sum(), model.loss(XS, targets, literal=False)[0]):
        with pytest.raises(TinyseqError, match="compiled"):
            picture(loss).graph  # noqa: B018


def test_the_literal_loss_of_a_compiled_model_is_drawn_as_ever():
    model = nn.SequenceModel(nn.GRUCell(3, 4), nn.Linear(4, 2)).to(np.float64)
    targets = np.zeros((5, 2), int)
    pictures = [
        draw.circuit(m.loss(XS, targets, literal=True)[0]).graph for m in (ts.compile(model), model)
    ]
    drawn = [sorted(v.label for v in graph.vertices) for graph in pictures]
    assert drawn[0] == drawn[1]
    assert len(pictures[0].edges) == len(pictures[1].edges) > 0


def test_the_original_is_drawn_after_its_compiled_cell_has_run():
    cell = nn.LSTMCell(3, 4).to(np.float64)
    before = draw.circuit(losses(cell)[0]).graph
    fast = ts.compile(cell)
    losses(fast)
    after = draw.circuit(losses(cell)[0]).graph
    assert [v.label for v in after.vertices] == [v.label for v in before.vertices]
    assert [v.scope for v in after.vertices] == [v.scope for v in before.vertices]
