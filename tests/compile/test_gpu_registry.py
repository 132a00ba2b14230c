"""Every cell of tinyseq, compiled for the GPU: the numbers of ``unroll`` there, and no waiting."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, of_case
from compile.gpu import case_on_gpu, run, to_host
from compile.test_registry import settings
from nn.checks import every_cell
from nn.registry import Entry
from strict_cupy import count_syncs

# (steps, batch, ragged, reverse)
SOME = [(0, 1, False, False), (1, 5, False, True), (2, 1, False, False), (5, 5, True, True)]
ALL = [
    (steps, batch, ragged, reverse)
    for steps in (0, 1, 2, 17)
    for batch in (1, 5)
    for ragged in (False, True)
    for reverse in (False, True)
]


def compare(cp: ModuleType, entry: Entry, dtype: Any, ways: Any) -> None:
    for steps, batch, ragged, reverse in ways:
        c = case_on_gpu(cp, entry.name, steps, batch, seed=batch, dtype=dtype)
        how = settings(c, batch, ragged, reverse)
        expected = run(c.cell, c, **how)
        fast = ts.compile(c.cell)
        assert_same(run(fast, c, **how), expected)
        if steps:
            assert fast.explain().endswith("on the GPU")
            for _ in range(2):  # the second run captures the loops, the third replays them
                with count_syncs() as syncs:
                    again = of_case(fast, c, **how)
                assert syncs == []
                assert_same(to_host(again), expected)


@every_cell
def test_values_and_gradients_are_those_of_unroll(cp: ModuleType, entry: Entry):
    compare(cp, entry, np.float64, SOME)


@every_cell
def test_in_single_precision_too(cp: ModuleType, entry: Entry):
    compare(cp, entry, np.float32, [(3, 2, False, False)])


@pytest.mark.slow
@every_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_in_every_combination(cp: ModuleType, entry: Entry, dtype: Any):
    compare(cp, entry, dtype, ALL)


@every_cell
def test_truncated_and_checkpointed(cp: ModuleType, entry: Entry):
    c = case_on_gpu(cp, entry.name, 5, 2)
    for how in ({"detach_every": 2}, {"checkpoint_every": 2}):
        fast = ts.compile(c.cell)
        assert_same(run(fast, c, **how), run(c.cell, c, **how))
