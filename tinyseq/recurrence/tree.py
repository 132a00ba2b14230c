"""Trees as plain data, and the usual ones: what ``unroll_tree`` runs over.

    Tree([(), (), (0, 1)])             # node 2 has the children 0 and 1, which read inputs 0 and 1
    nested_tree(((0, 1), (2, 3)))      # a number is a leaf and the input that it reads
    balanced_tree(8); chain_tree(8)    # depth 3; depth 7
    forest([tree, balanced_tree(8)])   # several trees, to be run as one batch

Whatever a tree's depth, nothing here is recursive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import Any

from tinyseq.errors import ConfigError, DataError


@dataclass(frozen=True, repr=False)
class Tree:
    """A tree, or several: the children of every node, and what it reads.

    Nodes are numbered in any order.

    Attributes:
        children: for every node the numbers of its children, from left to right; none for a leaf.
            An integer array (nodes, k) will do, with -1 where there is no child.
        inputs: for every node which input it reads, or None (in an array: -1). By default the
            leaves read input 0, 1, 2 ... in the order of their numbers.

    Raises:
        DataError: no nodes, a child that does not exist or has two parents, a cycle.
    """

    children: Sequence[Sequence[int]]
    inputs: Sequence[int | None] = ()

    def __post_init__(self) -> None:
        children = tuple(tuple(c for c in map(_number, row) if c != -1) for row in self.children)
        leaves = iter(range(len(children)))
        reads: tuple[int | None, ...] = tuple(None if row else next(leaves) for row in children)
        if len(self.inputs):
            numbers = (None if i is None else _number(i) for i in self.inputs)
            reads = tuple(None if i == -1 else i for i in numbers)
        object.__setattr__(self, "children", children)
        object.__setattr__(self, "inputs", reads)
        self._check()

    def _check(self) -> None:
        count = len(self.children)
        if not count:
            raise DataError("a tree has at least one node, this one has none")
        if len(self.inputs) != count:
            raise DataError(f"tree: {count} nodes, but inputs for {len(self.inputs)}")
        for k, i in enumerate(self.inputs):
            if i is not None and i < 0:
                raise DataError(f"tree: node {k} reads input {i}; the first input is 0")
        above: dict[int, int] = {}
        for k, row in enumerate(self.children):
            for c in row:
                if not 0 <= c < count:
                    raise DataError(f"tree: node {k} has the child {c}, of {count} nodes")
                if c in above:
                    raise DataError(f"tree: node {c} is a child of node {above[c]} and of node {k}")
                above[c] = k
        if len(self.order) < count:
            lost = sorted(set(range(count)) - set(self.order))
            raise DataError(f"tree: no root leads to the nodes {lost[:5]}: they form a cycle")

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """The nodes that are nobody's child."""
        below = {c for row in self.children for c in row}
        return tuple(k for k in range(len(self.children)) if k not in below)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The nodes from left to right, each as soon as its children are there."""
        found, stack = [], list(self.roots)
        while stack:
            k = stack.pop()
            found.append(k)
            stack += self.children[k]
        return tuple(reversed(found))

    @cached_property
    def heights(self) -> tuple[int, ...]:
        """For every node the length of the longest way down to a leaf."""
        found = [0] * len(self.children)
        for k in self.order:
            found[k] = 1 + max((found[c] for c in self.children[k]), default=-1)
        return tuple(found)

    @property
    def depth(self) -> int:
        """The length of the longest way from a root to a leaf."""
        return max(self.heights)

    @cached_property
    def input_count(self) -> int:
        """How many inputs are read: one more than the largest number."""
        return 1 + max((i for i in self.inputs if i is not None), default=-1)

    def __repr__(self) -> str:
        return f"<Tree of {len(self.children)} nodes, depth {self.depth}>"

    def positions(self) -> list[Position]:
        """Where every node stands, as the way to it from the root."""
        top = Position(None, 0)
        found = [top] * len(self.children)
        if len(self.roots) > 1:
            for number, root in enumerate(self.roots, 1):
                found[root] = Position(top, number)
        for k in reversed(self.order):
            for number, c in enumerate(self.children[k], 1):
                found[c] = Position(found[k], number)
        return found


class Position:
    """The way from the root to a node: (2, 1) is the first child of the root's second child.

    The root of a tree is at (); of several trees the first number tells which. Holds its last
    number and the position above, so that the positions of a deep tree take little room.
    """

    __slots__ = ("_hash", "above", "number")

    def __init__(self, above: Position | None, number: int) -> None:
        self.above = above
        self.number = number
        self._hash: int = hash((0 if above is None else above._hash, number))

    def __iter__(self) -> Iterator[int]:
        path, at = [], self
        while at.above is not None:
            path.append(at.number)
            at = at.above
        return reversed(path)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Position) or self._hash != other._hash:
            return False
        return self is other or tuple(self) == tuple(other)

    def __repr__(self) -> str:
        path = list(map(str, self))
        if len(path) > 12:
            path[6:-3] = [f"... {len(path) - 9} more ..."]
        return f"({', '.join(path)})"


def nested_tree(nested: Any) -> Tree:
    """The tree of nested tuples (or lists): an integer is a leaf and the input that it reads.

    Raises:
        DataError: an empty tuple, or a leaf that is no integer.
    """
    children: list[list[int]] = []
    inputs: list[int | None] = []
    stack: list[tuple[Any, int | None]] = [(nested, None)]
    while stack:
        entry, parent = stack.pop()
        number = added_node(children, inputs, parent)
        if not isinstance(entry, tuple | list):
            inputs[number] = _number(entry)
        elif not entry:
            raise DataError("nested_tree: an empty tuple is no node: a leaf is an integer")
        else:
            stack += [(part, number) for part in reversed(entry)]
    return Tree(children, inputs)


def balanced_tree(leaves: int) -> Tree:
    """The binary tree of depth ceil(log2(leaves)): neighbours are joined, then pairs, and so on."""
    level = list(range(_positive("balanced_tree", leaves)))
    children: list[tuple[int, ...]] = [()] * leaves
    while len(level) > 1:
        pairs = list(zip(level[::2], level[1::2], strict=False))
        numbers = range(len(children), len(children) + len(pairs))
        level = [*numbers, *level[2 * len(pairs) :]]
        children += pairs
    return Tree(children)


def chain_tree(leaves: int, branching: str = "left") -> Tree:
    """The binary tree that is a chain, of depth leaves - 1.

    Args:
        leaves: how many.
        branching: "left" for (((0, 1), 2), 3), which reads from the first to the last, "right" for
            (0, (1, (2, 3))).
    """
    if branching not in ("left", "right"):
        raise ConfigError(f"chain_tree: branching is 'left' or 'right', not {branching!r}")
    last = _positive("chain_tree", leaves) - 1
    children: list[tuple[int, ...]] = [()] * leaves
    top = 0 if branching == "left" else last
    for k in range(1, leaves):
        children.append((top, k) if branching == "left" else (last - k, top))
        top = len(children) - 1
    return Tree(children)


def forest(trees: Iterable[Tree]) -> Tree:
    """Several trees as one: the nodes and the inputs of each follow those of the one before."""
    children: list[tuple[int, ...]] = []
    inputs: list[int | None] = []
    read = 0
    for tree in trees:
        start = len(children)
        children += [tuple(start + c for c in row) for row in tree.children]
        inputs += [None if i is None else read + i for i in tree.inputs]
        read += tree.input_count
    return Tree(children, inputs)


def added_node(children: list[list[int]], inputs: list[int | None], parent: int | None) -> int:
    """A new node, the next child of its parent; its number."""
    number = len(children)
    children.append([])
    inputs.append(None)
    if parent is not None:
        children[parent].append(number)
    return number


def _number(value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return index(value)
    except TypeError:
        raise DataError(f"tree: nodes and inputs have integers as numbers, not {value!r}") from None


def _positive(what: str, leaves: int) -> int:
    if _number(leaves) < 1:
        raise DataError(f"{what}: a tree has at least one leaf, not {leaves}")
    return leaves
