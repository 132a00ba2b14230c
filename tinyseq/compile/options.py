"""options: how a loop is to be written and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tinyseq.errors import ConfigError
from tinyseq.recurrence.checkpoint import segment_length

EMITTERS = ("numpy",)


@dataclass(frozen=True)
class Options:
    """What ``ts.compile`` was asked for.

    Attributes:
        emitter: what writes the loop, one of EMITTERS; ``tinyseq.compile.emit_<emitter>``.
        checkpoint_every: after how many steps a state is kept for the backward pass, which computes
            the rest again; "sqrt" for the square root of T; None keeps all that is needed.
    """

    emitter: str = "numpy"
    checkpoint_every: int | str | None = None

    def __post_init__(self) -> None:
        if self.emitter not in EMITTERS:
            raise ConfigError(f"compile: emitter is one of {EMITTERS}, not {self.emitter!r}")
        if self.checkpoint_every is not None:
            segment_length(self.checkpoint_every, 1)

    def emit(self) -> Callable[..., Any]:
        """The emitter's function, emit(schedule, steps) -> Emitted; imported when first used."""
        return import_module(f"tinyseq.compile.emit_{self.emitter}").emit
