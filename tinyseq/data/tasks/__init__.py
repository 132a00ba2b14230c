"""Generated tasks. ``tasks.adding(batch, length, rng, variant="le")`` makes one batch.

Each is a :class:`TaskBatch`: inputs, targets, where the loss is, and the loss of a predictor that
has not solved the task. ``memory`` has the long time lag benchmarks, ``streams`` the tasks with an
answer at every step.
"""

from tinyseq.data.tasks.batch import IGNORE, TaskBatch
from tinyseq.data.tasks.memory import (
    adding,
    copy_memory,
    multiplication,
    permutation,
    temporal_order,
)
from tinyseq.data.tasks.streams import (
    binary_addition,
    channel,
    cyclic_grammar,
    echo,
    latch,
    parity,
)

__all__ = [
    "IGNORE",
    "TaskBatch",
    "adding",
    "binary_addition",
    "channel",
    "copy_memory",
    "cyclic_grammar",
    "echo",
    "latch",
    "multiplication",
    "parity",
    "permutation",
    "temporal_order",
]
