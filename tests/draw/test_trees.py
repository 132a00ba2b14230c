"""Recurrences over trees: figure 10.14, and trees of other shapes."""

from itertools import combinations

import numpy as np
import pytest

import tinyseq as ts
from draw.runs import same
from tinyseq import draw, nn, ops
from tinyseq.draw.curves import holds, sampled
from tinyseq.errors import FoldError
from tinyseq.recurrence import balanced_tree, chain_tree, forest, nested_tree, unroll_tree
from visualizations.scripts import picture


def loss(tree, cell=None, text=None):
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(tree.input_count, 2, 3))
    _, h = unroll_tree(cell or nn.RecursiveCell(3, 4, seed=0), tree, xs)
    o = ts.label(ops.identity(h), "o")
    targets = np.zeros(o.shape[0], dtype=int)
    return ts.label(nn.cross_entropy(o, ts.label(targets, "y")), "L")


def wiring(graph):
    return [(e.source, ",".join(e.parameters), e.target, str(e.delay)) for e in graph.edges]


def expected(children):
    """The graph of a tree that is written down as {parent: (left, right)}, with names of nodes."""
    edges = [("o", "", "L", "0"), ("y", "", "L", "0"), ("h(root)", "", "o", "0")]
    for parent, pair in children.items():
        for number, (letter, child) in enumerate(zip("UW", pair, strict=True), 1):
            edges.append((f"h({child})", letter, f"h({parent})", f"({number},)"))
            if child not in children:
                edges.append((f"x({child})", "V", f"h({child})", "0"))
    return edges


FIG_14 = {"root": ("a", "b"), "a": ("c", "d"), "b": ("e", "f")}
UNEVEN = {"root": ("a", "b"), "b": ("c", "d"), "c": ("e", "f")}


def test_is_figure_14():
    assert same(wiring(draw.unrolled(loss(balanced_tree(4))).graph), expected(FIG_14))


def test_the_gallery_shows_figure_14():
    assert same(wiring(picture("fig_10_14_balanced.svg").graph), expected(FIG_14))


def test_is_an_uneven_tree():
    graph = draw.unrolled(loss(nested_tree((0, ((1, 2), 3))))).graph
    assert same(wiring(graph), expected(UNEVEN))
    assert not same(wiring(graph), expected(FIG_14))
    mirrored = {**UNEVEN, "b": ("d", "c")}
    assert not same(wiring(graph), expected(mirrored))


TREES = {
    "figure 10.14": balanced_tree(4),
    "seven leaves": balanced_tree(7),
    "uneven": nested_tree((0, ((1, 2), (3, (4, 5))))),
    "chain": chain_tree(6),
    "two trees": forest([balanced_tree(4), nested_tree((0, (1, 2)))]),
}


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("detail", ["variables", "ops"])
def test_nothing_overlaps(name, detail):
    scene = draw.unrolled(loss(TREES[name]), detail=detail).scene
    for a, b in combinations(scene.discs, 2):
        apart_x = abs(a.x - b.x) - (a.width + b.width) / 2
        apart_y = abs(a.y - b.y) - (a.height + b.height) / 2
        assert max(apart_x, apart_y) > 8, (a.vertex.id, b.vertex.id)
    for wire in scene.wires:
        points = [p for k in range(0, len(wire.curve) - 1, 3) for p in sampled(wire.curve[k:][:4])]
        for disc in scene.discs:
            if disc.vertex.id not in (wire.start, wire.end):
                assert not any(holds(disc, p, 2) for p in points)
    for wire in scene.wires:
        if wire.label:
            assert not any(holds(d, (wire.label.x, wire.label.y), 4) for d in scene.discs)


@pytest.mark.parametrize("name", ["figure 10.14", "uneven", "chain"])
def test_levels_are_rows_and_parents_stand_over_their_children(name):
    at = {d.vertex.time: d for d in draw.unrolled(loss(TREES[name])).scene.discs if d.vertex.kind
          == "state"}  # fmt: skip
    levels = {len(time): d.y for time, d in at.items()}
    assert len(set(levels.values())) == len(levels)
    for time, disc in at.items():
        assert disc.y == levels[len(time)]
        below = [at[c].x for c in at if c[:-1] == time and c]
        if below:
            assert disc.y > levels[len(time) + 1]
            assert disc.x == pytest.approx(sum(below) / 2)
    leaves = [d for d in draw.unrolled(loss(TREES[name])).scene.discs if d.vertex.label == "x"]
    ordered = sorted(leaves, key=lambda d: d.x)
    assert [d.name.superscript for d in ordered] == [f"({k + 1})" for k in range(len(leaves))]
    assert [d.vertex.time for d in ordered] == sorted(d.vertex.time for d in leaves)


def test_a_cell_with_two_states_and_an_output():
    W = nn.Parameter(np.eye(3), "W")

    def step(x, children):
        c = ops.linear(x, W) if not children else sum(c for _, c in children)
        h = ops.tanh(c)
        return ts.label(h * 2, "z"), (ts.label(h, "h"), ts.label(c, "c"))

    rng = np.random.default_rng(0)
    outputs, _ = unroll_tree(step, balanced_tree(4), rng.normal(size=(4, 2, 3)))
    discs = draw.unrolled(outputs).scene.discs
    assert {d.vertex.label for d in discs} == {"x", "h", "c", "z"}
    for a, b in combinations(discs, 2):
        assert abs(a.x - b.x) > 60 or abs(a.y - b.y) > 60, (a.vertex.id, b.vertex.id)


def test_a_tree_has_no_circuit_and_says_why():
    for detail in ("variables", "ops"):
        with pytest.raises(FoldError, match="over a tree has no circuit.*draw.unrolled"):
            draw.circuit(loss(balanced_tree(4)), detail=detail)


def test_large_trees_are_drawn_whole():
    graph = draw.unrolled(loss(balanced_tree(100))).graph
    assert len(graph.vertices) == 199 + 100 + 3


def leaves_of(kind):
    """Four inputs that are labelled before the recurrence over the tree begins."""
    data = np.random.default_rng(0).normal(size=(4, 2, 3))
    if kind == "one label":
        return [ts.label(ts.tensor(x), "x") for x in data]
    if kind == "a label each":
        return [ts.label(ts.tensor(x), f"w{k}") for k, x in enumerate(data)]
    return nn.Embedding(5, 3, seed=0)(ts.label(np.array([[1], [2], [3], [4]]), "w"))


@pytest.mark.parametrize("kind", ["one label", "a label each", "words of a lexicon"])
def test_inputs_from_outside_stand_below_their_leaves(kind):
    _, h = unroll_tree(nn.RecursiveCell(3, 4, seed=0), ((0, 1), (2, 3)), leaves_of(kind))
    scene = draw.unrolled(h).scene
    at = {disc.vertex.id: disc for disc in scene.discs}
    read = [(at[w.edge.source], at[w.edge.target]) for w in scene.wires if "V" in w.edge.parameters]
    assert len(read) == 4
    for x, leaf in read:
        assert x.x == leaf.x and x.y < leaf.y
        assert x.vertex.time == leaf.vertex.time
    words = [disc for disc in scene.discs if disc.vertex.time is None]
    assert len(words) == (kind == "words of a lexicon")
    assert all(word.y < min(x.y for x, _ in read) for word in words)
