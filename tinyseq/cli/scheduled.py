"""The schedule of a model's compiled step, for ``tinyseq draw --schedule``."""

from __future__ import annotations

from typing import Any

from tinyseq import nn
from tinyseq.autograd.primitive import no_grad
from tinyseq.compile import compile
from tinyseq.errors import ConfigError
from tinyseq.recurrence import unroll


def schedule_of(model: Any, xs: Any) -> list[Any]:
    """When the compiled step of a cell or SequenceModel does what, for inputs like these.

    Raises:
        ConfigError: it is neither: there is no one step.
    """
    if not isinstance(model, nn.SequenceModel | nn.Cell):
        raise ConfigError(
            f"--schedule is for a cell or a SequenceModel, which have a step; this is a "
            f"{type(model).__name__}"
        )
    fast = compile(model)
    with no_grad():
        if isinstance(model, nn.SequenceModel):
            fast(xs)
            return fast.compiled_step.cell.schedule
        unroll(fast, xs)
        return fast.schedule
