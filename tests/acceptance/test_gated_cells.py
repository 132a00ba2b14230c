"""Gated cells other than the LSTM learn what it learns, and a plain network does not.

The adding task, variant "le", 64 units, Adam with a rate of 0.005, clipping by joint norm at 1,
batches of 32. The numbers of steps in brackets are those of seeds 0, 1 and 2; the LSTM with a
forget bias of 1 takes 1,900 to 2,300 over 100 steps (``test_long_spans``).
"""

from typing import Any

import pytest

from acceptance.adding import adding, elman
from tinyseq import nn

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("seed", [0, 1, 2])]


def cell(kind: Any) -> Any:
    return lambda rng, length: kind(2, 64, seed=rng)


def test_a_gru_adds_over_100_steps(seed: int):
    """Within 1,000 steps, half of what the LSTM takes (600, 500 and 500)."""
    taken, error = adding(seed, cell(nn.GRUCell), 100, steps=1000, lr=5e-3)
    assert error < 0.01, taken


def test_coupled_gates_add_over_100_steps(seed: int):
    """Greff et al. 2017: nothing is lost by f = 1 - i; within 4,000 steps (600, 600 and 500)."""
    taken, error = adding(seed, cell(nn.CoupledLSTMCell), 100, steps=4000, lr=5e-3)
    assert error < 0.01, taken


@pytest.mark.parametrize("kind", [nn.MUT1Cell, nn.MUT2Cell, nn.MUT3Cell, nn.MGUCell])
def test_small_gated_cells_add_over_50_steps(kind: Any, seed: int):
    """Jozefowicz et al. 2015, Zhou et al. 2016: within 1,000 steps (400 to 700)."""
    taken, error = adding(seed, cell(kind), 50, steps=1000, lr=5e-3)
    assert error < 0.01, taken


def test_a_tanh_network_does_not_add_over_50_steps(seed: int):
    """Still the constant answer after 1,000 steps (0.17; the constant has 0.167)."""
    _, error = adding(seed, elman, 50, steps=1000, lr=5e-3)
    assert error > 0.15
