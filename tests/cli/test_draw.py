"""tinyseq draw: a picture of every example, in every view."""

import xml.etree.ElementTree as ElementTree

import pytest

from tinyseq import draw
from tinyseq.cli.examples import EXAMPLES, example_loss
from tinyseq.draw.levels import LEVELS

CIRCUITS = {
    "elman": {"x -U-> h", "h -W-> h (delay 1)", "h -V-> o", "o -> L", "y -> L"},
    "output": {"x -U-> h", "o -R-> h (delay 1)", "h -V-> o", "o -> L", "y -> L"},
    "teacher-forcing": {"x -U-> h", "y -R-> h (delay 1)", "h -V-> o", "o -> L", "y -> L"},
    "bidirectional": {
        *("x -U_h-> h", "h -W_h-> h (delay 1)", "x -U_g-> g", "g -W_g-> g (delay -1)"),
        *("h -V-> o", "g -V-> o", "o -> L", "y -> L"),
    },
}


@pytest.mark.parametrize("view", ["circuit", "unrolled"])
@pytest.mark.parametrize("cell", EXAMPLES)
def test_every_example_in_every_view(run, cell, view, tmp_path):
    path = tmp_path / "picture.svg"
    code, out, err = run("draw", cell, "--steps", 3, "--view", view, "-o", path)
    assert (code, out, err) == (0, [str(path)], [])
    words = "".join(ElementTree.parse(path).getroot().itertext())
    assert {"x", "h", "L"} <= set(words)


@pytest.mark.parametrize("cell", CIRCUITS)
def test_what_the_circuit_says(cell):
    graph = draw.circuit(example_loss(cell, 4)).graph
    assert set(str(graph).splitlines()) == CIRCUITS[cell]


def test_the_steps_and_the_gradients(run, tmp_path):
    graph = draw.unrolled(example_loss("one-output", 5)).graph
    assert graph.times == (1, 2, 3, 4, 5)
    assert [v.id for v in graph.vertices if v.label == "L"] == ["L"]
    plain, coloured = tmp_path / "a.svg", tmp_path / "b.svg"
    assert run("draw", "gru", "-o", plain)[0] == 0
    assert run("draw", "gru", "--gradients", "-o", coloured)[0] == 0
    assert "norm of the gradient" in coloured.read_text(encoding="utf-8")
    assert "norm of the gradient" not in plain.read_text(encoding="utf-8")


def test_other_formats(run, tmp_path):
    for suffix, start in [(".png", b"\x89PNG"), (".dot", b"digraph")]:
        path = tmp_path / f"picture{suffix}"
        assert run("draw", "elman", "-o", path)[0] == 0
        assert path.read_bytes().startswith(start)


def words(path):
    return " ".join("".join(ElementTree.parse(path).getroot().itertext()).split())


@pytest.mark.parametrize("detail", LEVELS)
@pytest.mark.parametrize("view", ["circuit", "unrolled"])
def test_every_level_of_detail(run, detail, view, tmp_path):
    path = tmp_path / "a.svg"
    assert run("draw", "lstm", "--view", view, "--detail", detail, "-o", path)[0] == 0
    expected = draw.circuit if view == "circuit" else draw.unrolled
    outline = expected(example_loss("lstm", 4), detail).render().decode()
    assert path.read_text(encoding="utf-8") == outline


def test_the_graphical_view(run, tmp_path):
    path = tmp_path / "a.svg"
    view = ["--view", "graphical", "-o", path]
    assert run("draw", "teacher-forcing", *view)[0] == 0
    assert titles(path) == {f"{name}({t})" for name in "xy" for t in range(1, 5)}
    assert run("draw", "teacher-forcing", "--hidden", "--window", 2, *view)[0] == 0
    assert titles(path) == {f"{name}({t})" for name in "xy" for t in "12…"}
    code, _, err = run("draw", "elman", "--feedback", "z=y", *view)
    assert code == 2 and "the inputs are x, the targets y" in err[0]


def titles(path):
    """The names of the nodes of a picture."""
    svg = "{http://www.w3.org/2000/svg}title"
    texts = [title.text or "" for title in ElementTree.parse(path).iter(svg)]
    return {text.partition(", shape")[0] for text in texts if ", shape" in text}


def test_values_highlight_and_window(run, tmp_path):
    path = tmp_path / "a.svg"
    assert run("draw", "elman", "--values", "text", "-o", path)[0] == 0
    assert "rms" in words(path)
    assert run("draw", "elman", "--values", "colour", "-o", path)[0] == 0
    assert "value (of vectors: rms)" in words(path)
    assert run("draw", "gru", "--highlight", "x(1)", "L(4)", "-o", path)[0] == 0
    assert "ways from x(1) to L(4)" in words(path) or "way from x(1) to L(4)" in words(path)
    shown = {"4-6": {4, 5, 6}, "2,1": {1, 2, 9}, "3": {1, 2, 3}, "all": set(range(1, 10))}
    for window, steps in shown.items():
        assert run("draw", "elman", "--steps", 9, "--window", window, "-o", path)[0] == 0
        assert {int(t[2:-1]) for t in titles(path) if t.startswith("h(")} == steps


def test_the_strip_of_gradients(run, tmp_path):
    path = tmp_path / "a.svg"
    assert run("draw", "one-output", "--steps", 50, "--gradients", "-o", path)[0] == 0
    assert "norm of the gradient at all 50 steps" in words(path)


def test_both_engines(run, tmp_path):
    found = []
    for engine in ("system", "pure"):
        path = tmp_path / f"{engine}.svg"
        assert run("draw", "elman", "--engine", engine, "-o", path)[0] == 0
        found.append(titles(path))
    assert found[0] == found[1]


def test_the_seed_decides_the_numbers(run, tmp_path):
    texts = []
    for seed in (0, 0, 1):
        path = tmp_path / f"{len(texts)}.svg"
        assert run("draw", "elman", "--values", "text", "--seed", seed, "-o", path)[0] == 0
        texts.append(path.read_text(encoding="utf-8"))
    assert texts[0] == texts[1] != texts[2]
