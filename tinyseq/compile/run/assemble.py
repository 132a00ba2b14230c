"""Assemble: the loop of a traced step for T steps of a batch, from loops that an emitter writes.

It may be one loop; or one for every so many steps (``segments``); and either of them for every part
of the batch (``split``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

from tinyseq.compile.explain import flops
from tinyseq.compile.options import Options
from tinyseq.compile.program import Program, Value
from tinyseq.compile.rewrite import rewrite
from tinyseq.compile.run.rows import mixed_rows
from tinyseq.compile.run.segments import Segments
from tinyseq.compile.run.split import Alone, Split
from tinyseq.compile.schedule import Schedule, schedule
from tinyseq.compile.simplify import simplify

# Threads wait for each other where one holds the interpreter: n of them gain if each has more to do
# in a step than n times INTERPRETER. Measured with LSTMs of many sizes on two cores: where a step
# takes 200 microseconds and more, two threads need 0.55 to 0.75 of that.
INTERPRETER = 50.0  # microseconds
START = 2500.0  # microseconds of a run, for which it is worth while to start a thread
PRODUCTS = ("linear", "matmul")
LARGE = 10e6  # floating-point operations of a product that threads of BLAS speed up


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
    why: str | None
    count, why = _threads(whole, batch, steps, options)
    if count == 1:
        return Assembled(whole, _alone(loop(whole), whole, options), f"1 thread: {why}")
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
                return Assembled(whole, _alone(loop(whole), whole, options), f"1 thread: {why}")
    loops = {size: loop(schedule(optimized(of_part))) for size, of_part in programs.items()}
    sizes = [part.stop - part.start for part in rows]
    parts = [(part, programs[n], loops[n]) for part, n in zip(rows, sizes, strict=True)]
    return Assembled(whole, Split(program, parts, steps), f"{count} threads, each for its rows")


def _threads(whole: Schedule, batch: int, steps: int, options: Options) -> tuple[int, str]:
    """How many threads are to share the batch, and if it is one, why."""
    usable = min(options.usable_threads(), batch)
    if usable == 1:
        return 1, "the batch is 1" if batch == 1 else options.why_one_thread()
    of_a_step = sum(_microseconds(v) for v in _results(whole))
    if options.emitter != "numpy":
        gaining = usable  # the interpreter has no part in a step
    else:
        gaining = int(sqrt(of_a_step / INTERPRETER))
    count = min(usable, gaining, int(of_a_step * steps / START))
    if count > 1:
        return count, ""
    return 1, (
        f"a step takes some {of_a_step:.0f} microseconds, and all steps {of_a_step * steps:.0f}, "
        "too little for two to gain by it"
    )


def _alone(emitted: Any, whole: Schedule, options: Options) -> Any:
    """The loop in one thread, and its products, too, if there is no large one among them."""
    large = any(v.op in PRODUCTS and flops(v) >= LARGE for v in _results(whole))
    return emitted if large and options.threads != 1 else Alone(emitted)


def _results(whole: Schedule) -> list[Value]:
    places = [*whole.forward.items(), *whole.backward.items()]
    return [v for place, values in places if place != "once" for v in values]


def _microseconds(value: Value) -> float:
    """About how long it takes: 100 operations of a product a nanosecond, 2 of other ones."""
    return flops(value) / (100e3 if value.op in PRODUCTS else 2e3)


def optimized(program: Program) -> Program:
    """The Program after all that makes it smaller or takes it out of the loop."""
    return simplify(rewrite(simplify(program)))
