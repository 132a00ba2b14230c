"""tinyseq itself: unrolled operation by operation, and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.bench.race import Contender, Run
from tinyseq.bench.workload import Workload
from tinyseq.compile import compile
from tinyseq.recurrence import unroll


def unrolled(**settings: Any) -> Contender:
    """``ts.unroll(cell, inputs, **settings)``: every operation of every step is a node."""

    def make(workload: Workload) -> Run:
        return _run_of(workload.make_cell(), workload, settings)

    return make


def compiled(**options: Any) -> Contender:
    """``ts.unroll`` of ``ts.compile(cell, **options)``."""

    def make(workload: Workload) -> Run:
        if options.get("emitter") == "numba":
            import numba  # noqa: F401  (so that its absence is told as that of the other libraries)
        return _run_of(compile(workload.make_cell(), **options), workload, {})

    return make


def _run_of(cell: Any, workload: Workload, settings: dict[str, Any]) -> Run:
    inputs = workload.inputs

    def run() -> dict[str, np.ndarray]:
        cell.zero_grad()
        outputs, _ = unroll(cell, inputs, **settings)
        (outputs * outputs).sum().backward()
        return {name: parameter.grad for name, parameter in cell.named_parameters()}

    return run
