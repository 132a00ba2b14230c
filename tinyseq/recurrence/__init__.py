"""Recurrences over any callable step: unrolling, and what each step is given to read."""

from tinyseq.recurrence.expression_tree import expression_tree
from tinyseq.recurrence.feed import (
    FreeRunning,
    ScheduledSampling,
    TeacherForcing,
    argmax,
    exponential_decay,
    inverse_sigmoid_decay,
    linear_decay,
    sampler,
)
from tinyseq.recurrence.grid import unroll_grid
from tinyseq.recurrence.steps import detach
from tinyseq.recurrence.tree import (
    Position,
    Tree,
    balanced_tree,
    chain_tree,
    forest,
    nested_tree,
)
from tinyseq.recurrence.truncated import truncated_bptt
from tinyseq.recurrence.unroll import unroll
from tinyseq.recurrence.unroll_tree import unroll_tree

__all__ = [
    "FreeRunning",
    "Position",
    "ScheduledSampling",
    "TeacherForcing",
    "Tree",
    "argmax",
    "detach",
    "balanced_tree",
    "chain_tree",
    "exponential_decay",
    "expression_tree",
    "forest",
    "inverse_sigmoid_decay",
    "linear_decay",
    "nested_tree",
    "sampler",
    "truncated_bptt",
    "unroll",
    "unroll_grid",
    "unroll_tree",
]
