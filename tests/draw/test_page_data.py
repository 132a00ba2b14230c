"""The file of the interactive page, read as a file: what is in it, how large, what it allows."""

import base64
import hashlib
import json
import re
from html import unescape
from itertools import combinations

import numpy as np
import pytest

import tinyseq as ts
from draw.runs import by_hand, data, with_cell
from tinyseq import draw, nn, ops
from tinyseq.draw import html, page_records, scale, style
from tinyseq.draw.scene import Scene
from tinyseq.errors import DrawError

CODE = 60_000  # bytes that the page may have, without its data


def parts(page):
    """The page's style, data and script."""
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    data, script = re.findall(r"<script[^>]*>(.*?)</script>", page, re.S)
    return style, data, script


def known(page):
    return json.loads(parts(page)[1])


@pytest.fixture(scope="module")
def page():
    return draw.unrolled(with_cell(nn.LSTMCell)(12), gradients=True).page.html


def test_the_page_is_small(page):
    assert len(page.encode()) - len(parts(page)[1]) < CODE
    levels = known(page)["levels"]
    assert len(json.dumps(levels["variables"])) < 50_000
    assert len(json.dumps(levels["ops"])) < 150_000


def test_a_page_of_many_steps_has_a_template_for_edges_that_are_alike():
    page = draw.unrolled(by_hand(400)).page.html
    edges = known(page)["levels"]["variables"]["unrolled"]["edges"]
    assert len(edges) == 5  # x to h, h to h, h to o, y to L, o to L
    assert sum(last - first + 1 for edge in edges for first, last in edge["at"]) == 400 * 5 - 1


def test_save_and_render_know_the_format(tmp_path):
    picture = draw.circuit(by_hand(3))
    path = picture.save(tmp_path / "page.html")
    assert path.read_bytes() == picture.render("html") == picture.page.html.encode()
    with pytest.raises(DrawError, match=r"\.html"):
        picture.save(tmp_path / "page.htm")


def test_a_picture_without_a_run_has_no_page():
    picture = draw.circuit(by_hand(3))
    with pytest.raises(DrawError, match=r"draw\.circuit or draw\.unrolled"):
        _ = draw.Picture(picture.graph, Scene()).page


def test_opens_as_it_was_asked_for():
    run = by_hand(20)
    page = known(draw.circuit(run).page.html)
    assert not page["start"]["unfolded"] and not page["start"]["gradient"]
    assert page["levels"]["variables"]["columns"] == [0, 1, 2, 18, 19]
    page = known(draw.unrolled(run, gradients=True, window=[5, 6]).page.html)
    assert page["start"]["unfolded"] and page["start"]["gradient"]
    assert page["levels"]["variables"]["columns"] == [4, 5]


def test_very_long_runs_keep_their_first_and_last_steps(monkeypatch):
    monkeypatch.setattr(html, "MOST_NODES", 50)
    level = known(draw.unrolled(by_hand(40)).page.html)["levels"]["variables"]["unrolled"]
    assert len(level["times"]) == 40
    for row in level["rows"]:
        assert row["at"] == [[0, 4], [35, 39]]


# -- nothing comes in but the page's own style and script -----------------------------------------


def test_the_policy_allows_this_style_and_this_script_alone(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    style, _, script = parts(page)

    def digest(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == digest(style) and rules["script-src"] == digest(script)
    assert rules["base-uri"] == rules["form-action"] == "'none'" and rules["img-src"] == "data:"


def test_no_address_but_that_of_svg(page):
    style, data, script = parts(page)
    found = set(re.findall(r"[a-z]+://[^\s\"'`]+", page))
    assert found == {"http://www.w3.org/2000/svg"}
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert name not in script


@pytest.mark.parametrize(
    "text", ["</script>", "<!--", "<script", "]]>", "&lt;", "\u2028\u2029", "\ud800", '"\\', "\0"]
)
def test_json_cannot_end_its_script(text):
    written = html.json_for_script({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert not set(written) & set("<>&\u2028\u2029")
    assert written.isascii()


def test_labels_reach_the_page_as_json_alone():
    label = "</title><script>alert(1)</script>"
    with ts.scope("step", 1):
        a = ts.label(ts.tensor(np.ones(2), requires_grad=True), label)
    with ts.scope("step", 2):
        b = ts.label(ops.exp(a), label)
    page = draw.unrolled(b).page.html
    assert page.count("</title>") == 1 and page.count("<script") == 2
    assert "alert(1)</script>" not in page


# -- notebooks ------------------------------------------------------------------------------------


def test_a_notebook_gets_a_frame_with_the_page():
    page = draw.unrolled(by_hand(3)).page
    frame = page._repr_html_()
    assert unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == page.html
    assert 'sandbox="allow-scripts"' in frame


def test_a_page_too_large_for_a_notebook_says_what_to_do(monkeypatch):
    monkeypatch.setattr(html, "LARGEST_INLINE", 1000)
    told = draw.unrolled(by_hand(3)).page._repr_html_()
    assert "iframe" not in told and ".save(" in told and len(told) < 500


# -- numbers --------------------------------------------------------------------------------------


def test_values_in_few_numbers(xp):
    array = np.array([[1.0, 2.0], [3.0, 6.0]])
    record = page_records.value_record(xp.asarray(array), 4)
    assert record["all"] == [1, 2, 3, 6]
    assert record["summary"] == pytest.approx([3, np.std(array), 1, 6], rel=1e-3)
    assert record["odd"] == 0
    assert "all" not in page_records.value_record(xp.asarray(array), 3)


def test_values_that_json_does_not_have():
    record = page_records.value_record(np.array([np.nan, np.inf, -np.inf, 2.0]), 9)
    assert record["all"] == ["nan", "inf", "-inf", 2.0]
    assert record["odd"] == 3 and record["summary"] == [2, 0, 2, 2]
    record = page_records.value_record(np.array([np.nan, np.nan]), 9)
    assert record["odd"] == 2 and "summary" not in record
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize("value", [np.float32(0.1), np.array(7), np.array(True), np.ones((0, 3))])
def test_values_of_one_or_no_element(value):
    record = page_records.value_record(value, 9)
    assert record["all"] == pytest.approx(np.ravel(value).tolist())
    assert "summary" not in record
    json.dumps(record, allow_nan=False)


def test_all_values_together_are_bounded():
    cell = nn.ElmanCell(3, 64, seed=0)
    hs, _ = ts.unroll(cell, data(900)[0])
    rows = known(draw.unrolled(hs).page.html)["levels"]["variables"]["unrolled"]["rows"]
    h = next(row for row in rows if row["label"] == "h")
    assert all("all" not in value and len(value["summary"]) == 4 for value in h["values"])
    x = next(row for row in rows if row["label"] == "x")
    assert all(len(value["all"]) == 6 for value in x["values"])


@pytest.mark.parametrize(
    ("numbers", "pieces"),
    [([], []), ([4], [[4, 4]]), ([1, 2, 3, 7, 9, 10], [[1, 3], [7, 7], [9, 10]])],
)
def test_ranges(numbers, pieces):
    assert page_records.ranges(numbers) == pieces


# -- colours that survive colour-blindness --------------------------------------------------------

# How colours look without one of the three kinds of cones: Machado, Oliveira and Fernandes,
# "A physiologically-based model for simulation of color vision deficiency" (2009), severity 1.
VISION = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
) / np.array([[0.9505], [1.0], [1.089]])


def linear(colour):
    part = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(colour, vision):
    """A colour in CIELAB, where distances are differences that one sees, as an eye sees it."""
    xyz = TO_XYZ @ np.clip(vision @ linear(colour), 0, 1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_states_can_be_told_apart(vision):
    seen = [lab(colour, VISION[vision]) for colour in style.STATE_LINES]
    assert len(seen) == 5
    for a, b in combinations(seen, 2):
        assert np.linalg.norm(a - b) > 20  # ten times what is just noticeable


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("ramp", ["LIGHT_RAMP", "DARK_RAMP"])
def test_gradients_go_from_light_to_dark_or_back(ramp, vision, page):
    script = parts(page)[2]
    colours = re.findall(r"#[0-9a-f]{6}", re.search(rf"{ramp} = \[(.*?)\]", script)[1])
    lightness = [lab(colour, VISION[vision])[0] for colour in colours]
    steps = np.diff(lightness)
    assert np.all(steps < -4) if ramp == "LIGHT_RAMP" else np.all(steps > 4)
    if ramp == "LIGHT_RAMP":
        assert tuple(colours) == scale.RAMP
