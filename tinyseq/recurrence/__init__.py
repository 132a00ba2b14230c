"""Recurrences over any callable step: unrolling, and what each step is given to read."""

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
from tinyseq.recurrence.truncated import truncated_bptt
from tinyseq.recurrence.unroll import unroll

__all__ = [
    "FreeRunning",
    "ScheduledSampling",
    "TeacherForcing",
    "argmax",
    "exponential_decay",
    "inverse_sigmoid_decay",
    "linear_decay",
    "sampler",
    "truncated_bptt",
    "unroll",
]
