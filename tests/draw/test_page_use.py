"""What a person does with the interactive page: steps, pointing, paths, keys, colours, fingers."""

import re
import time
from collections import Counter

import networkx
import numpy as np
import pytest

import tinyseq as ts
from draw.runs import by_hand, language_model, with_cell
from tinyseq import draw, nn, ops
from tinyseq.draw.html import Page
from tinyseq.draw.levels import LEVELS
from tinyseq.draw.text import name
from tinyseq.recurrence import expression_tree

lstm = with_cell(nn.LSTMCell)


# -- steps ----------------------------------------------------------------------------------------


def check_window(browser, run, window):
    """The page shows the steps that a picture with this window has, where that has them."""
    scene = draw.unrolled(run, window=window).scene
    places = browser.places("unrolled")
    assert places.keys() == {disc.vertex.id for disc in scene.discs}
    first = min(scene.discs, key=lambda disc: disc.x)
    dx = places[first.vertex.id][0] - first.x
    for disc in scene.discs:
        assert places[disc.vertex.id] == pytest.approx((disc.x + dx, -disc.y), abs=0.05)
    gaps = [note.text.base for note in scene.notes]
    shown = browser.js("return [...document.querySelectorAll('.gap')].map((e) => e.textContent)")
    assert shown == gaps


def test_a_long_run_opens_with_the_steps_of_its_picture(browser):
    run = by_hand(40)
    browser.open(draw.unrolled(run))
    check_window(browser, run, (3, 2))
    assert browser.text("#steps-shown") == "5 of 40"


def test_the_page_opens_with_the_window_that_was_asked_for(browser):
    run = by_hand(40)
    browser.open(draw.unrolled(run, window=range(20, 26)))
    check_window(browser, run, range(20, 26))
    assert browser.text("#steps-shown") == "6 of 40"


@pytest.mark.parametrize(
    ("count", "window"),
    [(1, (1, 0)), (2, (2, 0)), (10, (6, 4)), (39, (24, 15)), (40, "all")],
)
def test_the_slider_says_how_many_steps(count, window, browser):
    run = by_hand(40)
    browser.open(draw.unrolled(run))
    browser.set("#steps", count)
    check_window(browser, run, window)
    assert browser.text("#steps-shown") == f"{count} of 40"
    assert browser.find("#first-field").is_displayed() == (count < 40)


def test_the_other_slider_says_from_which_step_on(browser):
    run = by_hand(40)
    browser.open(draw.unrolled(run))
    browser.set("#first", 11)
    check_window(browser, run, [11, 12, 13, 39, 40])
    browser.set("#first", 36)
    check_window(browser, run, range(36, 41))


def test_brackets_are_keys_for_the_steps(browser):
    run = by_hand(20)
    browser.open(draw.unrolled(run))
    browser.press("]", "]", "[", "}")
    check_window(browser, run, [2, 3, 4, 5, 19, 20])
    browser.press("{", "{")
    check_window(browser, run, (4, 2))


def test_a_run_with_an_initial_state_shows_it_beside_its_step(browser):
    cell, xs = nn.ElmanCell(3, 4, seed=0), np.ones((30, 1, 3), np.float32)
    hs, _ = ts.unroll(cell, xs, np.ones((1, 4), np.float32))
    browser.open(draw.unrolled(hs))
    assert "dashed" in browser.node("h(0)").get_attribute("class")
    check_window(browser, hs, (3, 2))
    browser.set("#first", 9)
    assert browser.ids("#unrolled .node") == {
        f"{v}({t})" for v in "xh" for t in (9, 10, 11, 29, 30)
    }


def test_the_strip_of_gradients_moves_the_window(browser):
    browser.open(draw.unrolled(by_hand(40), gradients=True))
    browser.js(
        """const strip = document.querySelector("#strip"), box = strip.getBoundingClientRect();
        const at = { clientX: box.left + 22 + 320 * 0.5 + 1, clientY: box.top + 5, bubbles: true };
        strip.dispatchEvent(new MouseEvent("click", at));"""
    )
    assert browser.text("#first-shown") == "21"


def test_a_tree_has_its_words_and_no_slider(browser):
    parsed, tokens = expression_tree("a * -b")
    places = {tuple(place): k for place, k in zip(parsed.positions(), parsed.inputs, strict=True)}
    told = [tokens[places[p]] if places[p] is not None else "" for p in sorted(places)]
    cell = nn.RecursiveCell(3, 4, seed=0)
    _, h = ts.recurrence.unroll_tree(cell, parsed, np.ones((parsed.input_count, 1, 3)))
    picture = draw.unrolled(h, text={"x": told})
    browser.open(picture)
    assert browser.places("unrolled").keys() == {v.id for v in picture.graph.vertices}
    shown = browser.js("return [...document.querySelectorAll('.data')].map((e) => e.textContent)")
    assert sorted(shown) == sorted(filter(None, told)) == ["*", "-", "a", "b"]
    assert not browser.find("#steps-field").is_displayed()
    assert "cannot be folded" in browser.text("#status") and browser.complaints() == []


# -- pointing -------------------------------------------------------------------------------------


def facts(browser):
    """What the tip says: its title, and a dict of the rest."""
    rows = browser.js("return [...document.querySelectorAll('#tip tr')].map((r) => r.innerText)")
    return browser.text("#tip h3"), dict(re.split(r"\s*\t\s*", row, maxsplit=1) for row in rows)


def numbers(text):
    return [float(word) for word in re.findall(r"-?[0-9.]+(?:e-?\d+)?", text.replace("−", "-"))]


def test_a_node_tells_its_name_shape_value_and_gradient(browser):
    picture = draw.unrolled(lstm(4), gradients=True, values=True)
    vertex = next(v for v in picture.graph.vertices if v.id == "h(3)")
    browser.open(picture)
    browser.hover(browser.node("h(3)"))
    title, told = facts(browser)
    assert title == "h(3)"
    assert told["shape"] == "2 × 4"
    assert told["module"] == "cell"
    assert told["kind"].startswith("state")
    value = vertex.value
    right = [value.min(), value.max(), value.mean(), value.std()]
    assert numbers(told["value"]) == pytest.approx(right, rel=6e-3)
    assert numbers(told["gradient"]) == pytest.approx([vertex.grad], rel=6e-3)
    shown = numbers(browser.text("#tip pre"))
    assert shown == pytest.approx(value.ravel().tolist(), rel=6e-3)


def test_a_number_a_token_and_what_is_not_finite(browser):
    with ts.scope("step", 1):
        a = ts.label(ts.tensor(np.array([1.0, np.inf, np.nan]), requires_grad=True), "a")
    with ts.scope("step", 2):
        loss = ts.label(ops.sum(a), "L")
    browser.open(draw.unrolled(loss))
    browser.hover(browser.node("a(1)") if browser.ids('[data-id="a(1)"]') else browser.node("a"))
    _, told = facts(browser)
    assert told["not finite"] == "2 elements"
    assert browser.text("#tip pre").split() == ["1", "inf", "nan"]
    browser.open(draw.unrolled(language_model(3)))
    browser.hover(browser.node("x(2)"))
    _, told = facts(browser)
    assert told["shape"] == "2"
    assert all(float(word).is_integer() for word in browser.text("#tip pre").split())


def test_an_edge_tells_its_parameters_and_delay(browser):
    browser.open(draw.unrolled(by_hand(3)))
    browser.hover(browser.js("return document.querySelectorAll('#circuit .edge .letter')[0]"))
    title, told = facts(browser)
    assert (title, told["through"]) in [("x → h", "U"), ("h → o", "V"), ("h → h", "W")]
    script = """return [...document.querySelectorAll("#unrolled .letter")]
      .find((e) => e.textContent === "W")"""
    browser.hover(browser.js(script))
    title, told = facts(browser)
    assert title in ("h(1) → h(2)", "h(2) → h(3)")
    assert told == {"through": "W", "delay": "1 step"}


def test_a_node_of_the_circuit_and_its_copies_know_each_other(browser):
    browser.open(draw.unrolled(by_hand(4), gradients=True))
    browser.hover(browser.node("h(2)"))
    assert browser.ids(".kin") == {"h"}
    browser.hover(browser.node("h"))
    assert browser.ids("#unrolled .kin") == {f"h({t})" for t in (1, 2, 3, 4)}
    title, told = facts(browser)
    assert title == "h" and told["steps"] == "4: h(1) to h(4)"
    browser.hover(browser.find("#status"))
    assert not browser.find("#tip").is_displayed() and browser.ids(".kin") == set()


@pytest.mark.parametrize("size", [(1280, 760), (390, 700)])
def test_the_tip_stays_on_the_page(size, browser):
    browser.open(draw.unrolled(lstm(4), gradients=True), size)
    inside = """const tip = document.querySelector("#tip").getBoundingClientRect();
    const main = document.querySelector("main").getBoundingClientRect();
    return tip.left >= main.left && tip.right <= main.right
      && tip.top >= main.top && tip.bottom <= main.bottom;"""
    for id in ("x(1)", "y(1)", "h(1)", "c"):
        browser.hover(browser.node(id))
        assert browser.find("#tip").is_displayed() and browser.js(inside), id


# -- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "end"), [("x(1)", "L(4)"), ("c(2)", "h(5)"), ("L(5)", "h(2)")])
def test_all_paths_between_two_nodes(start, end, browser):
    picture = draw.unrolled(lstm(5), gradients=True)
    graph = networkx.DiGraph([(e.source, e.target) for e in picture.graph.edges])
    first, last = (start, end) if networkx.has_path(graph, start, end) else (end, start)
    paths = list(networkx.all_simple_paths(graph, first, last))
    browser.open(picture)
    browser.node(start).click()
    assert browser.text("#status").startswith(f"{start} is chosen")
    browser.node(end).click()
    assert browser.ids(".node.met") == {node for path in paths for node in path}
    edges = {pair for path in paths for pair in zip(path, path[1:], strict=False)}
    assert len(browser.driver.find_elements("css selector", "#unrolled .edge.met")) == len(edges)
    lengths = Counter(len(path) - 1 for path in paths)
    sentence = browser.text("#status")
    assert sentence.startswith(f"{first} → {last}: {len(paths)} paths of lengths")
    found = re.findall(r"(\d+) of length (\d+)", sentence)
    assert {int(length): int(count) for count, length in found} == lengths


def test_paths_go_through_steps_that_are_not_shown(browser):
    browser.open(draw.unrolled(by_hand(60)))
    browser.node("x(1)").click()
    browser.node("o(60)").click()
    assert browser.text("#status") == "x(1) → o(60): 1 path of length 61"
    shown = {"x(1)", "h(1)", "h(2)", "h(3)", "h(59)", "h(60)", "o(60)"}
    assert browser.ids(".node.met") == shown


def test_very_many_paths_are_counted_too(browser):
    run = lstm(120)
    edges = [(e.source, e.target) for e in draw.unrolled(run, window="all").graph.edges]
    graph = networkx.DiGraph(edges)
    count = dict.fromkeys(graph, 0) | {"x(1)": 1}
    longest = dict.fromkeys(graph, 0)
    behind = graph.subgraph({*networkx.descendants(graph, "x(1)"), "x(1)"})
    for node in networkx.topological_sort(behind):
        for after in graph.successors(node):
            count[after] += count[node]
            longest[after] = max(longest[after], longest[node] + 1)
    shortest = networkx.shortest_path_length(graph, "x(1)", "L(120)")
    browser.open(draw.unrolled(run))
    browser.node("x(1)").click()
    browser.node("L(120)").click()
    sentence = browser.text("#status")
    told = float(re.search(r"about ([0-9.e+]+) paths", sentence)[1])
    assert told == pytest.approx(count["L(120)"], rel=0.06)
    assert sentence.endswith(f"paths of lengths {shortest} to {longest['L(120)']}")


def test_no_path_and_nothing_chosen(browser):
    browser.open(draw.unrolled(by_hand(3)))
    browser.node("y(1)").click()
    browser.node("x(2)").click()
    assert browser.text("#status") == "There is no path between y(1) and x(2)."
    assert not browser.js("return document.querySelector('#picture').matches('.tracing')")
    browser.press("\ue00c")  # Escape
    assert browser.ids(".chosen") == set()
    assert browser.text("#status").startswith("Choose two nodes")


def test_paths_of_the_circuit(browser):
    browser.open(draw.circuit(lstm(4)))
    browser.node("x").click()
    browser.node("o").click()
    assert browser.ids(".node.met") == {"x", "c", "h", "o"}
    assert browser.text("#status") == (
        "x → o: the shortest path has 2 edges and 0 steps of delay; longer ones go round the loops"
    )
    browser.open(draw.circuit(by_hand(4)))
    browser.node("o").click()
    browser.node("L").click()
    assert browser.text("#status") == "o → L: the shortest path has 1 edge and 0 steps of delay"


# -- keys -----------------------------------------------------------------------------------------

TAB, ENTER, ESCAPE = "\ue004", "\ue007", "\ue00c"
LEFT, UP, RIGHT, DOWN = "\ue012", "\ue013", "\ue014", "\ue015"


def focus_picture(browser):
    browser.js("document.querySelector('#help').focus()")
    browser.press(TAB)
    while browser.focused() is None:
        browser.press(TAB)


def test_everything_by_keys_alone(browser):
    browser.open(draw.unrolled(by_hand(4), gradients=True), prefers_reduced_motion="reduce")
    focus_picture(browser)
    start = browser.focused()
    assert browser.js("return document.querySelectorAll('.node[tabindex=\"0\"]').length") == 1
    browser.js("document.querySelector('[data-id=\"h(2)\"]').setAttribute('tabindex', 0)")
    browser.js("document.querySelector(`[data-id='${arguments[0]}']`).tabIndex = -1", start)
    browser.press(TAB)
    focus_picture(browser)
    assert browser.focused() == "h(2)"
    for key, there in (
        (RIGHT, "h(3)"),
        (UP, "o(3)"),
        (LEFT, "o(2)"),
        (DOWN, "h(2)"),
        (DOWN, "x(2)"),
    ):
        browser.press(key)
        assert browser.focused() == there
        assert facts(browser)[0] == there  # what the pointer shows, the focus shows too
    browser.press(DOWN)
    assert browser.focused() == "x(2)"  # there is nothing further down
    browser.press(ENTER, RIGHT, UP, ENTER)
    assert browser.text("#status") == "x(2) → h(3): 1 path of length 2"
    browser.press(ESCAPE)
    assert browser.ids(".met") == set()
    browser.press(" ")
    assert not browser.find("#unrolled").is_displayed()


def test_a_screen_reader_is_told_what_a_node_is(browser):
    browser.open(draw.unrolled(by_hand(3), gradients=True))
    node = browser.node("h(2)")
    assert node.get_attribute("role") == "button"
    told = node.get_attribute("aria-label")
    assert told.startswith("h(2): kind state") and "shape 2 × 4" in told and "gradient norm" in told
    assert browser.find("#status").get_attribute("role") == "status"


def test_keys_zoom_and_fit(browser):
    browser.open(draw.unrolled(by_hand(4)))
    fit = browser.scale()
    browser.press("+")
    assert browser.scale() == pytest.approx(1.3 * fit, rel=1e-3)
    browser.press("-", "-")
    assert browser.scale() == pytest.approx(fit / 1.3, rel=1e-3)
    before = browser.node("h(1)").rect["x"]
    browser.press(LEFT)  # with no node in focus the arrows move the picture
    assert browser.node("h(1)").rect["x"] == pytest.approx(before + 60, abs=1)
    browser.press("0")
    assert browser.scale() == pytest.approx(fit, rel=1e-3)


def test_help(browser):
    browser.open(draw.unrolled(by_hand(3)))
    browser.press("?")
    assert browser.find("#help-text").is_displayed()
    browser.press("+")  # the page behind does not listen meanwhile
    told = browser.text("#help-text")
    assert all(word in told for word in ("Space", "Enter", "Escape", "paths", "gradient"))
    browser.press(ESCAPE)
    assert not browser.find("#help-text").is_displayed()


# -- zoom and pan ---------------------------------------------------------------------------------


def wheel(browser, x, y, down):
    browser.devtools("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=down)


def middle(browser, id):
    script = """const box = arguments[0].getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];"""
    return browser.js(script, browser.find(f'[data-id="{id}"] rect'))


def test_the_wheel_zooms_where_the_pointer_is(browser):
    browser.open(draw.unrolled(by_hand(4)))
    x, y = middle(browser, "h(2)")
    scale = browser.scale()
    wheel(browser, x, y, -200)
    assert browser.scale() > 1.2 * scale
    assert middle(browser, "h(2)") == pytest.approx([x, y], abs=1)
    wheel(browser, x, y, 400)
    assert browser.scale() < scale


def test_dragging_moves_the_picture_and_chooses_nothing(browser):
    browser.open(draw.unrolled(by_hand(4)))
    x, y = middle(browser, "h(2)")

    def mouse(kind, dx, dy):
        at = {"x": x + dx, "y": y + dy, "button": "left", "clickCount": 1}
        browser.devtools("Input.dispatchMouseEvent", type=kind, **at)

    mouse("mousePressed", 0, 0)
    for part in (10, 40, 70):
        mouse("mouseMoved", part, -20)
    mouse("mouseReleased", 70, -20)
    assert middle(browser, "h(2)") == pytest.approx([x + 70, y - 20], abs=1)
    assert browser.ids(".chosen") == set()


def test_two_fingers_zoom(browser):
    browser.open(draw.unrolled(by_hand(4)))
    scale = browser.scale()

    def touch(kind, *xs):
        points = [{"x": x, "y": 400, "id": k} for k, x in enumerate(xs)]
        browser.devtools("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    touch("touchStart", 500)
    touch("touchStart", 500, 700)
    for x in (480, 460, 440, 400):
        touch("touchMove", x, 1200 - x)
    touch("touchEnd")
    assert browser.scale() == pytest.approx(2 * scale, rel=0.05)


# -- colours --------------------------------------------------------------------------------------


def luminance(browser, selector, property):
    """Of the colour that a property has, from 0 (black) to 1 (white)."""
    channels = browser.js(
        """const pen = document.createElement("canvas").getContext("2d");
        pen.fillStyle = getComputedStyle(document.querySelector(arguments[0]))[arguments[1]];
        pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);""",
        selector,
        property,
    )
    parts = [c / 255 for c in channels]
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], parts))


def contrast(a, b):
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_light_and_dark(theme, browser):
    browser.open(draw.unrolled(lstm(4)), prefers_color_scheme=theme)

    def check(dark):
        paper = luminance(browser, "body", "backgroundColor")
        assert paper < 0.02 if dark else paper > 0.9
        assert contrast(paper, luminance(browser, "body", "color")) > 12
        node = luminance(browser, '[data-id="x(1)"] rect', "fill")
        assert contrast(node, luminance(browser, '[data-id="x(1)"] text', "fill")) > 10
        assert contrast(node, luminance(browser, '[data-id="x(1)"] rect', "stroke")) > 10
        for state in ("h(1)", "c(1)"):
            assert contrast(paper, luminance(browser, f'[data-id="{state}"] rect', "stroke")) > 3
        assert contrast(paper, luminance(browser, "#status", "color")) > 4.5

    check(theme == "dark")
    browser.find("#theme").click()
    check(theme != "dark")
    browser.press("d")
    check(theme == "dark")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_gradients_as_colours(theme, browser):
    picture = draw.unrolled(one_step_counts(12), gradients=True)
    norms = {v.id: v.grad for v in picture.graph.vertices if v.grad is not None}
    browser.open(picture, prefers_color_scheme=theme)
    assert browser.find("#gradient").is_selected()
    states = sorted((f"h({t})" for t in range(1, 13)), key=norms.__getitem__)
    fills = [luminance(browser, f'[data-id="{id}"] rect', "fill") for id in states]
    assert fills == sorted(fills, reverse=theme == "light")
    for id, fill in zip(states, fills, strict=True):
        assert contrast(fill, luminance(browser, f'[data-id="{id}"] text', "fill")) > 4
    # On a scale of logarithms the ends are the least and the largest norm.
    ends = numbers(browser.text("#legend-low")) + numbers(browser.text("#legend-high"))
    assert ends == pytest.approx([min(norms.values()), max(norms.values())], rel=0.4)
    assert max(norms.values()) / min(norms.values()) > 1e3
    # The way back is as wide as the gradient is strong.
    widths = browser.js(
        """return [...document.querySelectorAll(".back path[stroke]")]
          .map((e) => e.getAttribute("stroke-width"))"""
    )
    assert len(widths) == 11 and len(set(widths)) == 11
    shown = browser.js("return [...document.querySelectorAll('.number')].map((e) => e.textContent)")
    assert len(shown) == len(norms)
    browser.find("#gradient").click()
    assert luminance(browser, '[data-id="h(12)"] rect', "fill") == pytest.approx(
        luminance(browser, '[data-id="x(1)"] rect', "fill")
    )
    assert not browser.find("#legend").is_displayed()
    browser.press("g")
    assert luminance(browser, '[data-id="h(12)"] rect', "fill") != fills[0]


def one_step_counts(steps):
    """A run whose loss is that of the last step: its gradient vanishes on the way back."""
    cell = nn.ElmanCell(3, 4, seed=0)
    hs, h = ts.unroll(cell, np.ones((steps, 1, 3), np.float32))
    return ts.label(ops.sum(h), "L")


def test_without_gradients_there_is_no_switch(browser):
    browser.open(draw.unrolled(by_hand(4)))
    assert not browser.find("#gradient-field").is_displayed()
    browser.press("g")
    assert not browser.find("#legend").is_displayed() and browser.complaints() == []


# -- what others wrote ----------------------------------------------------------------------------

HOSTILE = [
    '"><img src=x onerror="window.hacked = 1">',
    "</script><script>window.hacked = 1</script>",
    "<!--<script>",
    "javascript:window.hacked=1",
    "'; window.hacked = 1; '",
    "${window.hacked = 1}",
    "line\u2028separator",
    "\u202egnirts desrever",
    "</title><script>window.hacked = 1</script>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_labels_are_shown_as_text(text, browser):
    W, h = nn.Parameter(np.eye(2), text), np.ones((1, 2))
    for t in (1, 2, 3):
        with ts.scope(text, t):
            h = ts.label(ops.tanh(h @ W), text)
    browser.open(draw.unrolled(h, gradients=False, text={text: [text] * 3}))
    for element in browser.driver.find_elements("css selector", ".node"):
        browser.hover(element)
    browser.find("#unrolled .node").click()
    assert browser.js("return window.hacked") is None
    assert browser.js("return document.images.length + document.links.length") == 0
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(("data:", "file:"))] == []
    shown = browser.js("return document.querySelector('#circuit .node text').textContent")
    assert shown == name(text).plain


def test_the_policy_forbids_the_network_and_other_scripts(browser):
    browser.open(draw.unrolled(by_hand(3)))
    broken = browser.driver.execute_async_script(
        """const done = arguments[0], broken = [];
        const note = (event) => broken.push(event.effectiveDirective);
        document.addEventListener("securitypolicyviolation", note);
        const add = (name, values) =>
          document.body.append(Object.assign(document.createElement(name), values));
        fetch("http://127.0.0.1:9/").catch(() => {});
        add("script", { textContent: "window.hacked = 1" });
        add("script", { src: "http://127.0.0.1:9/x.js" });
        add("style", { textContent: "body { display: none }" });
        add("img", { src: "http://127.0.0.1:9/x.png" });
        setTimeout(() => done(broken), 300);"""
    )
    assert {"connect-src", "script-src-elem", "style-src-elem", "img-src"} <= set(broken)
    assert browser.js("return window.hacked") is None


# -- levels, notebooks, speed ---------------------------------------------------------------------


def test_levels_of_detail(browser):
    run = lstm(3)
    browser.open(draw.unrolled(run))
    assert browser.text("#level").split() == list(LEVELS)
    for level in reversed(LEVELS):
        browser.find(f"#level option[value={level}]").click()
        for layer, picture in (
            ("unrolled", draw.unrolled(run, detail=level)),
            ("circuit", draw.circuit(run, detail=level)),
        ):
            assert browser.places(layer).keys() == {v.id for v in picture.graph.vertices}
    assert browser.complaints() == []


def test_a_page_opens_at_the_level_of_its_picture(browser):
    run = lstm(3)
    picture = draw.circuit(run, detail="ops")
    browser.open(picture)
    places = browser.places("circuit")
    for disc in picture.scene.discs:
        assert places[disc.vertex.id] == pytest.approx((disc.x, -disc.y), abs=0.02)
    frames = browser.fold()
    assert frames[-1][1].keys() == {v.id for v in draw.unrolled(run, detail="ops").graph.vertices}
    browser.press("0")
    browser.hover(browser.node("map 1(2)"))
    title, told = facts(browser)
    assert title == "U_i x + W_i h(2)" and told["kind"] == "product with parameters"
    assert browser.complaints() == []


def test_one_level_needs_no_choice(browser, tmp_path):
    page = draw.unrolled(by_hand(3)).page
    path = tmp_path / "level.html"
    level = {"variables": page.levels["variables"]}
    path.write_text(Page(level, page.start, "one level").html, encoding="utf-8")
    browser.open_file(path)
    assert not browser.find("#level-field").is_displayed()
    assert len(browser.places("unrolled")) == 15


def test_in_a_notebook_it_is_a_frame_of_its_own(browser, tmp_path):
    frame = draw.unrolled(by_hand(3)).page._repr_html_()
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>a notebook</title>{frame}", encoding="utf-8")
    browser.open_file(path)
    assert browser.complaints() == []
    browser.driver.switch_to.frame(0)
    try:
        assert len(browser.places("unrolled")) == 15
        browser.press("?")
        browser.node("h(2)").click()
        reached = "try { return parent.document.title } catch { return null }"
        assert browser.js(reached) is None
    finally:
        browser.driver.switch_to.default_content()


def first_paint(browser):
    """Seconds until something was to be seen."""
    for _ in range(100):
        found = browser.js(
            "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
        )
        if found is not None:
            return found / 1000
        time.sleep(0.05)
    raise AssertionError("nothing was painted")


def test_first_paint(browser):
    picture = draw.unrolled(lstm(12), gradients=True)
    times = []
    for _ in range(3):
        browser.open(picture)
        times.append(first_paint(browser))
    assert min(times) < 0.5


def test_a_thousand_nodes(browser):
    run = by_hand(1000)
    browser.open(draw.unrolled(run, gradients=True))
    assert first_paint(browser) < 2
    browser.set("#steps", 1000)
    assert len(browser.places("unrolled")) == 1000  # of 5000, in 200 of 1000 steps
    assert browser.text("#steps-shown") == "200 of 1000"
    assert browser.complaints() == []
    wheel(browser, 640, 400, -100)
    frames = browser.fold()
    assert frames[-1][0] == 0 and len(frames) > 5
    browser.open(draw.unrolled(by_hand(200), window="all"))
    assert first_paint(browser) < 2
    assert len(browser.places("unrolled")) == 1000
