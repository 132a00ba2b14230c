"""Cells that nobody wrote, on the strict double of a GPU: the numbers of ``unroll``."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

import strict_cupy
import tinyseq as ts
from compile import written_cells as written
from compile.checks import assert_same, results
from compile.gpu import to_host
from compile.written_cells import WrittenCell, written_cells
from nn.registry import each
from tinyseq.errors import CompileError, TinyseqError


@contextmanager
def arrays_of(cp: ModuleType) -> Iterator[None]:
    """The constants that the cells read, on the GPU."""
    host = dict(written.NAMES)
    constants = {name: cp.asarray(a) for name, a in host.items() if isinstance(a, np.ndarray)}
    written.NAMES.update(constants, ones=lambda *s: cp.ones(s), zeros=lambda *s: cp.zeros(s))
    try:
        yield
    finally:
        written.NAMES.update(host)


def compare(cp: ModuleType, cell: WrittenCell, steps: int, batch: int, ragged: bool) -> None:
    x, state = cell.data(steps, batch)
    how: dict[str, Any] = {} if x is not None else {"length": steps}
    if ragged and cell.has_batch:
        how["lengths"] = np.random.default_rng(steps).integers(0, steps + 1, batch)
    cell.to("cupy")
    fast = ts.compile(cell)
    x, state = None if x is None else each(cp.asarray, x), each(cp.asarray, state)
    with arrays_of(cp):
        try:
            expected = to_host(results(cell, x, state, **how))
        except TinyseqError:  # numbers of the host among arrays of the GPU, say
            assume(False)
        assume(all(np.isfinite(a).all() for a in expected.values()))
        for _ in range(2):  # the second run captures what can be captured
            try:
                found = results(fast, x, state, **how)
            except CompileError as error:
                event(f"refused: {str(error)[:60]}")
                return
            assert_same(to_host(found), expected, 1e-9)


WAYS = {
    "cell": written_cells(),
    "steps": st.sampled_from([1, 2, 5]),
    "batch": st.sampled_from([1, 3]),
    "ragged": st.booleans(),
}


@given(**WAYS)
@settings(max_examples=200)
def test_a_cell_of_any_operations(cell: WrittenCell, steps: int, batch: int, ragged: bool):
    with pytest.MonkeyPatch.context() as patch:
        compare(strict_cupy.install(patch), cell, steps, batch, ragged)


@pytest.mark.slow
@given(**WAYS)
@settings(max_examples=1500)
def test_many_more(cell: WrittenCell, steps: int, batch: int, ragged: bool):
    with pytest.MonkeyPatch.context() as patch:
        compare(strict_cupy.install(patch), cell, steps, batch, ragged)
