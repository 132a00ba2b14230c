"""The graphical model of a run: who depends on whom, checked against the book and by hand."""

import networkx
import numpy as np
import pytest

import tinyseq as ts
from draw.runs import H, I, K, bidirectional, one_output, with_cell
from tinyseq import draw, nn, ops
from tinyseq.draw.graphical import dependences
from tinyseq.draw.scene import BLACK
from tinyseq.errors import DrawError


def forced(steps: int, inputs: int = 0, hidden_recurrence: bool = True):
    """A network that reads its last target, with x at every step if ``inputs`` (figure 10.10)."""
    rng = np.random.default_rng(0)
    ys = rng.normal(size=(steps, 1, K))
    xs = rng.normal(size=(steps, 1, inputs)) if inputs else None
    cell = nn.OutputRecurrentCell(inputs, H, K, hidden_recurrence, seed=0)
    return nn.SequenceModel(cell, loss=nn.mse).loss(nn.Forced(xs, ys), ys)[0]


def language_model(steps: int, copied: bool = False):
    ids = np.random.default_rng(1).integers(0, K, (steps + 1, 1))
    model = ts.models.LanguageModel(K, H, cell="gru", seed=0)
    return model.loss(ids[:-1].copy() if copied else ids[:-1], ids[1:])[0]


def arrows(picture) -> networkx.DiGraph:
    graph = networkx.DiGraph()
    for v in picture.graph.vertices:
        graph.add_node(v.id, label=v.label, kind=v.kind)
    for e in picture.graph.edges:
        graph.add_edge(e.source, e.target, delay=e.delay)
    return graph


def by_hand(text: str) -> networkx.DiGraph:
    """``a > b c; b > c``: arrows from a to b and c, and from b to c."""
    graph = networkx.DiGraph()
    for part in text.split("; "):
        source, targets = part.split(" > ")
        for target in targets.split():
            graph.add_edge(source, target, delay=_time(target) - _time(source))
    for name in graph:
        graph.nodes[name]["label"] = name[0]
    return graph


def _time(id: str) -> int:
    return int(id[2:-1])


def same(a: networkx.DiGraph, b: networkx.DiGraph) -> bool:
    return networkx.is_isomorphic(
        a, b, lambda m, n: m["label"] == n["label"], lambda m, n: m["delay"] == n["delay"]
    )


def test_figure_10_7_is_the_complete_graph():
    steps = range(1, 6)
    complete = by_hand("; ".join(f"y({i}) > " + " ".join(f"y({j})" for j in steps if j > i)
                                 for i in steps if i < 5))  # fmt: skip
    found = arrows(draw.graphical_model(forced(5)))
    assert len(found.edges) == 10 and networkx.is_directed_acyclic_graph(found)
    assert same(found, complete)
    assert set(found.edges) == set(complete.edges)


def test_figure_10_8_goes_through_the_states():
    found = arrows(draw.graphical_model(forced(4), hidden=True))
    book = by_hand(
        "h(1) > y(1) h(2); y(1) > h(2); h(2) > y(2) h(3); y(2) > h(3); h(3) > y(3) h(4); "
        "y(3) > h(4); h(4) > y(4)"
    )
    assert same(found, book) and set(found.edges) == set(book.edges)
    assert {k for _, k in found.nodes(data="kind")} == {"state", "variable"}


@pytest.mark.parametrize("inputs", [0, I])
def test_the_graph_without_the_states_is_what_goes_through_them(inputs: int):
    """Marginalising deterministic nodes leaves the ways from given values through them."""
    shown = arrows(draw.graphical_model(forced(5, inputs), hidden=True))
    left_out = arrows(draw.graphical_model(forced(5, inputs)))
    states = {n for n, kind in shown.nodes(data="kind") if kind == "state"}
    for a in set(shown) - states:
        within = shown.subgraph(states | {a})
        ends = {b for s in networkx.descendants(within, a) for b in shown.successors(s)} - states
        assert ends == set(left_out.successors(a))


def test_given_inputs_condition_what_comes_after_them():
    """Figure 10.10: y(t) depends on the ys before it and on x(1) ... x(t), which are given."""
    picture = draw.graphical_model(forced(4, I))
    found = arrows(picture)
    for t in range(1, 5):
        expected = {f"x({s})" for s in range(1, t + 1)} | {f"y({s})" for s in range(1, t)}
        assert set(found.predecessors(f"y({t})")) == expected
    assert all(not list(found.predecessors(f"x({t})")) for t in range(1, 5))
    shaded = {d.vertex.id for d in picture.scene.discs if d.fill != "#ffffff"}
    assert shaded == {f"x({t})" for t in range(1, 5)}


def test_without_feedback_the_targets_are_independent_given_x():
    """Figure 10.3: eq. 10.35, P(y | x) is a product over t."""
    found = arrows(draw.graphical_model(with_cell(nn.LSTMCell)(4)))
    edges = {(f"x({s})", f"y({t})") for t in range(1, 5) for s in range(1, t + 1)}
    assert set(found.edges) == edges


def test_without_hidden_recurrence_only_the_last_target_is_read():
    """Figure 10.6: a chain; the forced target is all that a step knows of the past."""
    found = arrows(draw.graphical_model(forced(4, hidden_recurrence=False)))
    assert set(found.edges) == {(f"y({t})", f"y({t + 1})") for t in range(1, 4)}


def test_a_bidirectional_network_reads_all_inputs():
    found = arrows(draw.graphical_model(bidirectional(3)))
    assert set(found.edges) == {(f"x({s})", f"y({t})") for s in (1, 2, 3) for t in (1, 2, 3)}


def test_one_target_at_the_end():
    picture = draw.graphical_model(one_output(3))
    assert {(e.source, e.target) for e in picture.graph.edges} == {
        (f"x({t})", "y") for t in (1, 2, 3)
    }


def test_a_text_is_one_sequence_read_and_predicted():
    """x(t + 1) and y(t) are the same elements of one array, so they are one variable."""
    found = arrows(draw.graphical_model(language_model(4)))
    names = ["x(1)", "y(1)", "y(2)", "y(3)", "y(4)"]
    assert set(found.edges) == {(a, b) for k, a in enumerate(names) for b in names[k + 1 :]}


def test_the_user_says_what_is_fed_back():
    apart = arrows(draw.graphical_model(language_model(4, copied=True)))
    assert ("y(1)", "y(2)") not in apart.edges and ("x(2)", "y(2)") in apart.edges
    told = arrows(draw.graphical_model(language_model(4, copied=True), feedback={"x": "y"}))
    assert same(told, arrows(draw.graphical_model(language_model(4))))


def test_what_the_user_says_is_checked():
    with pytest.raises(DrawError, match=r"x\(2\) is y\(1\), but the run read another value"):
        ids = np.arange(4)[:, None] % K
        model = ts.models.LanguageModel(K, H, cell="elman", seed=0)
        draw.graphical_model(model.loss(ids, (ids + 2) % K)[0], feedback={"x": "y"})
    with pytest.raises(DrawError, match="the inputs are x, the targets y"):
        draw.graphical_model(language_model(3, copied=True), feedback={"z": "y"})


def test_a_copied_input_that_is_its_own_target_is_no_model():
    """A network that reads what it is to put out says nothing about its probability."""
    xs = np.random.default_rng(0).normal(size=(3, 1, I))
    model = nn.SequenceModel(nn.ElmanCell(I, H, seed=0), nn.Linear(H, I, seed=1), nn.mse)
    with pytest.raises(DrawError, match=r"y\(\d\) depends on itself"):
        draw.graphical_model(model.loss(xs, xs)[0])


def test_two_that_depend_on_each_other_are_no_model():
    """Both ways over the same sequence: each y would be predicted from the next."""
    ids = np.random.default_rng(0).integers(0, K, (4, 1))
    xs = nn.one_hot(ids, K)
    both, _ = nn.RNN(K, H, bidirectional=True, seed=0)(xs[:-1])
    read, total = nn.Linear(2 * H, K, seed=1), 0.0
    for t, state in enumerate(ops.unbind(both), 1):
        with ts.scope("step", t):
            o = ts.label(read(state), "o")
            total = total + ts.label(nn.mse(o, ts.label(xs[t], "y")), "L")
    with pytest.raises(DrawError, match="depends on"):
        draw.graphical_model(total, feedback={"x": "y"})


@pytest.mark.parametrize("outputs", ["outputs", "total"])
def test_without_labelled_losses_there_is_no_model(outputs: str):
    hs, _ = ts.unroll(nn.ElmanCell(I, H, seed=0), np.ones((3, 1, I)))
    with pytest.raises(DrawError, match="without a loss"):
        draw.graphical_model(hs if outputs == "outputs" else ops.sum(hs))


def test_observed_variables_are_shaded():
    """Book, section 10.2.3: y(3) is missing in the middle, the others are known."""
    known = [f"y({t})" for t in (1, 2, 4, 5)]
    picture = draw.graphical_model(forced(5), observed=known)
    shaded = {d.vertex.id for d in picture.scene.discs if d.fill != "#ffffff"}
    assert shaded == set(known)
    whole = draw.graphical_model(forced(3), observed="y").scene.discs
    assert all(d.fill != "#ffffff" for d in whole)
    with pytest.raises(DrawError, match=r"no variable z; there are y"):
        draw.graphical_model(forced(3), observed=["z"])


@pytest.mark.parametrize("hidden", [False, True])
def test_later_steps_are_one_dashed_column(hidden: bool):
    picture = draw.graphical_model(forced(7), hidden=hidden, window=5)
    dashed = {d.vertex.id for d in picture.scene.discs if d.is_dashed}
    assert dashed == ({"y(…)", "h(…)"} if hidden else {"y(…)"})
    into = {w.edge.source for w in picture.scene.wires if w.dashed}
    assert into == ({"h(5)", "y(5)", "h(…)"} if hidden else {f"y({t})" for t in range(1, 6)})
    assert picture.graph.times == tuple(range(1, 8)) and picture.graph.shown == tuple(range(1, 6))
    assert same(arrows(picture), arrows(draw.graphical_model(forced(5), hidden=hidden)))


def test_long_runs_show_the_first_steps():
    assert draw.graphical_model(forced(8)).graph.shown == tuple(range(1, 9))
    picture = draw.graphical_model(forced(300))
    assert picture.graph.shown == (1, 2, 3, 4, 5)
    assert len({e.target for e in picture.graph.cut}) == 295
    for window in (0, "all"):
        with pytest.raises(DrawError, match="how many steps"):
            draw.graphical_model(forced(3), window=window)


def test_a_vertex_knows_all_that_it_depends_on():
    found = dependences(forced(60))
    assert [bits.bit_count() for bits in found.parents] == list(range(60))


def test_nodes_and_arcs_keep_apart():
    """Every arc between two nodes of a row passes by the nodes between them."""
    scene = draw.graphical_model(forced(8)).scene
    at = {d.vertex.id: d for d in scene.discs}
    assert len({d.y for d in scene.discs}) == 1
    xs = [d.x for d in sorted(scene.discs, key=lambda d: d.vertex.time)]
    assert xs == sorted(xs)
    for wire in scene.wires:
        for t in np.linspace(0, 1, 60):
            p = np.array(wire.curve).T @ [(1 - t)**3, 3*t*(1-t)**2, 3*t*t*(1-t), t**3]  # fmt: skip
            for id, disc in at.items():
                if id not in (wire.edge.source, wire.edge.target):
                    assert np.hypot(*(p - [disc.x, disc.y])) > disc.width / 2 + 3
    assert {d.line for d in scene.discs} == {BLACK}


def test_it_is_drawn(tmp_path):
    picture = draw.graphical_model(forced(6), window=4)
    text = picture.save(tmp_path / "model.svg").read_text()
    assert text.count("stroke-dasharray") >= 5
    page = picture.page
    assert page.levels["graphical model"]["columns"] == [0, 1, 2, 3]  # of the six that it has
    assert picture.save(tmp_path / "model.html").read_text() == page.html
