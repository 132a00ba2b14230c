"""Two threads: the LSTM at the sizes where a second one could help."""

from __future__ import annotations

import numpy as np

from benchmarks.contenders import COMPILED, FAST, JAX, NN, PYTORCH, VENDOR
from benchmarks.section import Limit, Section
from tinyseq.bench import Run, Workload, compete, lstm, ours
from tinyseq.threads import one_blas_thread

THREADS = 2
ALONE = f"{COMPILED}, one thread"
SECONDS = {"a": 12, "b": 6, "c": 15, "d": 40}
LIMITS = {"a": (1.45, 1.05), "c": (1.35, 0.9), "d": (1.35, 1.25)}


def alone(workload: Workload) -> Run:
    """A compiled cell for which there is one thread only, also in its matrix products."""
    run = ours.compiled(threads=1)(workload)

    def in_one() -> dict[str, np.ndarray]:
        with one_blas_thread():
            return run()

    return in_one


def section(quick: bool) -> Section:
    """A race for each size, with two threads for everyone."""
    contenders = {
        **NN,
        COMPILED: ours.compiled(threads=THREADS),
        FAST: ours.compiled(emitter="numba", threads=THREADS),
        ALONE: alone,
        **PYTORCH,
        **JAX,
    }
    races, limits = [], []
    for size in "a" if quick else "abcd":
        workload = lstm(size)
        races.append(compete(workload, contenders, 2 if quick else SECONDS[size]))
        # a second thread must not make anything slower, where it does not help
        limits.append(Limit(str(workload), COMPILED, ALONE, 1.1))
        if size in LIMITS:
            most, most_numba = LIMITS[size]
            limits.append(Limit(str(workload), COMPILED, VENDOR, most, 1.0))
            limits.append(Limit(str(workload), FAST, VENDOR, most_numba, 1.0))
    return Section(
        "LSTM, two threads",
        "Two threads for everyone; tinyseq splits the batch. Milliseconds (quartiles), and in bold "
        "the ratio to torch.nn.",
        races,
        VENDOR,
        limits,
    )
