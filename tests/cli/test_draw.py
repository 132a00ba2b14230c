"""tinyseq draw: a picture of every example, in every view."""

import xml.etree.ElementTree as ElementTree

import pytest

from tinyseq import draw
from tinyseq.cli.examples import EXAMPLES, example_loss

CIRCUITS = {
    "elman": {"x -U-> h", "h -W-> h (delay 1)", "h -V-> o", "o -> L", "y -> L"},
    "output": {"x -U-> h", "o -R-> h (delay 1)", "h -V-> o", "o -> L", "y -> L"},
    "teacher-forcing": {"x -U-> h", "y -R-> h (delay 1)", "h -V-> o", "o -> L", "y -> L"},
    "bidirectional": {
        *("x -U-> h", "h -W-> h (delay 1)", "x -U-> g", "g -W-> g (delay -1)"),
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
