"""plans: what is done in a step, part by part, and what has to come after what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyseq.compile.fused.nests import Nest, Operation
from tinyseq.compile.program import Value


@dataclass
class Call:
    """A function of whole arrays: a product with a matrix that is the same in all steps, a sine.

    Attributes:
        value: what it computes.
        text: the call, as it stands in the loop.
        arrays: the names of its arguments; the last one is written.
    """

    value: Value
    text: str
    arrays: list[str]


Plan = list[Nest | Call | list[str]]  # the last are lines of NumPy


def open_nests(plan: Plan, operation: Operation) -> Iterator[Nest]:
    """The nests of a plan, the last one first, up to what the operation has to come after."""
    for part in reversed(plan):
        if isinstance(part, Nest):
            yield part
        if waits_for(operation, part):
            return


def waits_for(operation: Operation, part: Nest | Call | list[str]) -> bool:
    """Whether an operation has to come after a part of the plan: they share an array."""
    reads, writes = {e.array for e in operation.reads if e}, operation.target.array
    if isinstance(part, Call):
        return writes in part.arrays or part.arrays[-1] in reads
    if isinstance(part, Nest):
        written = {op.target.array for op in part.operations}
        read = {e.array for op in part.operations for e in op.reads if e}
        return bool(reads & written) or writes in written | read
    return True
