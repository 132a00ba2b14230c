"""Cells that nobody wrote: the numbers of ``unroll``, or a CompileError, and nothing else."""

import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

import tinyseq as ts
from compile.checks import assert_same, results
from compile.written_cells import WrittenCell, written_cells
from tinyseq.errors import CompileError, TinyseqError

ways = {
    "steps": st.sampled_from([1, 2, 10]),
    "batch": st.sampled_from([1, 3]),
    "ragged": st.booleans(),
    "reverse": st.booleans(),
    "every": st.sampled_from([None, None, 3]),
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of the least size: the backward pass of 10 steps has more than one."""
    monkeypatch.setattr(importlib.import_module("tinyseq.compile.emit_numpy"), "CHUNK_BYTES", 1)


def compare(
    cell: WrittenCell,
    steps: int,
    batch: int,
    ragged: bool,
    reverse: bool,
    every: int | None,
    dtype: Any = np.float64,
) -> None:
    x, state = cell.data(steps, batch, dtype)
    how: dict[str, Any] = {"reverse": reverse, "detach_every": every}
    if x is None:
        how["length"] = steps
    if ragged and cell.has_batch:
        how["lengths"] = np.random.default_rng(steps).integers(0, steps + 1, batch)
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            expected = results(cell, x, state, **how)
        except TinyseqError:
            assume(False)
        assume(all(np.isfinite(a).all() for a in expected.values()))
        try:
            found = results(ts.compile(cell), x, state, **how)
        except CompileError as error:
            event(f"refused: {str(error)[:60]}")
            return
    event("compiled")
    assert_same(found, expected)


@given(cell=written_cells(), **ways)
@settings(max_examples=400)
def test_a_cell_of_any_operations(cell: WrittenCell, **how: Any):
    compare(cell, **how)


@given(cell=written_cells(), **ways)
@settings(max_examples=50)
def test_in_single_precision(cell: WrittenCell, **how: Any):
    compare(cell.to(np.float32), **how, dtype=np.float32)


@pytest.mark.slow
@given(cell=written_cells(most_lines=16), **ways)
@settings(max_examples=10_000)
def test_a_long_cell_of_any_operations(cell: WrittenCell, **how: Any):
    compare(cell, **how)
