"""Recurrences that go along share their columns; one that follows another stands behind it."""

import numpy as np

import tinyseq as ts
from draw.runs import H, I, K, N, bidirectional, data, readout
from tinyseq import draw, nn, ops
from tinyseq.draw import extract
from tinyseq.draw.columns import columns, shown_columns
from tinyseq.recurrence import unroll


def encoder_decoder(read=5, written=3):
    """The last state of one recurrence is the first of another."""
    _, h = unroll(nn.ElmanCell(I, H, seed=0), data(read)[0])
    ss, _ = unroll(nn.ElmanCell(I, H, seed=1), data(written)[0], h, names={"h": "s", "x": "z"})
    return ss


def attention(read=4, written=3):
    """Every step of the second recurrence reads all steps of the first."""
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), data(read)[0])
    W = nn.Parameter(np.eye(H), "W")

    def step(_, s):
        s = ops.tanh(ops.linear(s, W) + ops.sum(ops.softmax(s * hs, 0) * hs, 0))
        return s, s

    return unroll(step, None, np.ones((N, H)), length=written, names={"h": "s"})[0]


def times(run):
    return [sorted({time for _, time in column}) for column in columns(extract(run))]


def test_a_decoder_stands_behind_its_encoder():
    assert times(encoder_decoder()) == [[1], [2], [3], [4], [5], [1], [2], [3]]
    assert times(attention()) == [[1], [2], [3], [4], [1], [2], [3]]


def test_what_goes_along_shares_columns():
    assert times(bidirectional(4)) == [[1], [2], [3], [4]]
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), data(1)[0], as_list=True)
    assert times(readout(hs, data(1)[1])) == [[1]]
    hs, _ = nn.RNN(I, H, num_layers=3, seed=0)(data(5)[0])
    assert times(hs) == [[1], [2], [3], [4], [5]]


def test_a_readout_of_some_steps_shares_their_columns():
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), data(5)[0], as_list=True)
    with ts.scope("step", 4):
        a = ts.label(nn.Linear(H, K)(hs[3]), "o")
    with ts.scope("step", 5):
        b = ts.label(nn.Linear(H, K)(hs[4]), "o")
    assert times([a, b]) == [[1], [2], [3], [4], [5]]


def test_no_column_is_shared_in_the_picture():
    for detail in ("variables", "ops"):
        discs = draw.unrolled(encoder_decoder(), detail=detail).scene.discs
        right = max(d.x for d in discs if d.vertex.id in ("h(5)", "x(5)"))
        decoder = [d for d in discs if d.vertex.label in ("s", "z")]
        assert len(decoder) == 6
        assert all(d.x > right + 60 for d in decoder if d.vertex.label == "s")


def test_gaps_are_counted_for_each_recurrence():
    picture = draw.unrolled(encoder_decoder(20, 12), window=(2, 1))
    found = [c for c in shown_columns(picture.graph) if isinstance(c, int)]
    assert sum(found) + len(shown_columns(picture.graph)) - len(found) == 32
    notes = [note.text.plain for note in picture.scene.notes]
    assert notes == [f"··· {count} more steps ···" for count in found]


def test_delays_stand_before_the_recurrence_that_reads_them():
    scene = draw.circuit(encoder_decoder(), detail="ops").scene
    x = {d.vertex.id: d.x for d in scene.discs}
    squares = {w.edge.source: w.end.x for w in scene.wires if w.end in scene.squares}
    assert squares["h"] < x["h"] <= squares["s"] < x["s"]
