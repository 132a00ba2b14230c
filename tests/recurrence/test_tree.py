"""Trees as data: what they are made of, their shapes, and what is no tree."""

import ast
from math import ceil, log2
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyseq.errors import ConfigError, DataError
from tinyseq.recurrence import (
    Position,
    Tree,
    balanced_tree,
    chain_tree,
    expression_tree,
    forest,
    nested_tree,
)

# Nested tuples whose leaves are yet to be numbered.
SHAPES = st.recursive(st.none(), lambda inner: st.lists(inner, min_size=1, max_size=3).map(tuple))


def numbered(shape: Any) -> Any:
    """The shape with its leaves numbered from left to right."""
    count = iter(range(10**6))

    def walk(part: Any) -> Any:
        return next(count) if part is None else tuple(walk(p) for p in part)

    return walk(shape)


def nested(tree: Tree, k: int | None = None) -> Any:
    """The tree as nested tuples again."""
    k = tree.roots[0] if k is None else k
    return tuple(nested(tree, c) for c in tree.children[k]) or tree.inputs[k]


def as_networkx(tree: Tree) -> nx.DiGraph:
    """The tree with edges from parent to child."""
    graph = nx.DiGraph((k, c) for k, row in enumerate(tree.children) for c in row)
    graph.add_nodes_from(range(len(tree.children)))
    return graph


@given(SHAPES)
def test_nested_tuples_and_back(shape: Any):
    assert nested(nested_tree(numbered(shape))) == numbered(shape)


@given(SHAPES)
def test_order_heights_and_depth_are_those_of_the_graph(shape: Any):
    tree = nested_tree(numbered(shape))
    graph = as_networkx(tree)
    assert nx.is_arborescence(graph)
    assert sorted(tree.order) == list(range(len(tree.children)))
    at = {k: place for place, k in enumerate(tree.order)}
    assert all(at[c] < at[k] for k, c in graph.edges)
    assert tree.depth == nx.dag_longest_path_length(graph)
    for k, height in enumerate(tree.heights):
        assert height == nx.dag_longest_path_length(graph.subgraph(nx.descendants(graph, k) | {k}))


@given(SHAPES)
def test_a_position_is_the_way_from_the_root(shape: Any):
    tree = nested_tree(numbered(shape))
    for k, position in enumerate(tree.positions()):
        at = tree.roots[0]
        for number in position:
            at = tree.children[at][number - 1]
        assert at == k


@pytest.mark.parametrize("leaves", [1, 2, 3, 4, 5, 7, 8, 9, 100, 128, 129])
def test_a_balanced_tree_is_as_flat_as_can_be(leaves: int):
    tree = balanced_tree(leaves)
    assert tree.depth == ceil(log2(leaves))
    assert len(tree.children) == 2 * leaves - 1 and len(tree.roots) == 1
    read = [tree.inputs[k] for k in tree.order if tree.inputs[k] is not None]
    assert read == list(range(leaves))  # from left to right


def test_chains():
    assert nested(chain_tree(4)) == (((0, 1), 2), 3)
    assert nested(chain_tree(4, "right")) == (0, (1, (2, 3)))
    assert nested(chain_tree(1)) == nested(chain_tree(1, "right")) == 0
    assert chain_tree(100).depth == 99


def test_children_may_come_as_an_array():
    tree = Tree(np.array([[1, 2], [-1, -1], [4, 3], [-1, -1], [-1, -1]]))
    assert nested(tree) == (0, (2, 1))  # leaves read inputs in the order of their numbers
    tree = Tree(np.array([[1, 2], [-1, -1], [-1, -1]]), np.array([-1, 5, 3]))
    assert nested(tree) == (5, 3) and tree.input_count == 6


def test_trees_side_by_side():
    both = forest([nested_tree((0, 1)), nested_tree(((0, 1), 2))])
    assert [nested(both, root) for root in both.roots] == [(0, 1), ((2, 3), 4)]
    positions = {both.inputs[k]: tuple(p) for k, p in enumerate(both.positions())}
    assert positions[1] == (1, 2) and positions[3] == (2, 1, 2)


def test_positions_are_equal_if_the_ways_are():
    first, second = balanced_tree(4).positions(), balanced_tree(4).positions()
    assert first == second and len(set(first + second)) == 7
    assert first[0] != first[1] and first[0] != (1, 1)
    assert repr(Position(None, 0)) == "()" and repr(Position(Position(None, 0), 2)) == "(2)"


def test_a_long_position_is_shortened():
    assert repr(chain_tree(15).positions()[0]) == "(1, 1, 1, 1, 1, 1, ... 5 more ..., 1, 1, 1)"


def test_depth_is_no_obstacle():
    deep: Any = 0
    for k in range(1, 30_000):
        deep = (deep, k)
    tree = nested_tree(deep)
    assert tree.depth == 29_999
    assert sum(1 for _ in tree.positions()[tree.order[0]]) == 29_999


# Parse trees.


def words(nested_tokens: Any, tokens: list[str]) -> Any:
    if isinstance(nested_tokens, tuple):
        return tuple(words(part, tokens) for part in nested_tokens)
    return tokens[nested_tokens]


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("x", "x"),
        ("-x", ("-", "x")),
        ("a * b", ("a", ("*", "b"))),
        ("2 * (x + y) - z", (("2", ("*", ("x", ("+", "y")))), ("-", "z"))),
        ("a and b and c", ("a", ("and", ("b", ("and", "c"))))),
        ("0 <= i < n", ("0", ("<=", ("i", ("<", "n"))))),
        ("f(a, k=1)", ("f", ("()", ("a", ("k", "1"))))),
        ("f()", ("f", "()")),
        ("m.n[3]", (("m", (".", "n")), ("[]", "3"))),
        ("p if q else 'r'", ("p", ("if", ("q", ("else", "'r'"))))),
        ("[a, b]", ("List", ("a", "b"))),
    ],
)
def test_parse_trees(source: str, tree: Any):
    parsed, tokens = expression_tree(source)
    assert words(nested(parsed), tokens) == tree


def test_the_leaves_read_as_the_source():
    source = "(alpha + beta) ** 2 / (gamma - 3.5) % delta"
    _, tokens = expression_tree(source)
    assert "".join(tokens) == source.translate(str.maketrans("", "", "() "))


def test_every_expression_of_a_module_of_python_has_a_binary_tree():
    with open(ast.__file__, encoding="utf-8") as file:
        module = ast.parse(file.read())
    inner = ast.Starred | ast.Slice | ast.FormattedValue  # parts that are no expression alone
    expressions = [
        n for n in ast.walk(module) if isinstance(n, ast.expr) and not isinstance(n, inner)
    ]
    assert len(expressions) > 1000
    for expression in expressions:
        tree, tokens = expression_tree(ast.unparse(expression))
        assert {len(row) for row in tree.children} <= {0, 2}
        assert len(tree.children) == 2 * len(tokens) - 1


@pytest.mark.parametrize("source", ["a +", "x = 1", "", "1 if 2", "\0"])
def test_what_is_no_expression(source: str):
    with pytest.raises(DataError, match="is no Python expression"):
        expression_tree(source)


# What is no tree.


@pytest.mark.parametrize(
    ("children", "inputs", "message"),
    [
        ([], (), "at least one node"),
        ([(1,)], (), "node 0 has the child 1, of 1 nodes"),
        ([(), (-2,)], (), "node 1 has the child -2"),
        ([(), (0,), (0,)], (), "node 0 is a child of node 1 and of node 2"),
        ([(), (0, 0)], (), "node 0 is a child of node 1 and of node 1"),
        ([(), (2,), (1,)], (), r"no root leads to the nodes \[1, 2\]: they form a cycle"),
        ([(0,)], (), r"no root leads to the nodes \[0\]"),
        ([()], (0, 1), "1 nodes, but inputs for 2"),
        ([()], (-3,), "node 0 reads input -3"),
        ([("a",)], (), "integers as numbers, not 'a'"),
        ([(0.0,)], (), "integers as numbers, not 0.0"),
        ([()], (True,), "integers as numbers, not True"),
    ],
)
def test_malformed_trees(children: Any, inputs: Any, message: str):
    with pytest.raises(DataError, match=message):
        Tree(children, inputs)


@pytest.mark.parametrize(
    ("entry", "message"), [((), "empty tuple"), ((0, ()), "empty tuple"), ((0, "b"), "not 'b'")]
)
def test_malformed_nested_tuples(entry: Any, message: str):
    with pytest.raises(DataError, match=message):
        nested_tree(entry)


def test_wrong_arguments():
    with pytest.raises(DataError, match="balanced_tree: a tree has at least one leaf, not 0"):
        balanced_tree(0)
    with pytest.raises(DataError, match="chain_tree: a tree has at least one leaf, not -1"):
        chain_tree(-1)
    with pytest.raises(ConfigError, match="'left' or 'right', not 'up'"):
        chain_tree(3, "up")
