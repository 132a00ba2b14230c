"""Overlays: numbers and values as colours, widths, highlighted ways, and the strip of gradients."""

import networkx
import numpy as np
import pytest

from draw.runs import by_hand, one_output, with_cell
from tinyseq import draw, nn
from tinyseq.draw.emphasis import ASIDE, WAY, ways
from tinyseq.draw.scale import ABOVE, BELOW, luminance, scale_of, written
from tinyseq.draw.strip import HEIGHT, with_strip
from tinyseq.errors import DrawError

elman, lstm = with_cell(nn.ElmanCell), with_cell(nn.LSTMCell)


def fills(picture) -> dict[str, str]:
    return {d.vertex.id: d.fill for d in picture.scene.discs}


def words(picture) -> set[str]:
    return {n.text.base for n in picture.scene.notes}


# -- scales ---------------------------------------------------------------------------------------


def test_numbers_of_both_signs_have_white_between_them():
    scale = scale_of([-1.0, 3.0])
    assert (scale.low, scale.high) == (-3.0, 3.0)
    assert scale.colour(0.0) == BELOW[0] == ABOVE[0]
    assert scale.colour(-3.0) == BELOW[-1] and scale.colour(3.0) == ABOVE[-1]
    for sign in (-1, 1):
        light = [luminance(scale.colour(sign * n / 10)) for n in range(31)]
        assert light == sorted(light, reverse=True)
    red, _, blue = (int(scale.colour(-2.0)[k : k + 2], 16) for k in (1, 3, 5))
    assert blue > red  # blue and orange, which all kinds of colour blindness tell apart


@pytest.mark.parametrize(
    ("numbers", "kind", "middle"),
    [([0.0, 2.0], "linear", 1.0), ([1e-6, 1e2], "log", 1e-2), ([-2.0, 1.0], "signed", 0.0)],
)
def test_the_kind_of_a_scale_follows_from_its_numbers(numbers, kind, middle):
    scale = scale_of(numbers)
    assert scale.kind == kind
    assert scale.value(0.5) == pytest.approx(middle)
    assert scale.place(middle) == pytest.approx(0.5)


def test_numbers_that_are_all_the_same_have_a_colour():
    for number in (0.0, 2.0, -2.0):
        scale = scale_of([number, number])
        assert 0 <= scale.place(number) <= 1 and scale.colour(number).startswith("#")


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (-0.5, "−0.5"), (123.4, "123"), (1e-7, "1e−7"), (4e12, "4e12")]
)
def test_numbers_are_written_short(number, text):
    assert written(number) == text


# -- a user's numbers -----------------------------------------------------------------------------


def test_numbers_by_step_and_by_vertex():
    picture = draw.unrolled(
        elman(4), numbers={"h": [-1.0, -0.5, 0.5, 1.0], "o(2)": 0.25}, legend="correlation"
    )
    scale = scale_of([-1.0, 1.0])
    expected = {f"h({t})": scale.colour(n) for t, n in enumerate((-1, -0.5, 0.5, 1), 1)}
    expected["o(2)"] = scale.colour(0.25)
    assert {k: c for k, c in fills(picture).items() if k in expected} == expected
    assert all(c == "#ffffff" for k, c in fills(picture).items() if k not in expected)
    assert {"correlation", "−1", "1", "0.25"} <= words(picture)


def test_numbers_in_a_circuit():
    picture = draw.circuit(elman(4), numbers={"h": 0.5, "o": -0.5}, legend="change")
    scale = scale_of([0.5, -0.5])
    assert (fills(picture)["h"], fills(picture)["o"]) == (scale.colour(0.5), scale.colour(-0.5))
    assert fills(picture)["x"] == "#ffffff" and "change" in words(picture)
    for wrong in ({"z": 1.0}, {"h": [1.0, 2.0]}):
        with pytest.raises(DrawError, match=r"one number for a vertex \(x, "):
            draw.circuit(elman(4), numbers=wrong)


def test_numbers_keep_to_the_steps_that_are_shown():
    picture = draw.unrolled(elman(40), numbers={"h": np.arange(40.0), "h(20)": 1e9})
    scale = scale_of([0.0, 39.0])
    assert fills(picture)["h(40)"] == scale.colour(39.0)
    assert fills(picture)["h(2)"] == scale.colour(1.0)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"z": [1, 2, 3]}, "'z'.*variables are L, h, o, x, y"),
        ({"h": [1, 2]}, "2 entries.*3 steps"),
        ({"h": 1}, "one number for a vertex"),
        ({"h": np.ones((3, 2))}, r"shape \(3, 2\)"),
        ({"h": [1, np.nan, 2]}, r"h\(2\) has nan"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(numbers, message):
    with pytest.raises(DrawError, match=message):
        draw.unrolled(elman(3), numbers=numbers)


def test_one_thing_is_shown_as_colour():
    with pytest.raises(DrawError, match="one thing as colour"):
        draw.unrolled(elman(3), numbers={"h": [1, 2, 3]}, gradients=True)
    with pytest.raises(DrawError, match="'text'|\"text\""):
        draw.unrolled(elman(3), values="hex")


# -- values ---------------------------------------------------------------------------------------


def test_values_as_colours_are_sizes_of_what_was_computed():
    picture = draw.unrolled(by_hand(3), values="colour")
    sizes = {
        v.id: float(np.sqrt(np.mean(np.square(v.value))))
        for v in picture.graph.vertices
        if v.label != "y"
    }
    scale = scale_of(sizes.values())
    for id, size in sizes.items():
        assert fills(picture)[id] == scale.colour(size)
    assert all(fills(picture)[f"y({t})"] == "#ffffff" for t in (1, 2, 3)), "classes have no size"


def test_values_as_text():
    picture = draw.unrolled(by_hand(3), values="text")
    by_id = {v.id: v.value for v in picture.graph.vertices}
    near = {}
    for disc in picture.scene.discs:
        note = min(picture.scene.notes, key=lambda n: np.hypot(n.x - disc.x, n.y - disc.y))
        near[disc.vertex.id] = note.text.base
    assert near["y(2)"] == ", ".join(str(n) for n in by_id["y(2)"])
    assert float(near["L(2)"]) == pytest.approx(by_id["L(2)"].item(), rel=0.05)
    size = np.sqrt(np.mean(by_id["h(2)"] ** 2))
    assert near["h(2)"].startswith("rms ")
    assert float(near["h(2)"].removeprefix("rms ")) == pytest.approx(size, rel=0.06)


# -- highlighted ways -----------------------------------------------------------------------------


@pytest.mark.parametrize("run", [elman, lstm, by_hand], ids=["elman", "lstm", "by hand"])
def test_the_ways_are_all_simple_paths(run):
    graph = draw.unrolled(run(4)).graph
    as_networkx = networkx.DiGraph((e.source, e.target) for e in graph.edges)
    for source, target in [("x(1)", "L(4)"), ("x(2)", "h(2)"), ("h(1)", "o(3)")]:
        paths = list(networkx.all_simple_paths(as_networkx, source, target))
        found = ways(graph, source, target)
        assert found.count == len(paths)
        assert found.lengths == tuple(sorted({len(path) - 1 for path in paths}))
        assert found.edges == {edge for path in paths for edge in zip(path, path[1:], strict=False)}


def test_the_ways_are_strong_and_all_else_is_pale():
    picture = draw.unrolled(elman(4), highlight=("x(2)", "L(4)"))
    strong = {(w.edge.source, w.edge.target) for w in picture.scene.wires if w.colour == WAY}
    book = [
        ("x(2)", "h(2)"),
        ("h(2)", "h(3)"),
        ("h(3)", "h(4)"),
        ("h(4)", "o(4)"),
        ("o(4)", "L(4)"),
    ]
    assert strong == set(book)
    assert {w.colour for w in picture.scene.wires} == {WAY, ASIDE}
    assert "1 way from x(2) to L(4), 5 arrows long" in words(picture)


def test_the_number_of_ways_doubles_where_there_are_two():
    """LSTM: from c(t-1) and h(t-1) to c(t), and from c(t) to h(t)."""
    few, many = (
        ways(draw.unrolled(lstm(n), window="all").graph, "x(1)", f"L({n})") for n in (3, 60)
    )
    assert few.count == 13 and many.count > 10**20
    said, count = int(str(many).partition("1e")[2].split()[0]), many.count
    assert 10**said < count < 100 * 10**said and " to " in str(many)


def test_ways_without_number():
    """Far more of them than a floating-point number can say."""
    found = ways(draw.unrolled(lstm(2000), window="all").graph, "x(1)", "L(2000)")
    assert str(found).startswith("more than 1e8") and len(str(found.lengths[-1])) == 4


def test_ways_lead_through_what_is_left_out():
    picture = draw.unrolled(elman(50), highlight=("x(1)", "L(50)"))
    assert "1 way from x(1) to L(50), 52 arrows long" in words(picture)
    stubs = [w for w in picture.scene.wires if None in (w.start, w.end)]
    assert len(stubs) == 2 and all(w.colour == WAY for w in stubs)


@pytest.mark.parametrize(
    ("ends", "message"), [(("x(3)", "L(1)"), "no way leads"), (("z", "L(1)"), "no vertex 'z'")]
)
def test_ways_that_are_not_there(ends, message):
    with pytest.raises(DrawError, match=message):
        draw.unrolled(elman(3), highlight=ends)


# -- widths ---------------------------------------------------------------------------------------


def test_edges_are_as_wide_as_their_numbers():
    weights = np.diag([0.1, 0.4, 0.8])
    picture = draw.unrolled(elman(4), widths={("h", "h"): weights, ("x(1)", "h(1)"): 0.2})
    width = {(w.edge.source, w.edge.target): w.width for w in picture.scene.wires}
    least = 0.3
    for t, number in enumerate((0.1, 0.4, 0.8), 1):
        share = (width[f"h({t})", f"h({t + 1})"] - least) / (width["h(3)", "h(4)"] - least)
        assert share == pytest.approx(number / 0.8)
    assert width["x(1)", "h(1)"] < width["h(2)", "h(3)"] and width["x(2)", "h(2)"] == 1.0
    assert "widest arrow: 0.8" in words(picture)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({("h(1)", "h(3)"): 1}, "no edge"),
        ({("o", "h"): np.ones((3, 3))}, "no edge"),
        ({("h", "h"): np.ones((4, 4))}, r"shape \(4, 4\).*\(3, 3\) is wanted"),
        ({("h(1)", "h(2)"): -1}, "no width"),
        ({("h(1)", "h(2)"): np.nan}, "no width"),
    ],
)
def test_widths_that_do_not_fit_are_refused(widths, message):
    with pytest.raises(DrawError, match=message):
        draw.unrolled(elman(4), widths=widths)


# -- the strip ------------------------------------------------------------------------------------


def curves(picture) -> list[list[tuple[float, float]]]:
    """The coloured curves below the picture, as points."""
    lines = [w for w in picture.scene.wires if w.edge.source == "" and w.width == 1.3]
    return [list(w.curve[::3]) for w in lines]


def test_the_strip_shows_the_gradient_at_all_steps():
    loss = one_output(40)
    norms = [v.grad for v in draw.unrolled(loss, gradients=True, window="all").graph.vertices
             if v.label == "h"]  # fmt: skip
    picture = draw.unrolled(loss, gradients=True)
    (curve,) = curves(picture)
    assert len(curve) == 40
    x, y = np.array(curve).T
    np.testing.assert_allclose(np.diff(x), x[1] - x[0], rtol=1e-6)
    logs = np.log10(norms)
    slope = np.diff(y) / np.diff(logs)
    np.testing.assert_allclose(slope, slope[0], rtol=1e-6)
    assert 0 < np.ptp(y) <= HEIGHT
    lowest = min(d.y - d.height / 2 for d in picture.scene.discs)
    assert y.max() < lowest, "the strip is below the picture"
    left, right = (f(d.x for d in picture.scene.discs) for f in (min, max))
    assert left - 30 < x[0] and x[-1] < right + 30


def test_the_steps_that_are_shown_are_marked_below_the_strip():
    picture = draw.unrolled(one_output(40), gradients=True)
    marks = [w.curve for w in picture.scene.wires if w.edge.source == "" and w.width == 3.0]
    (curve,) = curves(picture)
    x = [point[0] for point in curve]
    spans = [(mark[0][0], mark[-1][0]) for mark in marks]
    marked = {t for t, at in enumerate(x, 1) for a, b in spans if a <= at <= b}
    assert marked == {1, 2, 3, 39, 40}


def test_a_strip_only_where_steps_are_left_out():
    assert not curves(draw.unrolled(one_output(8), gradients=True))
    assert not curves(draw.unrolled(one_output(40)))
    assert len(curves(draw.unrolled(lstm(30), gradients=True))) == 2  # h and c


def test_a_long_strip_keeps_its_extremes():
    picture = draw.unrolled(with_cell(nn.ElmanCell)(2000), gradients=True)
    (curve,) = curves(picture)
    assert 150 < len(curve) <= 302
    assert picture.render()  # Graphviz takes curves of so many points
    run = draw.extract(with_cell(nn.ElmanCell)(2000), gradients=True)
    norms = [n for k, n in run.gradients.items() if run.vertices[k].label == "h"]
    y = [point[1] for point in curve]
    everything = np.log10(max(norms) / min(norms))
    decades = {n.text.base: n.y for n in picture.scene.notes if n.text.base.startswith("1e")}
    (low, at_low), (high, at_high) = sorted(
        ((int(k[2:].replace("−", "-")), v) for k, v in decades.items())
    )
    per_decade = (at_high - at_low) / (high - low)
    assert max(y) - min(y) == pytest.approx(everything * per_decade, rel=1e-6)


def test_a_strip_stops_where_the_gradient_is_zero():
    scene = draw.unrolled(elman(3)).scene
    norms = {1: 1.0, 2: 1e-3, 3: 0.0, 4: 1e-2}
    lines = [w for w in with_strip(scene, {"h": norms}, [1]).wires if w.edge.source == ""]
    assert [len(w.curve[::3]) for w in lines if w.width == 1.3] == [2, 2]
    assert with_strip(scene, {"h": {1: 0.0, 2: 0.0}}, [1]) == scene


# -- at other levels of detail --------------------------------------------------------------------


@pytest.mark.parametrize(
    "overlay",
    [
        {"gradients": True},
        {"values": "colour"},
        {"values": "text"},
        {"numbers": {"h": [1.0, 2.0, 3.0]}},
        {"highlight": ("x(1)", "L(3)")},
    ],
    ids=lambda overlay: next(iter(overlay)),
)
def test_overlays_of_all_operations(overlay):
    plain = draw.unrolled(lstm(3), detail="ops")
    picture = draw.unrolled(lstm(3), detail="ops", **overlay)
    places = [[(d.vertex.id, d.x, d.y) for d in p.scene.discs] for p in (plain, picture)]
    assert places[0] == places[1], "an overlay moves nothing"
    looks = [[(d.fill, d.line) for d in p.scene.discs] for p in (plain, picture)]
    assert looks[0] != looks[1] or len(picture.scene.notes) > len(plain.scene.notes)
    assert picture.render()
