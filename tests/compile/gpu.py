"""What the tests of loops on the GPU share: CuPy or its strict double, and runs on it."""

from types import ModuleType
from typing import Any

import numpy as np

import strict_cupy
import tinyseq as ts
from compile.checks import Results, of_case
from nn.registry import CELLS, Case, Entry, case, each
from tinyseq import nn
from tinyseq.compile import emit_cupy


def entry(name: str) -> Entry:
    """A cell of the registry."""
    return next(e for e in CELLS if e.name == name)


def on_gpu(cp: ModuleType, c: Case) -> Case:
    """A case with its cell, inputs and state moved to the GPU."""
    c.cell.to("cupy")
    inputs = None if c.inputs is None else each(cp.asarray, c.inputs)
    return Case(c.cell, inputs, each(cp.asarray, c.state), c.steps)


def case_on_gpu(cp: ModuleType, name: str, steps: int = 3, batch: int = 2, **how: Any) -> Case:
    """A case of a cell of the registry, on the GPU."""
    return on_gpu(cp, case(entry(name), steps, batch, **how))


def to_host(results: Results) -> Results:
    """Results to compare with those of the host."""
    return {name: strict_cupy.to_host(a) for name, a in results.items()}


def run(cell: nn.Cell, c: Case, **how: Any) -> Results:
    """Values and gradients of a case, on the host; the run itself waits for nothing."""
    return to_host(of_case(cell, c, **how))


def page_of(fast: Any) -> emit_cupy.Emitted:
    """What was written for the last run."""
    return fast._last().assembled.emitted


def emitted(name: str, dtype: Any = np.float32, ragged: bool = False) -> emit_cupy.Emitted:
    """The page for a cell of the registry, written without a GPU."""
    c = case(entry(name), 3, 2, dtype=dtype)
    fast = ts.compile(c.cell)
    of_case(fast, c, **({"lengths": np.array([3, 1])} if ragged else {}))
    return emit_cupy.emit(fast._last().assembled.schedule, 3)
