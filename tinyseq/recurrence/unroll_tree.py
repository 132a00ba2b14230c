"""unroll_tree: apply one step at every node of a tree, from the leaves to the root.

    outputs, state = unroll_tree(cell, tree, xs)                  # node by node
    outputs, state = unroll_tree(cell, tree, xs, by_level=True)   # all nodes of a height at once

The recurrence of book section 10.6, whose states form a tree and not a chain. The step is that of
``unroll``, but for the states that it gets: ``cell(x, children) -> (y, state)``, where ``children``
is the tuple of the states of the node's children, from left to right, and () at a leaf; x is what
the node reads, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyseq import structure
from tinyseq.autograd.engine import paused_gc
from tinyseq.autograd.node import Scope, current_scope
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, namespace
from tinyseq.errors import DataError, ShapeError, StructureError
from tinyseq.ops import concatenate, reshape, take
from tinyseq.recurrence.labels import called
from tinyseq.recurrence.steps import no_pair, stacked, steps_of
from tinyseq.recurrence.tree import Tree, nested_tree

TreeStep = Callable[[Any, tuple[Any, ...]], tuple[Any, Any]]


def unroll_tree(
    cell: TreeStep,
    tree: Any,
    inputs: Any = None,
    *,
    by_level: bool = False,
    names: dict[str, str] | None = None,
) -> tuple[Any, Any]:
    """Run a recurrence over a tree: y(k), s(k) = cell(x(k), (s(i), s(j), ...)), i, j ... below k.

    Node by node, each node runs in a scope of its own, whose index is the node's ``Position``, and
    what it reads, its state and its output are labelled x, h and o there. By level, all nodes of
    one height that have equally many children are one call, on a batch that is so much larger: the
    same numbers, but for the last bits, and much faster. For trees of different shapes, use
    ``forest``.

    Args:
        cell: one step, ``cell(x, children) -> (y, state)``.
        tree: a ``Tree``, or nested tuples of integers.
        inputs: (n, N, ...) for a tree that reads n inputs; or a structure of such arrays; or a list
            of n inputs of a node. N sequences (sets of leaves) run over the same tree.
        by_level: whether to run all nodes of a height at once.
        names: what to call x, the states and o in the pictures: {"h": "p"}.

    Returns:
        The outputs of all nodes, stacked in the order of their numbers (nodes, N, ...), and the
        state of the root, (N, ...). Several roots' states follow each other: (roots * N, ...).

    Raises:
        DataError: a malformed tree; more or fewer inputs than the tree reads.
        StructureError: a step that does not return (y, state), or states of different structure.
        ShapeError: inputs or states without a batch; names the node in which shapes do not fit.
    """
    tree = tree if isinstance(tree, Tree) else nested_tree(tree)
    xs, given = steps_of(inputs) if inputs is not None else ([], 0)
    if given != tree.input_count:
        raise DataError(f"unroll_tree: the tree reads {tree.input_count} inputs, {given} are given")
    outer = current_scope.get()
    token = current_scope.set(outer)
    try:
        with paused_gc():
            if by_level:
                return _by_level(cell, tree, inputs, names or {}, outer)
            return _by_node(cell, tree, xs, names or {}, outer)
    finally:
        current_scope.reset(token)


def _by_node(
    cell: TreeStep, tree: Tree, xs: list[Any], names: dict[str, str], outer: Scope | None
) -> tuple[Any, Any]:
    positions = tree.positions()
    outputs: list[Any] = [None] * len(positions)
    states: list[Any] = [None] * len(positions)
    first = None
    for k in tree.order:
        current_scope.set(Scope(outer, "node", positions[k]))
        number = tree.inputs[k]
        x = None if number is None else called(xs[number], "x", names)
        children = tuple(states[c] for c in tree.children[k])
        outputs[k], states[k] = _step(cell, x, children, first, positions[k])
        states[k] = called(states[k], "h", names)
        outputs[k] = called(outputs[k], "o", names)
        first = states[k] if first is None else first
    current_scope.set(outer)
    roots = [states[k] for k in tree.roots]
    if len(roots) == 1:
        return stacked(outputs), roots[0]
    return stacked(outputs), structure.map(lambda *arrays: concatenate(arrays), *roots)


class _Level(NamedTuple):
    """Nodes that are run at once: of one height, with equally many children, all with an input."""

    height: int
    nodes: list[int]


def _levels(tree: Tree) -> list[_Level]:
    found: dict[Any, _Level] = {}
    for k, (height, row, number) in enumerate(
        zip(tree.heights, tree.children, tree.inputs, strict=True)
    ):
        level = found.setdefault((height, len(row), number is None), _Level(height, []))
        level.nodes.append(k)
    return sorted(found.values(), key=lambda level: level.height)


def _by_level(
    cell: TreeStep, tree: Tree, inputs: Any, names: dict[str, str], outer: Scope | None
) -> tuple[Any, Any]:
    """All states are kept level by level, with the shape (nodes of the level, N, ...)."""
    if isinstance(inputs, list):
        inputs = stacked(inputs)
    where: dict[int, tuple[int, int]] = {}  # of every node, its level and its row there
    states: list[Any] = []
    outputs: list[Any] = []
    first = None
    for height, nodes in _levels(tree):
        current_scope.set(Scope(outer, "level", height))
        x = None
        if tree.inputs[nodes[0]] is not None:
            read = [tree.inputs[k] for k in nodes]
            x = structure.map(lambda a, read=read: _merged(_rows(_with_batch(a), read)), inputs)
            x = called(x, "x", names)
        columns = zip(*(tree.children[k] for k in nodes), strict=True)
        children = tuple(
            structure.map(_merged, _gathered(states, [where[c] for c in column]))
            for column in columns
        )
        y, state = _step(cell, x, children, first, f"height {height}")
        state = called(state, "h", names)
        y = called(y, "o", names)
        first = state if first is None else first
        for row, k in enumerate(nodes):
            where[k] = (len(states), row)
        count = len(nodes)
        states.append(structure.map(lambda a, n=count: _parted(a, n), state))
        outputs.append(None if y is None else structure.map(lambda a, n=count: _parted(a, n), y))
    current_scope.set(outer)
    roots = structure.map(_merged, _gathered(states, [where[k] for k in tree.roots]))
    if outputs[0] is None:
        return None, roots
    return _gathered(outputs, [where[k] for k in range(len(tree.children))]), roots


def _gathered(levels: Sequence[Any], places: Sequence[tuple[int, int]]) -> Any:
    """The states (or outputs) of some nodes, given by level and row, as one: (nodes, N, ...)."""
    rows: dict[int, list[int]] = {}
    at: dict[int, list[int]] = {}
    for k, (level, row) in enumerate(places):
        rows.setdefault(level, []).append(row)
        at.setdefault(level, []).append(k)
    order = [k for level in at for k in at[level]]
    back = sorted(range(len(order)), key=order.__getitem__)

    def gather(*arrays: Any) -> Any:
        parts = [_rows(a, rows[level]) for a, level in zip(arrays, rows, strict=True)]
        return parts[0] if len(parts) == 1 else _rows(concatenate(parts), back)

    return structure.map(gather, *(levels[level] for level in rows))


def _rows(a: Any, numbers: Sequence[Any]) -> Any:
    """Rows of an array; without copying it if all are wanted in order, or a run of them."""
    start, end = numbers[0], numbers[0] + len(numbers)
    if list(numbers) != list(range(start, end)):
        xp = namespace(a.data if isinstance(a, Tensor) else a)
        return take(a, xp.asarray(np.asarray(numbers)))
    return a if end - start == a.shape[0] else a[start:end]


def _merged(a: Any) -> Any:
    """(nodes, N, ...) as (nodes * N, ...)."""
    return reshape(a, (a.shape[0] * a.shape[1], *a.shape[2:]))


def _parted(a: Any, count: int) -> Any:
    """(nodes * N, ...) as (nodes, N, ...)."""
    if not getattr(a, "ndim", 0) or a.shape[0] % count:
        raise ShapeError(
            f"unroll_tree: by level, states and outputs are (batch, ...); for {count} nodes at "
            f"once the cell gave the shape {getattr(a, 'shape', ())}"
        )
    return reshape(a, (count, a.shape[0] // count, *a.shape[1:]))


def _with_batch(a: Any) -> Any:
    a = a if isinstance(a, Tensor) else as_array(a)
    if a.ndim < 2:
        raise ShapeError(f"unroll_tree: by level, inputs are (n, N, ...), not {tuple(a.shape)}")
    return a


def _step(
    cell: TreeStep, x: Any, children: tuple[Any, ...], first: Any, where: object
) -> tuple[Any, Any]:
    """One step, whose result is checked to be (y, state) with a state as all others have it."""
    result = cell(x, children)
    if not isinstance(result, tuple) or len(result) != 2:
        raise no_pair(result, f"unroll_tree at {where}")
    if first is not None and not structure.alike(result[1], first):
        raise StructureError(
            f"unroll_tree at {where}: the state is {structure.skeleton(result[1])}, but "
            f"{structure.skeleton(first)} at the first leaf"
        )
    return result
