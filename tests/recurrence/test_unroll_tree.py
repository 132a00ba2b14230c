"""unroll_tree: values and gradients, node by node and by level, and what is refused."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strict_cupy
import tinyseq as ts
from recurrence.test_tree import SHAPES, numbered
from tinyseq import ops
from tinyseq.errors import DataError, ShapeError, StructureError
from tinyseq.recurrence import (
    Tree,
    balanced_tree,
    chain_tree,
    forest,
    nested_tree,
    unroll,
    unroll_tree,
)

N, H = 2, 3


class State(NamedTuple):
    h: Any
    c: Any


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def leaves(count: int = 4, seed: int = 1) -> list[ts.Tensor]:
    return [ts.tensor(numbers(H, H, seed=seed + k) / 2, requires_grad=True) for k in range(count)]


def weighing(weights: list[ts.Tensor]) -> Any:
    """A cell for any number of children, whose state has two arrays; children are told apart."""
    own, first, second, third = weights

    def cell(x: Any, children: Any) -> Any:
        h: Any = 0.3 if x is None else ops.linear(x, own)
        c: Any = 0.0
        for weight, child in zip((first, second, third), children, strict=False):
            h = h + ops.linear(child.h, weight)
            c = c + child.c * 0.5 + child.h
        h = ops.tanh(h)
        return h * 2.0, State(h, c + h)

    return cell


def recursion(cell: Any, nested: Any, xs: Any) -> Any:
    """The definition: the state of nested tuples."""
    if isinstance(nested, tuple):
        return cell(None, tuple(recursion(cell, part, xs) for part in nested))[1]
    return cell(xs[nested], ())[1]


@pytest.mark.parametrize("by_level", [False, True])
@given(shape=SHAPES)
def test_is_the_recursion(by_level: bool, shape: Any):
    nested, cell = numbered(shape), weighing(leaves())
    xs = numbers(nested_tree(nested).input_count, N, H)
    _, state = unroll_tree(cell, nested, xs, by_level=by_level)
    expected = recursion(cell, nested, xs)
    np.testing.assert_allclose(state.h.data, expected.h.data, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(state.c.data, expected.c.data, rtol=1e-12, atol=1e-12)


@given(shapes=st.lists(SHAPES, min_size=1, max_size=4))
def test_by_level_is_node_by_node(shapes: list[Any]):
    tree = forest([nested_tree(numbered(shape)) for shape in shapes])
    weights = leaves()
    x = ts.tensor(numbers(tree.input_count, N, H), requires_grad=True)
    found = []
    for by_level in (False, True):
        outputs, state = unroll_tree(weighing(weights), tree, x, by_level=by_level)
        loss = (outputs * numbers(*outputs.shape)).sum() + (state.c * state.h).sum()
        gradients = ts.grad(loss, [x, *weights], allow_unused=True)
        found.append([outputs.data, state.h.data, state.c.data, *gradients])
    assert found[0][0].shape == (len(tree.children), N, H)
    assert found[0][1].shape == (len(shapes) * N, H)
    for one, other in zip(*found, strict=True):
        if one is None or other is None:  # no node with so many children
            assert one is other
        else:
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("by_level", [False, True])
def test_nodes_with_children_may_read_inputs_too(by_level: bool):
    tree = Tree([(1, 2), (), (3,), ()], [0, 2, 1, 3])
    cell, xs = weighing(leaves()), numbers(4, N, H)
    outputs, state = unroll_tree(cell, tree, xs, by_level=by_level)
    one, three = cell(xs[2], ()), cell(xs[3], ())
    two = cell(xs[1], (three[1],))
    root = cell(xs[0], (one[1], two[1]))
    np.testing.assert_allclose(state.c.data, root[1].c.data, rtol=1e-12)
    for k, (y, _) in enumerate((root, one, two, three)):
        np.testing.assert_allclose(outputs.data[k], y.data, rtol=1e-12)


@pytest.mark.parametrize("by_level", [False, True])
def test_the_forms_of_inputs(by_level: bool):
    def cell(x: Any, children: Any) -> Any:
        h = sum(children[1:], children[0]) if children else x["a"] * x["b"]
        return None, h

    a, b = numbers(3, N), numbers(3, N, seed=1)
    rows = [{"a": a[k], "b": b[k]} for k in range(3)]
    for inputs in ({"a": a, "b": ts.tensor(b)}, rows):
        outputs, state = unroll_tree(cell, (0, (1, 2)), inputs, by_level=by_level)
        assert outputs is None
        np.testing.assert_allclose(state.data, (a * b).sum(0))


def test_a_chain_is_the_recurrence():
    """A tree in which every node has one child and reads an input is a sequence."""
    weights = leaves()

    def step(x: Any, h: Any) -> Any:
        h = ops.tanh(ops.linear(x, weights[0]) + ops.linear(h, weights[1]))
        return h, h

    def node(x: Any, children: Any) -> Any:
        return step(x, children[0] if children else np.zeros((N, H)))

    xs = numbers(6, N, H)
    path = Tree([(), (0,), (1,), (2,), (3,), (4,)], range(6))
    expected, _ = unroll(step, xs, np.zeros((N, H)))
    for by_level in (False, True):
        outputs, _ = unroll_tree(node, path, xs, by_level=by_level)
        np.testing.assert_allclose(outputs.data, expected.data, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("by_level", [False, True])
@pytest.mark.parametrize("tree", [chain_tree(5000), chain_tree(5000, "right")])
def test_a_chain_of_ten_thousand_nodes(by_level: bool, tree: Tree):
    def cell(x: Any, children: Any) -> Any:
        h = children[0] * 0.5 + children[1] * 0.5 if children else x
        return None, h

    x = ts.tensor(np.ones((5000, 1)), requires_grad=True)
    _, state = unroll_tree(cell, tree, x, by_level=by_level)
    assert state.item() == 1
    (g,) = ts.grad(state.sum(), [x])
    assert sorted(g[:, 0])[-4:] == [0.0625, 0.125, 0.25, 0.5] and len(tree.children) == 9999


def test_each_level_is_one_call():
    calls = []

    def cell(x: Any, children: Any) -> Any:
        h = x if not children else children[0] + children[1]
        calls.append(h.shape)
        return None, h

    tree = forest([balanced_tree(8), balanced_tree(4)])
    unroll_tree(cell, tree, numbers(12, N, H), by_level=True)
    assert calls == [(12 * N, H), (6 * N, H), (3 * N, H), (N, H)]


def test_raw_arrays_under_no_grad(xp: Any):
    tree, xs = balanced_tree(5), xp.asarray(numbers(5, N, H))
    weights = [xp.asarray(w.data) for w in leaves()]
    with ts.no_grad():
        one = unroll_tree(weighing(weights), tree, xs)[1].h
        other = unroll_tree(weighing(weights), tree, xs, by_level=True)[1].h
    assert isinstance(one, type(xs)) and isinstance(other, type(xs))
    one, other = strict_cupy.to_host(one), strict_cupy.to_host(other)
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_scopes_and_labels_say_where_a_node_stands():
    _, root = unroll_tree(weighing(leaves()), ((0, 1), 2), numbers(3, N, H), names={"c": "d"})
    nodes, stack = {}, [root.h.node, root.c.node]
    while stack:
        node = stack.pop()
        if node is not None and node not in nodes:
            nodes[node] = node.label
            stack += node.parents
    found = {(tuple(n.scope.index), label) for n, label in nodes.items() if label and n.scope}
    inner = {((), "h"), ((), "d"), ((1,), "h"), ((1,), "d")}
    at_leaves = {(p, label) for p in [(1, 1), (1, 2), (2,)] for label in ("x", "h", "d")}
    assert found == inner | at_leaves
    assert {n.scope.label for n in nodes if n.scope} == {"node"}


# What is refused.


def sums(x: Any, children: Any) -> Any:
    return None, x if not children else children[0] + children[1]


@pytest.mark.parametrize("by_level", [False, True])
def test_inputs_are_counted(by_level: bool):
    with pytest.raises(DataError, match="the tree reads 3 inputs, 4 are given"):
        unroll_tree(sums, (0, (1, 2)), numbers(4, N), by_level=by_level)
    with pytest.raises(DataError, match="the tree reads 2 inputs, 0 are given"):
        unroll_tree(sums, (0, 1), by_level=by_level)


def test_a_malformed_tree_is_refused():
    with pytest.raises(DataError, match="empty tuple"):
        unroll_tree(sums, ((0, 1), ()), numbers(2, N))


@pytest.mark.parametrize(
    ("by_level", "where"), [(False, r"at \(1\)"), (True, "at height 1")], ids=str
)
def test_steps_that_do_not_keep_the_contract(by_level: bool, where: str):
    def lone(x: Any, children: Any) -> Any:
        return (x, x) if not children else children[0]

    def changing(x: Any, children: Any) -> Any:
        return None, x if not children else (children[0], children[1])

    tree, xs = ((0, 1), 2), numbers(3, N)
    with pytest.raises(StructureError, match=f"{where}: a step returns .y, state., .* returned Te"):
        unroll_tree(lone, tree, xs, by_level=by_level)
    with pytest.raises(
        StructureError, match=rf"{where}: the state is \(·, ·\), but · at the first"
    ):
        unroll_tree(changing, tree, xs, by_level=by_level)


def test_a_batch_is_needed_to_run_by_level():
    with pytest.raises(ShapeError, match=r"by level, inputs are \(n, N, ...\), not \(2,\)"):
        unroll_tree(sums, (0, 1), numbers(2), by_level=True)

    def total(x: Any, children: Any) -> Any:
        return None, ops.sum(x)

    with pytest.raises(ShapeError, match="for 2 nodes at once the cell gave the shape"):
        unroll_tree(total, (0, 1), numbers(2, N), by_level=True)


def test_shapes_that_do_not_fit_name_the_node():
    def cell(x: Any, children: Any) -> Any:
        return None, x if not children else ops.matmul(children[0], children[1])

    with pytest.raises(ShapeError, match=r"at step \(2\)"):
        unroll_tree(cell, (0, (1, 2)), numbers(3, N, H))
