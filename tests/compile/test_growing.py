"""States to which the first step gives another dtype or shape: it is taken first, then the loop."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_same, results
from tinyseq import nn, ops

XS = np.random.default_rng(0).normal(size=(7, 3, 2))


@pytest.mark.parametrize(
    "settings",
    [{}, {"lengths": [7, 0, 4]}, {"detach_every": 3}, {"length": 1}, {"reverse": True}], ids=str,
)  # fmt: skip
@pytest.mark.parametrize("make", [nn.ElmanCell, nn.LSTMCell, nn.GRUCell])
def test_a_cell_in_single_precision_and_inputs_in_double(make: Any, settings: Any):
    cell = make(2, 4, seed=0)
    fast, state = ts.compile(cell), cell.init_state(3)
    for _ in range(2):
        expected = results(cell, XS, state, **settings)
        found = results(fast, XS, state, **settings)
        assert expected["output 0"].dtype == np.float64
        assert_same(found, expected, within=1e-6)


def test_one_loop_for_all_later_runs():
    cell = nn.LSTMCell(2, 4, seed=0)
    fast = ts.compile(cell)
    for _ in range(3):
        ts.unroll(fast, XS)
    (loop,) = fast.loops.values()
    assert [state.dtype for state in loop.assembled.schedule.program.states] == ["f8", "f8"]


def test_a_state_for_one_sequence_that_becomes_one_for_all():
    class Wide(nn.Cell):
        hidden_size = 2

        def __init__(self) -> None:
            self.W = nn.Parameter(np.random.default_rng(1).normal(size=(2, 2)))

        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            h = ops.tanh(ops.linear(h, self.W) + x)
            return h, h

    cell, state = Wide(), np.array([[0.5, -0.2]])
    assert_same(results(ts.compile(cell), XS, state), results(cell, XS, state))
