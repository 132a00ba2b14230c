"""Every cell of tinyseq, compiled: the numbers of ``unroll``, values and all gradients."""

import importlib
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, of_case
from nn.checks import every_cell
from nn.registry import CELLS, Case, Entry, case
from tinyseq import nn

# (batch, ragged, reverse)
SOME = [(1, False, False), (5, False, True), (5, True, False), (1, True, True)]
# Of each kind of loop one, as Numba takes seconds for each: products and gates, with kinks, with
# two products that follow each other, with a choice, with an operation that only NumPy has.
KINDS = [
    entry
    for entry in CELLS
    if entry.name
    in {"lstm", "relu", "gru before new tanh", "clockwork", "output recurrence, softmax of o to h"}
]
numba = pytest.param("numba", marks=pytest.mark.oracle("numba"))
ALL = [
    (n, ragged, reverse) for n in (1, 5) for ragged in (False, True) for reverse in (False, True)
]


def settings(c: Case, batch: int, ragged: bool, reverse: bool) -> dict[str, Any]:
    if not ragged:
        return {"reverse": reverse}
    lengths = np.random.default_rng(c.steps + batch).integers(0, c.steps + 1, batch)
    return {"reverse": reverse, "lengths": lengths}


def compare(entry: Entry, steps: int, dtype: Any, ways: Any, emitter: str = "numpy") -> None:
    for batch, ragged, reverse in ways:
        c = case(entry, steps, batch, seed=batch, dtype=dtype)
        how = settings(c, batch, ragged, reverse)
        fast = ts.compile(c.cell, emitter=emitter)
        assert_same(of_case(fast, c, **how), of_case(c.cell, c, **how))


@every_cell
@pytest.mark.parametrize("steps", [0, 1, 2, 17])
def test_values_and_gradients_are_those_of_unroll(entry: Entry, steps: int):
    compare(entry, steps, np.float64, SOME)


@every_cell
def test_in_single_precision_too(entry: Entry):
    compare(entry, 17, np.float32, SOME)


@pytest.mark.oracle("numba")
@pytest.mark.parametrize("entry", KINDS, ids=[entry.name for entry in KINDS])
def test_by_numba_too(entry: Entry):
    for steps in (0, 1, 2, 17):
        compare(entry, steps, np.float64, SOME, "numba")


@pytest.mark.oracle("numba")
def test_by_numba_in_single_precision():
    compare(KINDS[0], 17, np.float32, SOME, "numba")


@pytest.mark.slow
@every_cell
@pytest.mark.parametrize("emitter", ["numpy", numba])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("steps", [0, 1, 2, 17, 40])
def test_in_every_combination(entry: Entry, steps: int, dtype: Any, emitter: str):
    compare(entry, steps, dtype, ALL, emitter)


@every_cell
def test_longer_than_a_chunk_of_the_backward_pass(entry: Entry, monkeypatch: pytest.MonkeyPatch):
    """With chunks of the least size a short run has several, and the last one is not full."""
    monkeypatch.setattr(importlib.import_module("tinyseq.compile.emit_numpy"), "CHUNK_BYTES", 1)
    compare(entry, 19, np.float64, SOME)


@every_cell
@pytest.mark.parametrize("every", [1, 3, 5, 8])
def test_truncated_back_propagation(entry: Entry, every: int):
    c = case(entry, 5, 2)
    found = of_case(ts.compile(c.cell), c, detach_every=every)
    assert_same(found, of_case(c.cell, c, detach_every=every))


@every_cell
def test_from_the_cells_own_initial_state(entry: Entry):
    c = case(entry, 4, 3)

    def gradients(cell: Any) -> list[np.ndarray]:
        state = c.cell.init_state(3) if c.inputs is None else None
        ys, _ = ts.unroll(cell, c.inputs, state, length=c.length())
        ys = ys if isinstance(ys, ts.Tensor) else ys[0]
        found = ts.grad((ys * ys).sum(), c.cell.parameters(), allow_unused=True)
        return [
            np.zeros(p.shape) if g is None else g
            for g, p in zip(found, c.cell.parameters(), strict=True)
        ]

    for a, b in zip(gradients(ts.compile(c.cell)), gradients(c.cell), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_a_size_at_which_chunks_are_needed():
    cell = nn.LSTMCell(20, 64, seed=0).to(np.float64)
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(40, 32, 20))
    state = type(cell.init_state(1))(*rng.normal(size=(2, 32, 64)))
    c = Case(cell, xs, state, 40)
    fast = ts.compile(cell)
    assert_same(of_case(fast, c), of_case(cell, c))
