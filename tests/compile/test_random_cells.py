"""Cells that nobody wrote: the numbers of ``unroll``, or a CompileError, and nothing else."""

import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

import tinyseq as ts
from compile.checks import assert_same, gradients, leaf, results, values
from compile.written_cells import WrittenCell, written_cells
from nn.registry import each
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


@given(cell=written_cells(), steps=st.sampled_from([1, 2, 10]), reverse=st.booleans())
@settings(max_examples=100)
def test_one_run_inside_another(cell: WrittenCell, steps: int, reverse: bool):
    """A second run, forwards and backwards, between the two passes of the first."""
    fast, how = ts.compile(cell), {"reverse": reverse}
    if not cell.inputs:
        how["length"] = steps

    def forward(module: Any, seed: int) -> Any:
        x, state = cell.data(steps, 3, seed=seed)
        xs, before = None if x is None else each(leaf, x), each(leaf, state)
        return module, xs, before, *ts.unroll(module, xs, before, **how)

    with np.errstate(over="ignore", invalid="ignore"):
        try:
            runs = [forward(cell, seed) for seed in (0, 1)]
        except TinyseqError:
            assume(False)
        expected = [values(*run[3:]) | gradients(*run) for run in runs]
        assume(all(np.isfinite(a).all() for found in expected for a in found.values()))
        try:
            outer, inner = forward(fast, 0), forward(fast, 1)
        except CompileError:
            return
        assert_same(values(*inner[3:]) | gradients(*inner), expected[1])
        assert_same(values(*outer[3:]) | gradients(*outer), expected[0])


@pytest.mark.slow
@given(cell=written_cells(most_lines=16), **ways)
@settings(max_examples=10_000)
def test_a_long_cell_of_any_operations(cell: WrittenCell, **how: Any):
    compare(cell, **how)
