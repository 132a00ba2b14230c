"""Pictures: what it costs to read a graph off a run, and to draw it, against the run itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tinyseq as ts
from benchmarks.section import Limit, Section
from tinyseq import draw, nn
from tinyseq.bench import Race
from tinyseq.bench.race import take_turns

FORWARD = "forward run"
READ, FOLDED, UNROLLED = "extract and fold", "circuit's graph", "unrolled graph, elided"


def forward(steps: int, batch: int, size: int) -> Callable[[], ts.Tensor]:
    """A literal LSTM, unrolled."""
    xs = np.random.default_rng(0).standard_normal((steps, batch, size)).astype(np.float32)
    cell = nn.LSTMCell(size, size, seed=0)

    def run() -> ts.Tensor:
        outputs, _ = ts.unroll(cell, xs)
        return (outputs * outputs).sum()

    return run


def section(quick: bool) -> Section:
    """A race for each size."""
    sizes = [(12, 1, 32), (100, 1, 32), (100, 32, 128)]
    sizes += [] if quick else [(10_000, 1, 32)]
    races, limits = [], []
    for steps, batch, size in sizes:
        run = forward(steps, batch, size)
        loss, ends = run(), {1, 2, 3, steps - 1, steps}
        runs: dict[str, Callable[[], object]] = {
            FORWARD: run,
            READ: lambda loss=loss: draw.fold(draw.extract(loss)),
            FOLDED: lambda loss=loss: draw.contract(draw.fold(draw.extract(loss))),
            UNROLLED: lambda loss=loss, ends=ends: draw.contract(draw.extract(loss), ends),
        }
        name = f"LSTM T{steps} B{batch} H{size}"
        races.append(Race(name, take_turns(runs, 1 if quick else 6)))
        limits.append(Limit(name, READ, FORWARD, 1.0, 0.5))
    return Section(
        "Drawing",
        "What a picture costs before it is laid out, beside the forward run that made its graph. "
        "Milliseconds (quartiles), and the ratio to the forward run.",
        races,
        FORWARD,
        limits,
    )
