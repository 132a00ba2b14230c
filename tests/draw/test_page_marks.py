"""What a user adds to a page: numbers, widths, a way to highlight; and pages of one graph alone."""

import numpy as np
import pytest

from draw.runs import with_cell
from tinyseq import draw, nn
from tinyseq.draw.html import json_for_script
from tinyseq.draw.page_marks import Marks, marks_record
from tinyseq.draw.scale import luminance
from tinyseq.errors import DrawError

STEPS = 6
lstm = with_cell(nn.LSTMCell)
NUMBERS = [-0.9, -0.5, 0.0, 0.25, 0.5, 0.75]

# The fill of each painted node, and the number beside it.
PAINTED = """return [...document.querySelectorAll(arguments[0] + " .node.painted")].map((e) => {
  const fill = getComputedStyle(e.querySelector("rect")).fill;
  return [e.dataset.id, fill, e.querySelector(".number").textContent];
})"""
WIDTHS = """return [...document.querySelectorAll("#unrolled .edge .line")].map((e) =>
  parseFloat(getComputedStyle(e).strokeWidth))"""


def painted(browser, layer: str = "#unrolled") -> dict[str, tuple[str, str]]:
    """By the id of a node its colour as #rrggbb, and the number beside it."""
    found = {}
    for id, fill, number in browser.js(PAINTED, layer):
        channels = [int(c) for c in fill.removeprefix("rgb(").removesuffix(")").split(",")]
        found[id] = "#" + "".join(f"{c:02x}" for c in channels), number
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_have_the_colours_of_the_picture(theme, browser):
    picture = draw.unrolled(lstm(STEPS), numbers={"h": NUMBERS}, legend="attention")
    browser.open(picture, prefers_color_scheme=theme)
    fills = {d.vertex.id: d.fill for d in picture.scene.discs if d.vertex.label == "h"}
    there = painted(browser)
    assert {id: fill for id, (fill, _) in there.items()} == fills and len(fills) == STEPS
    assert [there[f"h({t})"][1] for t in (1, 3, 4)] == ["−0.9", "0", "0.25"]
    assert "attention" in browser.text("#legend") and "−0.9" in browser.text("#legend")
    browser.hover(browser.node("h(4)"))
    assert "attention" in browser.text("#tip") and "0.25" in browser.text("#tip")
    browser.press("n")
    assert not painted(browser) and not browser.find("#legend").is_displayed()
    browser.find("#numbers").click()
    assert painted(browser) == there and browser.complaints() == []


def test_numbers_can_be_read_on_their_nodes_and_beside_them(browser):
    browser.open(draw.circuit(lstm(STEPS), numbers={"o": 1.0, "h": 0.001}))
    inks = browser.js(
        """return [...document.querySelectorAll("#circuit .painted text")].map((e) =>
          [e.classList.contains("number"), getComputedStyle(e).fill])"""
    )
    dark_fill = next(fill for fill, _ in painted(browser, "#circuit").values() if fill != "#fffbe0")
    assert luminance(dark_fill) < 0.18
    assert (False, "rgb(255, 255, 255)") in [tuple(ink) for ink in inks]
    assert (True, "rgb(255, 255, 255)") not in [tuple(ink) for ink in inks]


def test_hidden_steps_have_their_numbers_too(browser):
    run = lstm(30)
    browser.open(draw.unrolled(run, numbers={"h": np.arange(30.0)}))
    assert painted(browser).keys() == {f"h({t})" for t in (1, 2, 3, 29, 30)}
    browser.set("#first", 11)
    assert "h(11)" in painted(browser)


def test_gradients_and_numbers_take_turns(browser):
    browser.open(draw.circuit(lstm(STEPS), gradients=True))
    assert browser.find("#numbers").is_selected() and not browser.find("#gradient").is_selected()
    assert painted(browser, "#circuit").keys() == {"c", "h", "o", "L"}
    browser.press(" ", "g")
    assert not browser.find("#numbers").is_selected() and browser.find("#gradient").is_selected()
    assert painted(browser, "#circuit") == {}


def test_a_circuit_shows_the_mean_norms():
    loss = lstm(STEPS)
    run = draw.extract(loss, gradients=True)
    norms = [run.gradients[v.id] for v in run.vertices if v.variable == "o"]
    picture = draw.circuit(loss, gradients=True)
    marked = picture.page.marks["numbers"]
    assert next(number for id, number, _ in marked if id == "o") == pytest.approx(
        np.mean(norms), rel=1e-3
    )
    with pytest.raises(DrawError, match="one thing as colour"):
        draw.circuit(loss, gradients=True, numbers={"h": 1.0})


def test_edges_are_as_wide_as_their_numbers(browser):
    widths = {(f"h({t})", f"h({t + 1})"): t for t in range(1, STEPS)}
    picture = draw.unrolled(lstm(STEPS), widths=widths)
    browser.open(picture)
    drawn = sorted(round(wire.width, 2) for wire in picture.scene.wires)
    assert sorted(browser.js(WIDTHS)) == pytest.approx(drawn, abs=0.01)
    assert len(set(drawn) - {1.0}) == STEPS - 1
    assert "widest arrow: 5" in browser.text("#legend")


@pytest.mark.parametrize("steps", [STEPS, 30])
def test_a_highlighted_way_is_shown_with_its_lengths(steps, browser):
    picture = draw.unrolled(lstm(steps), highlight=("x(2)", "L(4)"))
    browser.open(picture)
    ends = f"x(2) → L(4): {counted(picture)} paths of lengths 5 to 8"
    assert browser.text("#status").startswith(ends)
    assert {"x(2)", "h(2)"} <= browser.ids("#unrolled .node.met")
    browser.press("\ue00c")
    assert browser.ids("#unrolled .node.met") == set()


def counted(picture) -> str:
    """How many ways there are, as the caption of the picture says."""
    (caption,) = (n.text.plain for n in picture.scene.notes if "from x(2)" in n.text.plain)
    return caption.split()[0]


def test_modules_keep_the_depth_that_was_asked_for(browser):
    loss = lstm(3)
    for depth in (0, None):
        picture = draw.unrolled(loss, detail="modules", depth=depth)
        browser.open(picture)
        assert browser.places("unrolled").keys() == {v.id for v in picture.graph.vertices}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_graphical_model_has_a_page(theme, browser):
    picture = draw.graphical_model(with_cell(nn.ElmanCell)(5))
    browser.open(picture, prefers_color_scheme=theme)
    assert browser.places("unrolled").keys() == {v.id for v in picture.graph.vertices}
    assert not browser.find("#fold").is_displayed()
    fills = browser.js(
        """return ["x(1)", "y(1)"].map((id) =>
          getComputedStyle(document.querySelector(`[data-id="${id}"] rect`)).fill)"""
    )
    assert fills[0] != fills[1]  # observed ones are shaded
    browser.set("#steps", 3)
    assert len(browser.places("unrolled")) == 6 and browser.complaints() == []


def test_hostile_legends_and_ids_are_text(browser):
    text = "</script><img src=x onerror=alert(1)>"
    record = marks_record(Marks({text: 1.0}, text, {(text, text): 1.0}, 1.0, (text, text)))
    assert "<" not in json_for_script(record)
    browser.open(draw.unrolled(lstm(3), numbers={"h(2)": 1}, legend=text))
    assert browser.js("return document.images.length") == 0
    assert "</script>" in browser.text("#legend")
