"""Both engines draw what was laid out, no text does harm, and nothing hangs."""

import re
import shutil
import stat
import struct
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyseq as ts
from draw.runs import I, by_hand, data, with_cell
from tinyseq import draw, nn, ops
from tinyseq.draw.curves import straight
from tinyseq.draw.graph import Edge
from tinyseq.draw.graphviz import drawn, find_engine
from tinyseq.draw.scene import Disc, Note, Scene, Wire
from tinyseq.draw.text import clean, name, visible
from tinyseq.errors import DrawError

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=["pure", "system"])
def engine(request) -> str:
    if request.param == "system" and shutil.which("dot") is None:
        pytest.skip("there is no system Graphviz: install it to compare the two engines")
    return request.param


@pytest.fixture(scope="module")
def picture():
    return draw.unrolled(with_cell(nn.LSTMCell)(4), gradients=True)


def parsed(svg: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(svg.decode())


def circles(svg: bytes) -> list[tuple[float, float]]:
    return [(float(e.get("cx")), float(e.get("cy"))) for e in parsed(svg).iter(f"{SVG}ellipse")]


def words(svg: bytes) -> str:
    return " ".join(e.text for e in parsed(svg).iter(f"{SVG}text"))


def test_svg_has_every_node_where_it_was_placed(picture, engine):
    points = circles(picture.render("svg", engine))
    assert len(points) == len(picture.scene.discs)
    first = picture.scene.discs[0]
    for (x, y), disc in zip(points, picture.scene.discs, strict=True):
        assert x - points[0][0] == pytest.approx(disc.x - first.x, abs=0.1)
        assert points[0][1] - y == pytest.approx(disc.y - first.y, abs=0.1)


def test_svg_has_every_name_and_letter(picture, engine):
    text = words(picture.render("svg", engine))
    for letter in ("U", "V", "W", "x", "h", "c", "o", "L", "y", "(1)", "(4)"):
        assert letter in text.split()


def test_svg_has_every_wire_with_its_arrow(picture, engine):
    root = parsed(picture.render("svg", engine))
    edges = [g for g in root.iter(f"{SVG}g") if g.get("class") == "edge"]
    heads = [g for g in edges if g.get("id", "").endswith("h")]  # of wires that are not 1 wide
    lines = {g.get("id"): g for g in edges if g not in heads}
    assert len(lines) == len(picture.scene.wires)
    assert all(len(g.findall(f"{SVG}path")) == 1 for g in lines.values())
    filled = {g.get("id")[:-1] for g in heads if g.findall(f"{SVG}polygon")}
    for k, wire in enumerate(picture.scene.wires):
        head = lines[f"w{k}"].findall(f"{SVG}polygon") or lines[f"w{k}"].findall(f"{SVG}polyline")
        assert (f"w{k}" in filled, bool(head)) == (wire.width != 1, wire.width == 1)


@pytest.mark.parametrize("width", [0.3, 1.8, 4.0])
def test_a_head_is_longer_and_wider_than_its_line_and_ends_at_the_tip(width, engine):
    tip = (150.0, 0.0)
    wire = Wire(Edge("", ""), None, None, straight((0.0, 0.0), (142.5, 0.0)), tip, width=width)
    root = parsed(drawn(Scene(wires=(wire,)), "svg", engine))
    line, head = (g for g in root.iter(f"{SVG}g") if g.get("class") == "edge")
    ends = [float(n) for n in re.findall(r"-?[\d.]+", line.find(f"{SVG}path").get("d"))]
    start, base = ends[0], ends[-2]
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", head.find(f"{SVG}polygon").get("points"))]
    xs, ys = numbers[::2], numbers[1::2]
    assert max(xs) - start == pytest.approx(150, abs=0.1)
    assert min(xs) == pytest.approx(base, abs=0.1)
    assert max(xs) - min(xs) >= max(7.4, 3 * width) and max(ys) - min(ys) > 2 * width


def test_svg_tells_the_names_on_hovering(engine):
    svg = draw.unrolled(by_hand(2)).render("svg", engine).decode()
    assert "<title>h(2), shape (2, 4)</title>" in svg
    assert "<title>h(1) -W-&gt; h(2) (delay 1)</title>" in svg


def test_both_engines_give_the_same_picture(picture):
    if shutil.which("dot") is None:
        pytest.skip("there is no system Graphviz: install it to compare the two engines")
    one, other = (circles(picture.render("svg", engine)) for engine in ("pure", "system"))
    for (x, y), (u, v) in zip(one, other, strict=True):
        assert (x - one[0][0], y - one[0][1]) == pytest.approx(
            (u - other[0][0], v - other[0][1]), abs=0.1
        )
    sizes = [parsed(picture.render("svg", e)).get("viewBox").split() for e in ("pure", "system")]
    np.testing.assert_allclose(*[[float(x) for x in size] for size in sizes], atol=3)


def test_png_is_an_image_good_enough_for_print(picture, engine):
    png = picture.render("png", engine)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, _ = struct.unpack(">II", png[16:24])
    x = [disc.x for disc in picture.scene.discs]
    assert width / ((max(x) - min(x)) / 72) > 180  # dots an inch


def test_pdf_needs_the_system_engine(picture):
    with pytest.raises(DrawError, match=r"PDF.*system's Graphviz.*SVG"):
        picture.render("pdf", "pure")
    if shutil.which("dot") is None:
        pytest.skip("there is no system Graphviz: install it to test PDF")
    assert picture.render("pdf", "system")[:5] == b"%PDF-"


def test_dot_source_is_a_file_that_any_graphviz_draws(picture, engine, tmp_path):
    path = picture.save(tmp_path / "a.dot")
    assert path.read_text() == picture.dot
    assert picture.dot.startswith("digraph")
    assert "layout=nop2" in picture.dot
    heads = sum(wire.tip is not None and wire.width != 1 for wire in picture.scene.wires)
    assert picture.dot.count(" -> ") == len(picture.scene.wires) + heads


@pytest.mark.parametrize("format", ["jpeg", "svgz", "../svg", ""])
def test_an_unknown_format_is_refused(picture, format):
    with pytest.raises(DrawError, match="svg, png, pdf, dot"):
        picture.render(format)


@pytest.mark.parametrize("file", ["picture", "picture.jpg", ".svg"])
def test_an_unknown_suffix_is_refused_and_nothing_is_written(picture, file, tmp_path):
    with pytest.raises(DrawError, match=r"\.svg, \.png, \.pdf, \.dot"):
        picture.save(tmp_path / file)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".svg", ".PNG", ".dot"])
def test_the_suffix_says_the_format(picture, suffix, tmp_path, engine):
    path = picture.save(str(tmp_path / f"a{suffix}"), engine=engine)
    assert path.read_bytes()[:8] == picture.render(suffix[1:].lower(), engine)[:8]


# -- engines --------------------------------------------------------------------------------------


def _program(path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_pure_engine_is_found_without_a_path(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("TINYSEQ_GRAPHVIZ", raising=False)
    assert "graphviz-pure" in find_engine()


def test_the_environment_chooses_the_engine(monkeypatch, tmp_path, picture):
    program = _program(tmp_path / "mydot", "echo drawn by me")
    monkeypatch.setenv("TINYSEQ_GRAPHVIZ", program)
    assert find_engine() == program
    assert picture.render("png") == b"drawn by me\n"
    assert "graphviz-pure" in find_engine("pure")  # an argument goes before the environment


def test_a_missing_engine_says_how_to_get_one(monkeypatch):
    monkeypatch.setenv("TINYSEQ_GRAPHVIZ", "/nonexistent/dot")
    with pytest.raises(DrawError, match="pip install graphviz-pure.* TINYSEQ_GRAPHVIZ is one of"):
        find_engine()
    with pytest.raises(DrawError, match=r"the engine \(--engine, engine=\) is one of"):
        find_engine("steam")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DrawError, match="system"):
        find_engine("system")


def test_drawing_that_takes_too_long_is_stopped(monkeypatch, tmp_path, picture):
    monkeypatch.setenv("TINYSEQ_GRAPHVIZ", _program(tmp_path / "slow", "exec sleep 60"))
    with pytest.raises(DrawError, match=r"0\.2 s.*window="):
        picture.render("png", time_limit=0.2)


def test_an_engine_that_fails_is_quoted(monkeypatch, tmp_path, picture):
    monkeypatch.setenv("TINYSEQ_GRAPHVIZ", _program(tmp_path / "bad", "echo no fonts >&2; exit 3"))
    with pytest.raises(DrawError, match="no fonts.*TINYSEQ_GRAPHVIZ=pure"):
        picture.render("png")


def test_an_engine_that_is_no_program_is_quoted(monkeypatch, tmp_path, picture):
    (tmp_path / "text").write_text("not a program")
    (tmp_path / "text").chmod(0o755)
    monkeypatch.setenv("TINYSEQ_GRAPHVIZ", str(tmp_path / "text"))
    with pytest.raises(DrawError, match="could not be run"):
        picture.render("png")


# -- text that users and data bring along ---------------------------------------------------------

HOSTILE = [
    '<<TABLE HREF="javascript:alert(1)"><TR><TD>x</TD></TR></TABLE>>',
    '<TABLE HREF="javascript:alert(1)"><TR><TD>x</TD></TR></TABLE>',
    '"]; evil [label="x", URL="javascript:alert(1)"]; a [label="',
    "<script>alert(1)</script>",
    "\\N \\G \\E \\l \\n",
    'quote " and \\" and \\',
    "line\nbreak\r\n\ttab",
    "\x00\x01\x1b[31m\x7f\x9f",
    "a" * 10_000,
    "\u202eright to left\u2066",
    "\ud800 lone surrogate",
    "&amp; &#60; &lt;script&gt;",
    "]]><!--",
    "\ufffe\uffff",
    " ",
    "h(3)",
    "中文 é ñ 😀",
    "%3 ${HOME} $(id)",
]


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_labels_are_harmless(label, engine):
    W = nn.Parameter(np.ones((I, I)), label)
    h = np.zeros((2, I))
    for t in (1, 2, 3):
        with ts.scope("step", t):
            h = ts.label(ops.tanh(h @ W + ts.label(data(3)[0][t - 1], "x")), label)
    for picture in (draw.unrolled(h, text={"x": [label] * 3}), draw.circuit(h)):
        svg = picture.render("svg", engine)
        root = parsed(svg)
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert tags <= {"svg", "g", "title", "text", "path", "polygon", "polyline", "ellipse"}
        names = {key for element in root.iter() for key in element.attrib}
        assert not [key for key in names if "href" in key or key.startswith("on")]
        nodes = [g.get("id") for g in root.iter(f"{SVG}g") if g.get("class") == "node"]
        assert all(re.fullmatch(r"[ndt]\d+", node) for node in nodes)
        assert len([node for node in nodes if node[0] == "n"]) == len(picture.scene.discs)
        assert len(picture.dot) < 20_000


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_any_text_can_be_a_name_and_a_note(text):
    vertex = draw.Vertex("v", text, "input", None, "", ())
    disc = Disc(vertex, name(text), 0, 0, 200, 40)
    scene = Scene((disc,), notes=(Note(name(visible(text)), 0, 60, font="Courier"),))
    root = parsed(drawn(scene, "svg", "pure"))
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= {
        "svg", "g", "title", "text", "path", "polygon", "polyline", "ellipse",
    }  # fmt: skip
    shown = "".join(e.text for e in root.iter(f"{SVG}text")).replace("\xa0", " ")
    for character in clean(text):
        assert character in shown or character in "_ " or character.isspace()


def test_backslashes_and_escapes_are_shown_as_they_are(engine):
    vertex = draw.Vertex("v", "x", "input", None, "", ())
    scene = Scene((Disc(vertex, name(r"a\Nb\n&lt;"), 0, 0, 200, 40),))
    assert words(drawn(scene, "svg", engine)) == r"a\Nb\n&lt;"


@pytest.mark.parametrize(
    ("text", "shown"), [("a\x00b", "ab"), ("", "?"), ("\n", "?"), ("a" * 30, "a" * 23 + "…")]
)
def test_clean(text, shown):
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" ", "␣"),
        ("\n", "⏎"),
        ("\t", r"\t"),
        ("\x07", r"\x07"),
        ("é", "é"),
        ("abcdefgh", "abcdefgh"),
    ],
)
def test_characters_of_data_are_visible(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("text", "base", "below"),
    [
        ("h", "h", ""), ("h1", "h", "1"), ("h12", "h", "12"), ("h1_2", "h", "1_2"),
        ("weight_hh", "weight", "hh"), ("U_1,f", "U", "1,f"), ("a_,", "a_,", ""),
        ("2", "2", ""), ("0.44", "0.44", ""), ("_x", "_x", ""), ("h_", "h_", ""),
    ],
)  # fmt: skip
def test_trailing_digits_are_a_subscript(text, base, below):
    set_name = name(text, -2)
    assert (set_name.base, set_name.subscript, set_name.superscript) == (base, below, "(−2)")
