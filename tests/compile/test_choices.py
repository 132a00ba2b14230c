"""Steps that choose: by the largest, by number, by a condition; and what is not differentiated."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_compiles
from tinyseq import nn, ops
from tinyseq.errors import ShapeError
from tinyseq.recurrence import argmax

T, N, K, H = 9, 3, 5, 4
PLACES = np.random.default_rng(8).integers(-K, K, (N, 2))
ORDER = np.array([3, 0, 2, 1, 3])


class Choosing(nn.Cell):
    """h' = tanh(W h + what ``term`` gives), where x is (tokens, numbers)."""

    hidden_size = H
    term: Any

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.W = nn.Parameter(rng.normal(size=(H, H)), "W")
        self.V = nn.Parameter(rng.normal(size=(K, H)), "V")
        self.E = nn.Parameter(rng.normal(size=(K, H)), "E")
        self.P = nn.Parameter(rng.uniform(0.5, 1.5, (H,)), "P")

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        h = ops.tanh(ops.linear(h, self.W) + self.term(*x, h))
        return h, h


def embedded_place(s: Any, k: Any, x: Any, h: Any) -> Any:
    """Of an embedding along the last axis."""
    return ops.take(s.E.T, k, axis=1).T


TERMS = {
    "an embedding of the input": lambda s, k, x, h: ops.take(s.E, k),
    "two embeddings that share a table": lambda s, k, x, h: (
        ops.take(s.E, k) + ops.take(s.E, argmax(ops.linear(h, s.V)))
    ),
    "an embedding along the last axis": embedded_place,
    "the same rows in every step": lambda s, k, x, h: ops.take(s.E, PLACES).sum(1),
    "the most probable row": lambda s, k, x, h: ops.take(s.E, argmax(ops.linear(h, s.V))),
    "one of each row": lambda s, k, x, h: (
        ops.take_along_axis(ops.linear(h, s.V), ops.expand_dims(k, 1), 1) * x
    ),
    "columns in another order": lambda s, k, x, h: h[:, ORDER][:, :H] * x,
    "columns by a mask": lambda s, k, x, h: h[:, np.array([True, False, True, True])].sum(-1, True),
    "the largest": lambda s, k, x, h: h.max(-1, keepdims=True) * x,
    "the smallest of all": lambda s, k, x, h: x.min() * h + s.P.min(),
    "ties": lambda s, k, x, h: ops.max(ops.maximum(h, 0.2), -1, True) + x,
    "logsumexp": lambda s, k, x, h: ops.logsumexp(ops.linear(h, s.V), -1, True) * x,
    "standard deviation": lambda s, k, x, h: ops.std(h + x, -1, True) + ops.std(s.E, 0),
    "powers": lambda s, k, x, h: ops.abs(h) ** s.P + ops.exp(x) ** h + s.P**2.5,
    "powers of zero": lambda s, k, x, h: ops.relu(x) ** (s.P + 1.0) + 0.0**s.P,
    "infinite numbers": lambda s, k, x, h: ops.where(x > -np.inf, h, np.inf),
    "what is held fixed": lambda s, k, x, h: h * ops.tanh(h).detach() + x @ s.W.detach(),
    "a parameter held fixed": lambda s, k, x, h: ops.linear(h, s.V.detach())[:, :H] * s.P,
}


def inputs(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(-K, K, (T, N)), rng.normal(size=(T, N, H))


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("settings", [{}, {"lengths": [9, 0, 4]}], ids=str)
def test_it_compiles(term: Any, settings: Any):
    cell = type("Chooses", (Choosing,), {"term": term})()
    state = np.random.default_rng(2).normal(size=(N, H))
    fast = assert_compiles(cell, inputs(), state, **settings)
    assert len(fast.loops) == 1


def test_the_gradient_of_an_embedding_is_made_once_for_many_steps():
    cell = type("Chooses", (Choosing,), {"term": TERMS["an embedding of the input"]})()
    fast = ts.compile(cell)
    ts.unroll(fast, inputs())
    written = fast.source.partition("def backward")[2].splitlines()
    (line,) = [line for line in written if "d_E +=" in line]
    assert "calls[" in line, "the rows of all steps are added up in one call"
    assert not [line for line in written if "untake" in line]


def test_a_token_out_of_range():
    cell = type("Chooses", (Choosing,), {"term": TERMS["an embedding of the input"]})()
    tokens, xs = inputs()
    tokens[4, 1] = K
    for runs, said in ((cell, "index 5 is out of range"), (ts.compile(cell), "5 is out of bounds")):
        with pytest.raises(ShapeError, match=said):
            ts.unroll(runs, (tokens, xs))
