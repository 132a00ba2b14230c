"""options: how a loop is to be written and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tinyseq.errors import ConfigError

EMITTERS = ("numpy",)


@dataclass(frozen=True)
class Options:
    """What ``ts.compile`` was asked for.

    Attributes:
        emitter: what writes the loop, one of EMITTERS; ``tinyseq.compile.emit_<emitter>``.
    """

    emitter: str = "numpy"

    def __post_init__(self) -> None:
        if self.emitter not in EMITTERS:
            raise ConfigError(f"compile: emitter is one of {EMITTERS}, not {self.emitter!r}")

    def emit(self) -> Callable[..., Any]:
        """The emitter's function, emit(schedule, steps) -> Emitted; imported when first used."""
        return import_module(f"tinyseq.compile.emit_{self.emitter}").emit
