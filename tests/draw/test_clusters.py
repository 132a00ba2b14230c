"""Modules that follow each other, encoder and decoder, each in a titled box."""

import re

import numpy as np
import pytest

import tinyseq as ts
from draw.runs import H, I, K, bidirectional, data, two_layers
from tinyseq import draw, nn, ops
from tinyseq.draw.curves import sampled
from tinyseq.recurrence import unroll


class Translator(nn.Module):
    """An encoder, of any kind, and a decoder that starts from its last state."""

    def __init__(self, encoder=None, attends=False):
        self.encoder = encoder or nn.ElmanCell(I, H, seed=0)
        self.decoder = nn.ElmanCell(H, H, seed=1)
        self.readout = nn.Linear(H, K, seed=2)
        self.attends = attends

    def __call__(self, xs, steps):
        if isinstance(self.encoder, nn.Cell):
            hs, _ = unroll(self.encoder, xs)
        else:
            hs, _ = self.encoder(xs)
            hs = hs[:, :, :H]

        def step(x, s):
            return self.decoder(ops.mean(hs, 0) if self.attends else s, s)

        return unroll(step, None, hs[-1], length=steps, names={"h": "s"}, as_list=True)[0]


def run(encoder=None, attends=False, steps=4):
    ss = Translator(encoder, attends)(data(5)[0], steps)
    losses = []
    for t, s in enumerate(ss, 1):
        with ts.scope("step", t):
            losses.append(ts.label(ops.mean(s * s), "L"))
    return losses


RUNS = {
    "plain": run,
    "attends": lambda: run(attends=True),
    "two directions": lambda: run(nn.LSTM(I, H, bidirectional=True, seed=0)),
    "two layers": lambda: run(nn.GRU(I, H, num_layers=2, seed=0)),
    "elided": lambda: run(steps=30),
}
VIEWS = {"circuit": draw.circuit, "unrolled": draw.unrolled}


@pytest.fixture(params=[(name, view) for name in RUNS for view in VIEWS], ids=" ".join)
def picture(request):
    name, view = request.param
    return VIEWS[view](RUNS[name]())


def stands_in(disc, frame) -> bool:
    return (
        frame.left < disc.x - disc.width / 2 and disc.x + disc.width / 2 < frame.right
        and frame.lower < disc.y - disc.height / 2 and disc.y + disc.height / 2 < frame.upper
    )  # fmt: skip


def test_every_variable_stands_in_the_box_of_its_module_and_in_no_other(picture):
    title = dict(picture.graph.titles)
    frames = {frame.title.text.base: frame for frame in picture.scene.frames}
    assert set(frames) == set(title.values()) == {"encoder", "decoder"}
    for disc in picture.scene.discs:
        around = {name for name, frame in frames.items() if stands_in(disc, frame)}
        assert around == ({title[disc.vertex.loop]} if disc.vertex.loop in title else set())


def test_boxes_do_not_overlap_and_hold_their_own_loops(picture):
    one, other = picture.scene.frames
    assert (
        one.right < other.left or other.right < one.left
        or one.upper < other.lower or other.upper < one.lower
    )  # fmt: skip
    title = dict(picture.graph.titles)
    loop = {disc.vertex.id: disc.vertex.loop for disc in picture.scene.discs}
    for frame in picture.scene.frames:
        for wire in picture.scene.wires:
            ends = {title.get(loop.get(end)) for end in (wire.edge.source, wire.edge.target)}
            if ends == {frame.title.text.base}:
                for x, y in sampled(wire.curve):
                    assert frame.left < x < frame.right and frame.lower < y < frame.upper


def test_titles_are_in_nobodys_way(picture):
    for frame in picture.scene.frames:
        note = frame.title
        left, right = note.x - note.text.width / 2, note.x + note.text.width / 2
        lower, upper = note.y - note.text.size / 2, note.y + note.text.size / 2
        assert frame.left < left and right < frame.right
        assert frame.lower < lower and upper < frame.upper
        for wire in picture.scene.wires:
            assert not any(left < x < right and lower < y < upper for x, y in sampled(wire.curve))
        for disc in picture.scene.discs:
            near = (min(max(disc.x, left), right), min(max(disc.y, lower), upper))
            assert (near[0] - disc.x) ** 2 + (near[1] - disc.y) ** 2 > (disc.width / 2) ** 2


def test_a_readout_of_its_own_shares_the_box_of_what_it_goes_along_with():
    graph = draw.unrolled(run()).graph
    title = dict(graph.titles)
    assert {title[v.loop] for v in graph.vertices if v.label in "sL"} == {"decoder"}


def truncated():
    xs, _ = data(6)
    model = nn.SequenceModel(nn.ElmanCell(I, H, seed=0), nn.Linear(H, K, seed=1))
    states, losses = None, []
    for chunk in (slice(0, 3), slice(3, 6)):
        loss, states = model.loss(xs[chunk], data(6)[1][chunk], states)
        losses.append(loss)
    return losses


@pytest.mark.parametrize(
    "outputs",
    [bidirectional, two_layers, lambda _: truncated()],
    ids=["two directions", "two layers", "chunks"],
)
def test_what_is_one_module_or_goes_along_has_no_box(outputs):
    picture = draw.unrolled(outputs(4))
    assert picture.graph.titles == () and picture.scene.frames == ()


def test_without_modules_the_classes_of_the_cells_are_the_titles():
    _, h = unroll(nn.ElmanCell(I, H, seed=0), data(4)[0])
    ss, _ = unroll(nn.GRUCell(0, H, seed=1), None, h, length=3, names={"h": "s"})
    frames = draw.circuit(ss).scene.frames
    assert [frame.title.text.base for frame in frames] == ["ElmanCell", "GRUCell"]


def test_titles_are_cleaned_and_short():
    with ts.scope("<b>\x00" + 50 * "x"):
        _, h = unroll(nn.ElmanCell(I, H, seed=0), data(4)[0])
    with ts.scope("decoder"):
        ss, _ = unroll(nn.ElmanCell(0, H, seed=1), None, h, length=3, names={"h": "s"})
    picture = draw.unrolled(ss)
    title = picture.scene.frames[0].title.text.base
    assert title.startswith("<b>xxx") and len(title) < 30
    assert b"&lt;b&gt;" in picture.render("svg")


def test_boxes_are_drawn_behind_the_edges():
    svg = draw.circuit(run()).render("svg").decode()
    assert svg.index('id="f0"') < svg.index('id="f1"') < svg.index('id="w0"')
    assert len(re.findall(r'<g id="f\d+" class="cluster"', svg)) == 2


def test_a_module_that_cannot_be_parted_from_the_rest_has_no_box():
    """What the encoder puts out besides stands above the decoder: no box fits around it."""
    xs, _ = data(4)
    with ts.scope("encoder"):
        hs, _ = unroll(nn.ElmanCell(I, H, seed=0), xs, as_list=True)
    with ts.scope("decoder"):
        ss, _ = unroll(nn.ElmanCell(0, H, seed=1), None, hs[-1], length=4, names={"h": "s"})
    late = ts.label(ops.tanh(np.float32(2) * ss[-1]), "z")
    outputs = []
    for t, h in enumerate(hs, 1):
        with ts.scope("step", t):
            outputs.append(ts.label(h * late, "q"))
    picture = draw.circuit(outputs)
    for frame in picture.scene.frames:
        title = dict(picture.graph.titles)
        for disc in picture.scene.discs:
            if title.get(disc.vertex.loop) != frame.title.text.base:
                assert not stands_in(disc, frame)


def test_of_every_recurrence_the_first_and_the_last_steps_are_shown():
    picture = draw.unrolled(run(steps=30))
    times = {}
    for v in picture.graph.vertices:
        times.setdefault(v.label, []).append(v.time)
    assert times["x"] == times["h"] == [1, 2, 3, 4, 5]  # 4 and 5 are the last of the encoder
    assert times["s"] == times["L"] == [1, 2, 3, 4, 5, 29, 30]
    (gap,) = picture.scene.notes
    assert "23 more steps" in gap.text.base
    assert {disc.y for disc in picture.scene.discs if disc.vertex.label == "s"} == {gap.y}


def test_several_letters_of_an_edge_each_have_their_subscript():
    wires = draw.circuit(run()).scene.wires
    (label,) = {w.label.text for w in wires if w.label and w.edge.parameters == ("U_s", "W_s")}
    parts = [(part.base, part.subscript) for part in (label, *label.rest)]
    assert parts == [("U", "s"), (",", ""), ("W", "s")]
