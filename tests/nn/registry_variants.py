"""The cells beside Elman, LSTM and GRU; ``registry.py`` has these among its own."""

import numpy as np

from nn.registry import Entry, H, I, O, nothing
from tinyseq import nn


def odyssey(variant: str) -> Entry:
    """A variant of the search-space study."""
    return Entry(f"odyssey {variant}", lambda seed: nn.OdysseyLSTMCell(I, H, variant, seed=seed))


def deep_output(seed: int) -> nn.Cell:
    rng = np.random.default_rng(seed)
    transition = nn.DeepTransitionCell(I, H, depth=2, seed=rng)
    return nn.DeepOutputCell(transition, nn.MLP((H, 5, O), skip=True, seed=rng))


LEAKS = np.array([0.1, 0.4, 0.7, 1.0])

VARIANTS = [
    Entry("original lstm", lambda seed: nn.OriginalLSTMCell(I, H, seed=seed)),
    Entry("original lstm 1997", lambda seed: nn.OriginalLSTMCell(I, H, squash="1997", seed=seed)),
    Entry(
        "original lstm without input",
        lambda seed: nn.OriginalLSTMCell(0, H, seed=seed),
        nothing,
        refuses=None,
    ),
    Entry("peephole", lambda seed: nn.PeepholeLSTMCell(I, H, seed=seed)),
    Entry("peephole full", lambda seed: nn.PeepholeLSTMCell(I, H, peepholes="full", seed=seed)),
    Entry("peephole without bias", lambda seed: nn.PeepholeLSTMCell(I, H, bias=False, seed=seed)),
    Entry("coupled forget", lambda seed: nn.CoupledLSTMCell(I, H, seed=seed)),
    Entry("coupled input", lambda seed: nn.CoupledLSTMCell(I, H, learned="input", seed=seed)),
    *map(odyssey, ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR")),
    Entry("mgu", lambda seed: nn.MGUCell(I, H, seed=seed)),
    Entry("mgu without bias", lambda seed: nn.MGUCell(I, H, bias=False, seed=seed)),
    Entry("mut1", lambda seed: nn.MUT1Cell(I, H, seed=seed)),
    Entry("mut1 as is", lambda seed: nn.MUT1Cell(I, I, project_input=False, seed=seed)),
    Entry("mut2", lambda seed: nn.MUT2Cell(I, H, seed=seed)),
    Entry("mut2 as is", lambda seed: nn.MUT2Cell(I, I, project_input=False, seed=seed)),
    Entry("mut2 without bias", lambda seed: nn.MUT2Cell(I, H, bias=False, seed=seed)),
    Entry("mut3", lambda seed: nn.MUT3Cell(I, H, seed=seed)),
    Entry("scrn", lambda seed: nn.SCRNCell(I, H, 5, seed=seed)),
    Entry("leaky", lambda seed: nn.LeakyCell(I, H, 0.3, seed=seed)),
    Entry("leaky by unit", lambda seed: nn.LeakyCell(I, H, LEAKS, seed=seed)),
    Entry("leaky learned", lambda seed: nn.LeakyCell(I, H, 0.3, learned=True, seed=seed)),
    Entry("leaky linear", lambda seed: nn.LeakyCell(I, H, nonlinearity="identity", seed=seed)),
    Entry("leaky integrator", lambda seed: nn.LeakyIntegratorCell(I, H, seed=seed)),
    Entry("time skip", lambda seed: nn.TimeSkipCell(I, H, (1, 3), seed=seed)),
    Entry("time skip alone", lambda seed: nn.TimeSkipCell(I, H, (2,), seed=seed)),
    Entry(
        "time skip without input",
        lambda seed: nn.TimeSkipCell(0, H, (1, 2), bias=False, seed=seed),
        nothing,
        refuses=None,
    ),
    Entry("clockwork", lambda seed: nn.ClockworkCell(I, H, (1, 2), seed=seed)),
    Entry(
        "clockwork without input",
        lambda seed: nn.ClockworkCell(0, H, (1, 1, 2, 3), seed=seed),
        nothing,
        refuses=None,
    ),
    Entry("depth gated", lambda seed: nn.DepthGatedLSTMCell(I, H, 3, seed=seed)),
    Entry("depth gated without bias", lambda seed: nn.DepthGatedLSTMCell(I, H, 2, False, seed)),
    Entry("deep transition", lambda seed: nn.DeepTransitionCell(I, H, 3, seed=seed)),
    Entry(
        "deep transition with skip",
        lambda seed: nn.DeepTransitionCell(I, H, 2, skip=True, transition_size=5, seed=seed),
    ),
    Entry("deep output", deep_output),
    Entry("multiplicative", lambda seed: nn.MultiplicativeCell(I, H, seed=seed)),
]
