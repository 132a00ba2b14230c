"""Windows of three steps that are written t-1, t and t+1."""

import pytest

from draw.runs import by_hand, with_cell
from tinyseq import draw, nn
from tinyseq.draw.graph import OPERATIONS
from tinyseq.errors import DrawError


@pytest.mark.parametrize("detail", ["variables", "modules", "ops"])
def test_three_steps_in_the_middle_with_dots_at_both_ends(detail):
    picture = draw.unrolled(by_hand(9), detail=detail, window="t")
    assert picture.graph.shown == (4, 5, 6)
    names = {d.vertex.id: d.name.superscript for d in picture.scene.discs if d.vertex.label == "h"}
    assert names == {"h(4)": "(t−1)", "h(5)": "(t)", "h(6)": "(t+1)"}
    operations = [d for d in picture.scene.discs if d.vertex.kind in OPERATIONS]
    assert not any("t−1" in d.name.plain for d in operations)
    assert [note.text.plain for note in picture.scene.notes] == ["···", "···"]
    dashed = {(w.edge.source, w.dashed) for w in picture.scene.wires if w.edge.delay == 1}
    assert ("h(3)", True) in dashed and ("h(6)", True) in dashed and ("h(4)", False) in dashed


def test_three_steps_need_no_dots():
    scene = draw.unrolled(with_cell(nn.LSTMCell)(3), window="t").scene
    assert not scene.notes and {d.name.superscript for d in scene.discs} == {
        "(t−1)",
        "(t)",
        "(t+1)",
    }


def test_two_steps_are_too_few():
    with pytest.raises(DrawError, match="three steps"):
        draw.unrolled(by_hand(2), window="t")
