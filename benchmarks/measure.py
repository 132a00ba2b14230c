"""Timing contenders against each other: interleaved rounds, medians, spread.

A machine that is shared is slow for seconds at a time. Running the contenders in turn, round after
round, lets such a spell hit all of them alike, and the median passes over it.
"""

from __future__ import annotations

import gc
import importlib
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Row:
    """One workload: the times of every contender, and the ratio that was aimed at."""

    workload: str
    peer: str
    limit: float
    seconds: dict[str, list[float]]
    note: str = ""
    missing: list[str] = field(default_factory=list)

    def median(self, name: str) -> float:
        """The median time of a contender in seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self) -> float | None:
        """The median of tinyseq over the median of the peer; None if the peer is missing."""
        if self.peer not in self.seconds:
            return None
        return self.median("tinyseq") / self.median(self.peer)

    def spread(self, name: str) -> str:
        """Median and quartiles in milliseconds."""
        times = sorted(self.seconds[name])
        low, high = times[len(times) // 4], times[(3 * len(times)) // 4]
        return f"{1e3 * self.median(name):.3g} ({1e3 * low:.3g} to {1e3 * high:.3g})"


def race(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The times of all contenders, run in turn for so many rounds, after one to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run()
    for _ in range(rounds):
        for name, run in contenders.items():
            gc.collect()
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def installed(name: str) -> bool:
    """Whether a peer can be imported."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def machine(peers: list[str]) -> list[str]:
    """Where the numbers were taken: processor, Python, versions, threads."""
    versions = []
    for name in ["numpy", "tinyseq", *peers]:
        if installed(name):
            versions.append(f"{name} {getattr(sys.modules[name], '__version__', '?')}")
        else:
            versions.append(f"{name} not installed: its column is missing")
    return [
        f"- {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        f"- {'; '.join(versions)}",
        f"- threads: OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}, "
        f"OPENBLAS_NUM_THREADS={os.environ['OPENBLAS_NUM_THREADS']}, torch set to the same",
    ]


def table(rows: list[Row]) -> list[str]:
    """The rows as Markdown."""
    lines = [
        "| workload | tinyseq, ms | peer, ms | ratio | aimed at | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = row.ratio()
        if ratio is None:
            peer, shown, met = f"{row.peer}: not installed", "-", "not measured"
        else:
            peer, shown = f"{row.peer}: {row.spread(row.peer)}", f"{ratio:.2f}"
            met = "reached" if ratio <= row.limit else "**not reached**"
        lines.append(
            f"| {row.workload} | {row.spread('tinyseq')} | {peer} | {shown} | {row.limit} | {met} |"
        )
    return lines
