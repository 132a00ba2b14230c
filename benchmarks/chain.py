"""The tape itself: 10,000 operations on 8 numbers, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tinyseq as ts
from benchmarks.section import Limit, Section
from tinyseq.bench import Race
from tinyseq.bench.race import NOT_INSTALLED, check_same, take_turns

NODES = 10_000
NAME, TORCH = f"chain of {NODES:,} nodes", "torch"
START, HALF = np.ones(8, np.float32), np.full(8, 0.5, np.float32)


def tinyseq() -> dict[str, np.ndarray]:
    """The chain on tinyseq's tape."""
    a, b = ts.tensor(START, requires_grad=True), ts.tensor(HALF, requires_grad=True)
    y = a
    for _ in range(NODES // 4):
        y = ts.ops.tanh(y * b + a) - b
    y.sum().backward()
    return {"a": a.grad, "b": b.grad}


def torch() -> dict[str, np.ndarray]:
    """The same in PyTorch, eagerly."""
    import torch

    a = torch.tensor(START, requires_grad=True)
    b = torch.tensor(HALF, requires_grad=True)
    y = a
    for _ in range(NODES // 4):
        y = torch.tanh(y * b + a) - b
    y.sum().backward()
    return {"a": a.grad.numpy(), "b": b.grad.numpy()}


def section(quick: bool) -> Section:
    """The race of the two."""
    runs: dict[str, Callable[[], dict[str, np.ndarray]]] = {"tinyseq": tinyseq, TORCH: torch}
    missing = {}
    try:
        check_same(NAME, torch(), tinyseq())
    except ImportError as error:
        missing[TORCH] = f"{NOT_INSTALLED}: {error.name}"
        del runs[TORCH]
    race = Race(NAME, take_turns(runs, 1 if quick else 6), missing)
    return Section(
        "The tape",
        f"{NODES:,} operations one after the other on 8 numbers, each a node. Milliseconds "
        "(quartiles), and the ratio to PyTorch.",
        [race],
        TORCH,
        [Limit(NAME, "tinyseq", TORCH, 0.6, 0.4)],
    )
