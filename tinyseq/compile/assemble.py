"""Assemble: the loop of a traced step for T steps of a batch, from loops that an emitter writes.

It may be one loop; or one for every so many steps (``segments``); and either of them for every part
of the batch (``split``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinyseq.compile.explain import flops
from tinyseq.compile.options import Options
from tinyseq.compile.program import Program
from tinyseq.compile.rewrite import rewrite
from tinyseq.compile.rows import mixed_rows
from tinyseq.compile.schedule import Schedule, schedule
from tinyseq.compile.segments import Segments
from tinyseq.compile.simplify import simplify
from tinyseq.compile.split import Split

# What a thread must have to do, in floating-point operations: of less, handing over the interpreter
# between two operations, and starting the thread, take more than they bring.
WORK_OF_AN_OPERATION = 100_000
WORK_OF_A_RUN = 50_000_000


@dataclass
class Assembled:
    """A loop.

    Attributes:
        schedule: of a step, for the whole batch.
        emitted: what runs: ``source`` and ``build() -> (forward, backward)``.
        threads: how many threads run it, in words, and why not more; or that the GPU does.
    """

    schedule: Schedule
    emitted: Any
    threads: str


def assemble(
    program: Program,
    traced: Callable[[slice], Program],
    batch: int,
    steps: int,
    every: int | None,
    options: Options,
) -> Assembled:
    """The loop for a step.

    Args:
        program: the step, for the whole batch.
        traced: gives the step for some rows of the batch.
        batch: how many rows there are.
        steps: T.
        every: after how many steps a state is kept; None for all that is needed.
        options: as the cell was compiled.
    """
    emit = options.emit()
    whole = schedule(optimized(program))

    def loop(of_step: Schedule) -> Any:
        return Segments(emit, of_step, steps, every) if every else emit(of_step, steps)

    if options.on_gpu:
        return Assembled(whole, loop(whole), "on the GPU")
    count = min(options.usable_threads(), batch)
    why = _too_small(whole, steps, count)
    if why:
        return Assembled(whole, loop(whole), f"1 thread: {why}")
    edges = [batch * k // count for k in range(count + 1)]
    rows = [slice(*ends) for ends in zip(edges, edges[1:], strict=False)]
    programs: dict[int, Any] = {}
    for part in rows:
        size = part.stop - part.start
        if size not in programs:
            try:
                programs[size] = traced(part)
            except Exception as error:  # whatever a step raises that wants a batch of this size
                why = f"the step cannot run on a part of the batch ({error})"
            else:
                why = mixed_rows(program, programs[size], batch, size)
            if why:
                return Assembled(whole, loop(whole), f"1 thread: {why}")
    loops = {size: loop(schedule(optimized(of_part))) for size, of_part in programs.items()}
    sizes = [part.stop - part.start for part in rows]
    parts = [(part, programs[n], loops[n]) for part, n in zip(rows, sizes, strict=True)]
    return Assembled(whole, Split(program, parts, steps), f"{count} threads, each for its rows")


def _too_small(whole: Schedule, steps: int, count: int) -> str | None:
    """Why it would not pay to let so many threads run it."""
    if count == 1:
        return "there are no more, or the batch is 1"
    values = [*whole.forward["loop"], *whole.backward["loop"]]
    work = [flops(v) // count for v in values if flops(v)]
    total = steps * sum(work)
    if total < WORK_OF_A_RUN or sum(work) < WORK_OF_AN_OPERATION * len(work):
        return (
            f"of {count}, each would have {sum(work) // max(len(work), 1):,} floating-point "
            f"operations to do at a time, and {total:,} in all, which is too little to gain by it"
        )
    return None


def optimized(program: Program) -> Program:
    """The Program after all that makes it smaller or takes it out of the loop."""
    return simplify(rewrite(simplify(program)))
