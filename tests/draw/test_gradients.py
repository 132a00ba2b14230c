"""Gradients as colours: the numbers are the gradients, and nothing is touched on the way."""

import numpy as np
import pytest

import tinyseq as ts
from draw.runs import H, I, K, N, by_hand, data, one_output, with_cell
from tinyseq import draw, nn, ops
from tinyseq.draw.curves import sampled
from tinyseq.draw.overlay import with_gradients
from tinyseq.draw.scale import RAMP, luminance, shade
from tinyseq.draw.scene import Disc, Scene
from tinyseq.draw.text import name
from tinyseq.errors import DrawError, GraphError
from tinyseq.recurrence import unroll


def run(steps=5):
    """A recurrence and its labelled tensors, for gradients of our own."""
    xs, ys = data(steps)
    cell, read = nn.ElmanCell(I, H, seed=0), nn.Linear(H, K, seed=1)
    hs, _ = unroll(cell, xs, as_list=True)
    total, kept = 0.0, {}
    for t, (h, y) in enumerate(zip(hs, ys, strict=True), 1):
        with ts.scope("step", t):
            o = ts.label(read(h), "o")
            loss = ts.label(nn.cross_entropy(o, ts.label(y, "y")), "L")
        kept |= {f"h({t})": h, f"o({t})": o, f"L({t})": loss}
        total = total + loss
    return total, kept, cell


def test_the_numbers_are_the_norms_of_the_gradients():
    loss, kept, _ = run()
    drawn = {v.id: v.grad for v in draw.unrolled(loss, gradients=True).graph.vertices}
    for k, tensor in kept.items():
        (g,) = ts.grad(loss, [tensor], retain_graph=True)
        assert drawn[k] == pytest.approx(np.linalg.norm(g), rel=1e-5)
    assert all(drawn[k] is None for k in drawn if k[0] in "xy")


def test_the_gradient_of_an_input_that_asks_for_one():
    xs = ts.tensor(data(3)[0], requires_grad=True)
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), xs)
    loss = ops.sum(hs * hs)
    (g,) = ts.grad(loss, [xs], retain_graph=True)
    drawn = {v.id: v.grad for v in draw.unrolled(loss, gradients=True).graph.vertices}
    for t in range(3):
        assert drawn[f"x({t + 1})"] == pytest.approx(np.linalg.norm(g[t]), rel=1e-5)


def test_the_graph_and_its_gradients_stay_as_they_are():
    loss, _, cell = run()
    draw.unrolled(loss, gradients=True)
    assert all(p.grad is None for p in cell.parameters())
    loss.backward()
    first = [p.grad.copy() for p in cell.parameters()]
    loss, _, cell = run()
    loss.backward(retain_graph=True)
    draw.unrolled(loss, gradients=True)
    for p, g in zip(cell.parameters(), first, strict=True):
        np.testing.assert_array_equal(p.grad, g)
    loss.backward()


def test_a_freed_graph_says_what_to_do():
    loss, _, _ = run()
    loss.backward()
    with pytest.raises(GraphError, match="retain_graph=True"):
        draw.unrolled(loss, gradients=True)
    assert len(draw.unrolled(loss).graph.vertices) == 25  # without gradients it can be drawn


def test_a_graph_from_before_an_update_is_refused():
    loss, _, cell = run()
    cell.weight_hh.assign(cell.weight_hh.data * 2)
    with pytest.raises(GraphError, match="changed by assign"):
        draw.unrolled(loss, gradients=True)


def test_the_gradient_is_that_of_one_number():
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), data(3)[0])
    with pytest.raises(DrawError, match="one number"):
        draw.unrolled(hs, gradients=True)
    with pytest.raises(DrawError, match="one number"):
        draw.unrolled([ops.sum(hs), ops.sum(hs)], gradients=True)


def test_nothing_learned_is_an_error():
    x = ts.label(np.ones(3), "x")
    with pytest.raises(DrawError, match="needs a gradient"):
        draw.unrolled(ts.label(ops.sum(x * x), "L"), gradients=True)


def test_gradients_on_cupy(xp):
    xs, ys = data(3)
    model = nn.SequenceModel(nn.ElmanCell(I, H, seed=0), nn.Linear(H, K, seed=1))
    host = draw.unrolled(model.loss(xs, ys)[0], gradients=True).graph
    model.to("numpy" if xp is np else "cupy")
    there = draw.unrolled(model.loss(xp.asarray(xs), xp.asarray(ys))[0], gradients=True).graph
    for v, w in zip(host.vertices, there.vertices, strict=True):
        assert w.grad is v.grad is None or w.grad == pytest.approx(v.grad, rel=1e-5)


# -- colours --------------------------------------------------------------------------------------


def test_the_ramp_only_gets_darker():
    light = [luminance(shade(k / 50)) for k in range(51)]
    assert all(a > b for a, b in zip(light, light[1:], strict=False))
    assert (shade(0), shade(1)) == (RAMP[0], RAMP[-1])


def test_a_larger_gradient_is_darker_and_a_bar_says_how_much():
    scene = draw.unrolled(one_output(8), gradients=True).scene
    coloured = [d for d in scene.discs if d.vertex.grad is not None]
    by_norm = sorted(coloured, key=lambda d: d.vertex.grad)
    light = [luminance(d.fill) for d in by_norm]
    assert light == sorted(light, reverse=True)
    assert light[0] > 0.9 > 0.1 > light[-1]
    assert {d.fill for d in scene.discs if d.vertex.grad is None} == {"#ffffff"}
    assert "norm of the gradient" in [note.text.base for note in scene.notes]
    assert len(scene.squares) > 10


def test_the_scale_is_logarithmic():
    discs = []
    for k, norm in enumerate((1e-6, 1e-3, 1.0, 0.0)):
        vertex = draw.Vertex(f"h({k})", "h", "state", k, "", (), grad=norm)
        discs.append(Disc(vertex, name("h", k), 90.0 * k, 0.0, 45.0, 45.0))
    fills = [disc.fill for disc in with_gradients(Scene(tuple(discs))).discs]
    assert fills == [shade(0.0), shade(0.5), shade(1.0), shade(0.0)]


def test_names_can_be_read_on_every_colour():
    for disc in draw.unrolled(one_output(8), gradients=True).scene.discs:
        ink, fill = sorted((luminance(disc.ink), luminance(disc.fill)))
        assert (fill + 0.05) / (ink + 0.05) > 4.5  # the contrast that the web's guidelines ask for


def test_every_gradient_stands_beside_its_node():
    scene = draw.unrolled(one_output(4), gradients=True).scene
    for disc in scene.discs:
        if disc.vertex.grad is not None:
            near = [n for n in scene.notes if abs(n.x - disc.x) < 45 and abs(n.y - disc.y) < 45]
            numbers = [float(n.text.base.replace("−", "-")) for n in near]
            assert any(n == pytest.approx(disc.vertex.grad, rel=0.06) for n in numbers)


def test_an_arrow_shows_the_gradient_going_back():
    scene = draw.unrolled(one_output(6), gradients=True).scene
    back = [w for w in scene.wires if w.start == w.edge.target]
    assert [(w.start, w.end) for w in back] == [(f"h({t + 1})", f"h({t})") for t in range(1, 6)]
    grads = {d.vertex.id: d.vertex.grad for d in scene.discs}
    widths = [w.width for w in sorted(back, key=lambda w: grads[w.end])]
    assert widths == sorted(widths)


def test_the_legend_says_what_the_arrows_are():
    scene = draw.unrolled(one_output(6), gradients=True).scene
    (words,) = [note for note in scene.notes if "back in time" in note.text.base]
    (sample,) = [wire for wire in scene.wires if wire.edge.source == ""]
    assert sample.tip[0] < words.x - words.text.width / 2 and sample.tip[1] == words.y
    assert words.y < min(disc.y - disc.height / 2 for disc in scene.discs)


def test_letters_stand_clear_of_the_arrows_that_go_back():
    """Letters of the way around h2, which stood where the gradient goes back along h2."""
    U, W, R, Q, G, V, S, T = (
        nn.Parameter(np.full((H, I if name in "UST" else H), 0.1), name) for name in "UWRQGVST"
    )
    states, total = (np.zeros((N, H)), np.zeros((N, H))), 0.0
    for t, (x, _) in enumerate(zip(*data(4), strict=True), 1):
        with ts.scope("step", t):
            x, (h1, h2) = ts.label(x, "x"), states
            h1 = ops.linear(x, U) + ops.linear(h1, W) + ops.linear(h2, Q)
            h1 = ts.label(ops.tanh(h1), "h1")
            h2 = ops.linear(h1, R) + ops.linear(h2, Q) + ops.linear(x, S)
            h2 = ts.label(ops.tanh(h2), "h2")
            o = ops.linear(ops.tanh(h2 + ops.linear(h1, G) + ops.linear(x, T)), V)
            total = total + ops.sum(ts.label(o, "o"))
        states = h1, h2
    scene = draw.unrolled(total, gradients=True).scene
    curves = [point for wire in scene.wires for point in sampled(wire.curve)]
    letters = [wire.label for wire in scene.wires if wire.label is not None]
    assert {"G, V", "T, V"} <= {letter.text.base for letter in letters}
    for letter in letters:
        half = letter.text.width / 2
        assert not any(abs(x - letter.x) < half and abs(y - letter.y) < 5 for x, y in curves)


def test_gradients_that_are_zero_are_drawn():
    """A loss that a state cannot change: relu units that are all off."""
    U, W = nn.Parameter(np.full((H, I), -1.0), "U"), nn.Parameter(np.eye(H), "W")

    def step(x, h):
        h = ops.relu(ops.linear(x, U) + ops.linear(h, W))
        return h, h

    hs, _ = unroll(step, np.ones((3, N, I)), np.zeros((N, H)))
    picture = draw.unrolled(ops.sum(hs), gradients=True)
    grads = [v.grad for v in picture.graph.vertices if v.label == "h"]
    assert all(g > 0 for g in grads)
    picture = draw.unrolled(ops.sum(hs * 0.0), gradients=True)
    assert {v.grad for v in picture.graph.vertices if v.label == "h"} == {0.0}


# -- data -----------------------------------------------------------------------------------------


def test_text_stands_below_x_and_above_y():
    scene = draw.unrolled(by_hand(4), text={"x": "a bc", "y": [" ", "b", "c", "\n"]}).scene
    at = {d.vertex.id: d for d in scene.discs}
    notes = {(round(n.x), n.text.base): n.y for n in scene.notes}
    for t, (x, y) in enumerate(zip("a␣bc", "␣bc⏎", strict=True), 1):
        assert notes[round(at[f"x({t})"].x), x] < at[f"x({t})"].y
        assert notes[round(at[f"y({t})"].x), y] > at[f"y({t})"].y


def test_text_keeps_to_the_steps_that_are_shown():
    text = "".join(chr(ord("a") + t % 26) for t in range(40))
    scene = draw.unrolled(by_hand(40), text={"x": text}).scene
    shown = [n.text.base for n in sorted(scene.notes, key=lambda n: n.x) if len(n.text.base) == 1]
    assert shown == [text[k] for k in (0, 1, 2, 38, 39)]


def test_text_for_words():
    picture = draw.unrolled(by_hand(2), text={"x": ["the", "incomprehensible"]})
    assert {n.text.base for n in picture.scene.notes} == {"the", "incompre…"}


@pytest.mark.parametrize(
    ("text", "words"), [({"z": "abc"}, "'z'.*L, h, o, x, y"), ({"x": "ab"}, "2 entries.*3 steps")]
)
def test_text_that_does_not_fit_is_refused(text, words):
    with pytest.raises(DrawError, match=words):
        draw.unrolled(by_hand(3), text=text)


def test_gradients_and_text_together():
    scene = draw.unrolled(with_cell(nn.LSTMCell)(3), gradients=True, text={"x": "abc"}).scene
    assert {"a", "b", "c"} <= {n.text.base for n in scene.notes}
    assert len(scene.squares) > 10
