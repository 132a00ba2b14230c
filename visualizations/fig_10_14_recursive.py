"""Figure 10.14: a recursive network, over a balanced tree and over the parse tree of an expression.

Its computational graph is a tree, not a chain: U leads from a left child to its parent, W from a
right one, and V from an input to its leaf.
"""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn, ops
from tinyseq.recurrence import balanced_tree, expression_tree, unroll_tree

rng = np.random.default_rng(0)
cell = nn.RecursiveCell(3, 4)


def loss(tree):
    """What comes out at the root, compared with a target."""
    _, h = unroll_tree(cell, tree, rng.normal(size=(tree.input_count, 1, 3)))
    o = ts.label(ops.identity(h), "o")
    return ts.label(nn.cross_entropy(o, ts.label(np.array([1]), "y")), "L")


parsed, tokens = expression_tree("(a + b) * -c")
leaves = {tuple(p): k for p, k in zip(parsed.positions(), parsed.inputs, strict=True)}
words = [tokens[leaves[p]] if leaves[p] is not None else "" for p in sorted(leaves)]
pictures = {
    "fig_10_14_balanced.svg": draw.unrolled(loss(balanced_tree(4))),
    "fig_10_14_parsed.svg": draw.unrolled(loss(parsed), text={"x": words}),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
