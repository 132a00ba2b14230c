"""The interactive page in a real browser: what it shows, and that this is the layout."""

import re
from itertools import combinations

import numpy as np
import pytest

import tinyseq as ts
from draw.browser import Browser
from draw.runs import CASES, by_hand, data, one_output, vector_to_sequence
from tinyseq import draw, nn, ops
from tinyseq.draw.circuit_layout import circuit_scene
from tinyseq.draw.contract import contract
from tinyseq.draw.extract import extract
from tinyseq.draw.fold import fold

STEPS = 6


def two_lstms(steps):
    xs, ys = data(steps)
    cell = nn.Stacked([nn.LSTMCell(3, 4, seed=0), nn.LSTMCell(4, 4, seed=1)])
    return nn.SequenceModel(cell, nn.Linear(4, 5, seed=2)).loss(xs, ys)[0]


RUNS = {case.name: case.run for case in CASES} | {
    "two LSTMs": two_lstms,
    "one output": one_output,
    "vector to sequence": vector_to_sequence,
}


@pytest.fixture(scope="module", params=RUNS)
def run(request):
    return RUNS[request.param]


@pytest.fixture
def opened(run, browser):
    """A page that opens unfolded, with the gradients; gives its picture."""
    picture = draw.unrolled(run(STEPS), gradients=True)
    browser.open(picture)
    return picture


def apart(places, others):
    """The vector from the places of some nodes to those of the same nodes, which must be one."""
    assert places.keys() == others.keys()
    offsets = [(others[k][0] - x, others[k][1] - y) for k, (x, y) in places.items()]
    for dx, dy in offsets:
        assert dx == pytest.approx(offsets[0][0], abs=0.02)
        assert dy == pytest.approx(offsets[0][1], abs=0.02)
    return offsets[0]


def laid_out(scene):
    """Where a scene has its nodes, as the page counts: from the upper left."""
    return {disc.vertex.id: (disc.x, -disc.y) for disc in scene.discs}


def test_opens_from_disk_with_no_request(browser):
    browser.open(draw.unrolled(two_lstms(STEPS), gradients=True))
    (page,) = [url for url in browser.requests() if not url.startswith("data:")]
    assert page.startswith("file:///") and page.endswith("/page.html")


def test_unfolded_everything_is_where_the_layout_has_it(opened, browser):
    dx, dy = apart(laid_out(opened.scene), browser.places("unrolled"))
    assert dx > 0 and dy == pytest.approx(0, abs=0.02)  # to the right of the circuit
    ends, letters = browser.js(
        """const all = (selector) => [...document.querySelectorAll(`#unrolled ${selector}`)];
        const ends = all(".edge .line").map((path) => {
          const head = path.parentElement.querySelector(".head");
          const [start, tip] = [path, head].map((e) => e.getAttribute("d").match(/-?[0-9.]+/g));
          return [start[0], start[1], tip[0], tip[1]].map(Number);
        });
        return [ends, all(".letter").map((text) => text.textContent)];"""
    )
    own = [wire for wire in opened.scene.wires if wire.edge.source]  # not the sample of the legend
    wires = [(*wire.curve[0], *wire.tip) for wire in own if not is_back(wire)]
    expected = [(x + dx, -y, u + dx, -v) for x, y, u, v in wires]
    assert len(ends) == len(expected)
    for found, right in zip(sorted(ends), sorted(expected), strict=True):
        assert found == pytest.approx(right, abs=0.03)
    written = [wire.label.text.plain for wire in opened.scene.wires if wire.label]
    assert sorted(letters) == sorted(written)
    assert browser.complaints() == []


def test_folded_everything_is_where_the_layout_has_it(run, browser):
    picture = draw.circuit(run(STEPS))
    browser.open(picture)
    assert apart(laid_out(picture.scene), browser.places("circuit")) == pytest.approx((0, 0))
    assert not browser.find("#unrolled").is_displayed()
    check_room(browser)
    assert browser.complaints() == []


def is_back(wire):
    """Whether a wire of a scene shows how the gradient goes back."""
    return wire.start == wire.edge.target and wire.end == wire.edge.source


# -- nothing runs into anything -------------------------------------------------------------------

# Every text and every node that is shown, each with its name and box; the texts without the space
# above and below that no letter reaches.
BOXES = """
const all = (selector) => [...document.querySelectorAll(selector)];
const shown = (selector) => all(selector).filter((e) => e.checkVisibility());
const texts = shown("#picture text").map((text) => {
  const box = text.getBoundingClientRect(), owner = text.closest(".node")?.dataset.id ?? "";
  const top = box.top + 0.19 * box.height, bottom = box.bottom - 0.1 * box.height;
  return [text.textContent, owner, box.left, top, box.right, bottom];
});
const nodes = shown(".node").map((node) => {
  const box = node.querySelector("rect").getBoundingClientRect();
  return [node.dataset.id, box.left, box.top, box.right, box.bottom];
});
return [texts, nodes];"""


def check_room(browser):
    """No two texts overlap, and no text touches a node that it does not name."""
    texts, nodes = browser.js(BOXES)
    assert len(texts) >= len(nodes) > 0
    for a, b in combinations(texts, 2):
        assert not overlap(a[2:], b[2:]), f"{a[:2]} and {b[:2]}"
    for text, owner, *box in texts:
        for id, *node in nodes:
            assert owner == id or not touches(box, node), f"{text} on {id}"


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def touches(box, circle):
    """Whether a box reaches into a circle; of a wider node, into the box around it."""
    left, top, right, bottom = circle
    if right - left > bottom - top + 1:
        return overlap(box, circle)
    x, y, radius = (left + right) / 2, (top + bottom) / 2, (right - left) / 2
    dx = min(max(x, box[0]), box[2]) - x
    dy = min(max(y, box[1]), box[3]) - y
    return dx * dx + dy * dy < radius * radius


def test_no_text_overlaps_unfolded(opened, browser):
    check_room(browser)
    browser.find("#gradient").click()
    check_room(browser)


def test_no_text_overlaps_with_data_and_gaps(browser):
    text = {"x": "the quick brown fox", "y": "he quick brown fox "}
    browser.open(draw.unrolled(by_hand(19), gradients=True, text=text))
    assert browser.find("#unrolled .gap").text == "··· 14 more steps ···"
    check_room(browser)
    shown = browser.js(
        """return [...document.querySelectorAll(".data")]
          .map((e) => [e.closest(".node").dataset.id, e.textContent])"""
    )
    steps = (1, 2, 3, 18, 19)
    right = [[f"{row}({t})", text[row][t - 1].replace(" ", "␣")] for row in "xy" for t in steps]
    assert sorted(shown) == sorted(right)


@pytest.mark.parametrize("name", ["figure 10.3", "LSTM", "bidirectional", "skip through time"])
@pytest.mark.parametrize("count", [1, 4, 13])
def test_no_text_overlaps_at_any_number_of_steps(name, count, browser):
    browser.open(draw.unrolled(RUNS[name](40), gradients=True))
    browser.set("#steps", count)
    check_room(browser)


# -- folding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["figure 10.6", "LSTM", "bidirectional", "skip through time"])
def test_every_node_slides_out_of_its_node_in_the_circuit(name, browser):
    run = RUNS[name]
    browser.open(draw.circuit(run(STEPS)))
    home = browser.places("circuit")
    of = dict(
        browser.js(
            """return [...document.querySelectorAll("#unrolled .node")]
              .map((e) => [e.dataset.id, e.dataset.of])"""
        )
    )
    assert set(of) == {v.id for v in draw.unrolled(run(STEPS)).graph.vertices}
    assert all(id == label or re.fullmatch(r".*\(\d+\)", id) for id, label in of.items())
    frames = browser.fold()
    assert len({u for u, _ in frames}) > 5 and frames[-1][0] == 1
    us = [u for u, _ in frames]
    assert us == sorted(us)
    ends = frames[-1][1]
    apart(laid_out(draw.unrolled(run(STEPS)).scene), browser.places("unrolled"))
    for u, places in frames[1:]:
        for id, (x, y) in places.items():
            start, end = home[of[id]], ends[id]
            assert x == pytest.approx(start[0] + u * (end[0] - start[0]), abs=0.02)
            assert y == pytest.approx(start[1] + u * (end[1] - start[1]), abs=0.02)
    assert browser.text("#fold") == "Fold"
    back = browser.fold()
    assert back[-1][0] == 0 and not browser.find("#unrolled").is_displayed()
    assert browser.text("#fold") == "Unfold"
    assert browser.complaints() == []


def test_the_circuit_is_the_one_that_is_drawn(browser):
    run = by_hand(STEPS)
    browser.open(draw.unrolled(run))
    scene = circuit_scene(contract(fold(extract(run))))
    assert apart(laid_out(scene), browser.places("circuit")) == pytest.approx((0, 0))
    assert len(browser.driver.find_elements("css selector", "#circuit .square")) == 1


def test_a_delay_shrinks_away_as_its_edge_unfolds(browser):
    browser.open(draw.circuit(by_hand(STEPS)))
    script = "return Number(document.querySelector('#unrolled .square').getAttribute('width'))"
    assert browser.js(script) == pytest.approx(
        circuit_scene(contract(fold(extract(by_hand(STEPS))))).squares[0].side
    )
    browser.fold()
    assert browser.js(script) == 0


def test_nothing_moves_for_who_wants_no_motion(browser: Browser):
    browser.open(draw.circuit(by_hand(STEPS)), prefers_reduced_motion="reduce")
    assert [u for u, _ in browser.fold()] == [1]


def test_the_button_and_the_arrow_fold_too(browser):
    browser.open(draw.circuit(by_hand(STEPS)), prefers_reduced_motion="reduce")
    browser.find("#fold").click()
    assert browser.find("#unrolled").is_displayed()
    browser.find("#unfold-arrow").click()
    assert not browser.find("#unrolled").is_displayed()


def test_a_run_that_does_not_fold_says_why(browser):
    W, h = nn.Parameter(np.ones((2, 2)), "W"), np.ones((1, 2))
    for t in (1, 2, 3):
        with ts.scope("step", t):
            h = ts.label((ops.exp if t == 2 else ops.tanh)(h @ W), "h")
    browser.open(draw.unrolled(h))
    assert browser.places("circuit") == {}
    assert len(browser.places("unrolled")) == 3
    assert not browser.find("#fold").is_enabled()
    assert "the steps are not alike" in browser.text("#status")
    assert browser.complaints() == []
