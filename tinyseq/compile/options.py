"""options: how a loop is to be written and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tinyseq.errors import ConfigError
from tinyseq.recurrence.checkpoint import segment_length
from tinyseq.threads import usable_threads, why_one

EMITTERS = ("numpy", "numba")


@dataclass(frozen=True)
class Options:
    """What ``ts.compile`` was asked for.

    Attributes:
        emitter: what writes the loop for arrays of the host, one of EMITTERS.
        checkpoint_every: after how many steps a state is kept for the backward pass, which computes
            the rest again; "sqrt" for the square root of T; None keeps all that is needed.
        threads: how many may share the batch; None for as many as NumPy's products use.
        on_gpu: whether the arrays are CuPy's; then ``emit_cupy`` writes the loop.
    """

    emitter: str = "numpy"
    checkpoint_every: int | str | None = None
    threads: int | None = None
    on_gpu: bool = False

    def __post_init__(self) -> None:
        if self.emitter not in EMITTERS:
            raise ConfigError(f"compile: emitter is one of {EMITTERS}, not {self.emitter!r}")
        if self.emitter == "numba" and find_spec("numba") is None:
            raise ConfigError(
                'compile: emitter="numba" needs Numba, which is not installed: '
                'pip install "tinyseq[fast]"'
            )
        if self.checkpoint_every is not None:
            segment_length(self.checkpoint_every, 1)
        number = self.threads
        if number is not None and (type(number) is not int or number < 1):
            raise ConfigError(f"compile: threads is a number from 1 on, or None, not {number!r}")

    def emit(self) -> Callable[..., Any]:
        """The emitter's function, emit(schedule, steps) -> Emitted; imported when first used."""
        emitter = "cupy" if self.on_gpu else self.emitter
        return import_module(f"tinyseq.compile.emit_{emitter}").emit

    def usable_threads(self) -> int:
        """How many threads may share a run."""
        return usable_threads() if self.threads is None else self.threads

    def why_one_thread(self) -> str:
        """Why it is one, where it is."""
        return why_one() if self.threads is None else f"threads={self.threads}"
