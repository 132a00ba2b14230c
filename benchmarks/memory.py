"""Peak memory of back-propagation through a long sequence, each contender in a fresh process.

``python -m benchmarks.memory CONTENDER STEPS FILE`` is that process: it lets the contender run over
two steps, so that all libraries are loaded, notes how much memory it has by then, and runs.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.contenders import COMPILED, FAST, NN, PYTORCH, SCAN, UNROLLED, VENDOR
from benchmarks.section import Limit, Section
from tinyseq.bench import Race, Workload, ours, peers
from tinyseq.bench.race import NOT_INSTALLED, Contender, check_same

STEPS, QUICK_STEPS, BATCH, SIZE, ROUNDS = 4000, 400, 16, 256, 3
SAVING, FAST_SAVING = f"{COMPILED}, checkpoints", f"{FAST}, checkpoints"
UNROLLED_SAVING = f"{UNROLLED}, checkpoints"
CONTENDERS: dict[str, Contender] = {
    **NN,
    COMPILED: ours.compiled(),
    SAVING: ours.compiled(checkpoint_every="sqrt"),
    FAST: ours.compiled(emitter="numba"),
    FAST_SAVING: ours.compiled(emitter="numba", checkpoint_every="sqrt"),
    UNROLLED: ours.unrolled(),
    UNROLLED_SAVING: ours.unrolled(checkpoint_every="sqrt"),
    **PYTORCH,
    SCAN: peers.jax_scan(),
}
MEGABYTE = 2**20


def section(quick: bool) -> Section:
    """Megabytes and seconds of every contender."""
    steps = QUICK_STEPS if quick else STEPS
    workload = str(Workload("LSTM", steps, BATCH, SIZE))
    memory = Race(f"{workload}, memory", {})
    time = Race(f"{workload}, time", {})
    expected = None
    for _ in range(1 if quick else ROUNDS):
        for name in CONTENDERS:
            if name in time.missing:
                continue
            measured = _in_a_fresh_process(name, steps)
            if isinstance(measured, str):
                memory.missing[name] = time.missing[name] = measured
                continue
            found = {n: a for n, a in measured.items() if n not in ("bytes", "seconds")}
            expected = expected or found
            check_same(f"{workload}, {name}", found, expected)
            memory.seconds.setdefault(name, []).append(float(measured["bytes"]))
            time.seconds.setdefault(name, []).append(float(measured["seconds"]))
    limits = [
        Limit(memory.workload, COMPILED, VENDOR, 0.65, 0.4),
        Limit(memory.workload, FAST, VENDOR, 0.65, 0.4),
        Limit(memory.workload, SAVING, VENDOR, None, 0.15),
        Limit(time.workload, SAVING, COMPILED, None, 1.4),
    ]
    return Section(
        "Memory",
        f"{workload}, one thread. What a pass adds, at its peak, to the memory of a process that "
        "has its libraries loaded and its inputs made.",
        [memory, time],
        VENDOR,
        limits,
        _table(memory, time),
    )


def _table(memory: Race, time: Race) -> list[str]:
    lines = ["| | MB | ratio to torch.nn | seconds | ratio to torch.nn |", "|---|---|---|---|---|"]
    for name in memory.seconds:
        cells = [
            f"{memory.median(name) / MEGABYTE:.0f}",
            _ratio(memory, name),
            f"{time.median(name):.2f}",
            _ratio(time, name),
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _ratio(race: Race, name: str) -> str:
    ratio = race.ratio(name, VENDOR)
    return "-" if ratio is None else f"{ratio:.2f}"


def _in_a_fresh_process(name: str, steps: int) -> dict[str, np.ndarray] | str:
    """The gradients, "bytes" and "seconds"; or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "measured.npz")
        command = [sys.executable, "-m", "benchmarks.memory", name, str(steps), str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1]
            absent = last.startswith("ModuleNotFoundError: No module named ")
            return f"{NOT_INSTALLED}: {last.split()[-1]}" if absent else last
        with np.load(path) as arrays:
            return dict(arrays)


def _measure(name: str, steps: int, path: str) -> None:
    """In the fresh process."""
    CONTENDERS[name](Workload("LSTM", 2, BATCH, SIZE))()
    run = CONTENDERS[name](Workload("LSTM", steps, BATCH, SIZE))
    before = _resident()
    run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT - before
    start = perf_counter()
    gradients = run()
    np.savez(path, **gradients, bytes=peak, seconds=perf_counter() - start)


_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def _resident() -> int:
    """The memory that the process has now, or the most that it has had where that is unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    _measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])
