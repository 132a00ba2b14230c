"""Contenders in turn, round after round: who is how fast, and who cannot run here.

A machine that is shared is slow for seconds at a time. Running the contenders in turn lets such a
spell hit all of them alike, and the median passes over it. Before it is timed, every contender has
to give the same gradients as the first one that runs.
"""

from __future__ import annotations

import gc
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from tinyseq.bench.workload import Workload

Run = Callable[[], dict[str, np.ndarray]]
Contender = Callable[[Workload], Run]
NOT_INSTALLED = "not installed"
SHORTEST = 0.02  # seconds: what is faster is run several times in a row
FEWEST, MOST = 3, 40  # rounds
AGREEMENT = 1e-3  # of gradients in float32, relative to the largest number of an array


@dataclass
class Race:
    """The times of a workload's contenders, and why the others did not run."""

    workload: str
    seconds: dict[str, list[float]]
    missing: dict[str, str] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """The median time of a contender, in seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, peer: str) -> float | None:
        """The median of one over that of the other; None if one of them did not run."""
        if name not in self.seconds or peer not in self.seconds:
            return None
        return self.median(name) / self.median(peer)

    def spread(self, name: str) -> str:
        """Median and quartiles in milliseconds."""
        times = sorted(self.seconds[name])
        low, high = times[len(times) // 4], times[(3 * len(times)) // 4]
        return " ".join([_short(self.median(name)), f"({_short(low)} to {_short(high)})"])


def compete(workload: Workload, contenders: Mapping[str, Contender], seconds: float) -> Race:
    """Race all that can run, for about so many seconds.

    The gradients of the first contender that runs are what those of the others have to be.

    Raises:
        AssertionError: a contender computes something else.
    """
    race = Race(str(workload), {})
    runs: dict[str, Run] = {}
    expected: dict[str, np.ndarray] | None = None
    for name, make in contenders.items():
        try:
            run = make(workload)
            found = run()
        except ImportError as error:
            race.missing[name] = f"{NOT_INSTALLED}: {error.name or error}"
        except Exception as error:  # whatever it is, the others race on, and the table tells
            race.missing[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        else:
            expected = expected or found
            check_same(f"{workload}, {name}", found, expected)
            runs[name] = run
    race.seconds = take_turns(runs, seconds)
    return race


def check_same(
    what: str, found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> None:
    """Raise AssertionError unless all gradients agree, relative to the largest number of each."""
    assert found.keys() == expected.keys(), f"{what}: gradients by {', '.join(found)}"
    for name, values in expected.items():
        worst = np.abs(found[name] - values).max() / np.abs(values).max()
        assert worst < AGREEMENT, f"{what}: the gradient by {name} is off by {worst:.1e}"


def take_turns(runs: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """The times of all, in turn. Each gets the same share of the time, but at least 3 rounds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    spent = dict.fromkeys(runs, 0.0)
    in_a_row = {name: max(1, int(SHORTEST / _seconds_of(run))) for name, run in runs.items()}
    gc.collect()
    gc.freeze()  # the libraries' own objects need not be looked through again and again
    try:
        for turn in range(MOST):
            for name, run in runs.items():
                if turn >= FEWEST and spent[name] > seconds / len(runs):
                    continue
                gc.collect()
                total = _seconds_of(run, in_a_row[name])
                times[name].append(total / in_a_row[name])
                spent[name] += total
    finally:
        gc.unfreeze()
    return times


def _seconds_of(run: Callable[[], object], count: int = 1) -> float:
    start = perf_counter()
    for _ in range(count):
        run()
    return perf_counter() - start


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Inside, libraries that are loaded find so many cores, and start no more threads than that."""
    if not hasattr(os, "sched_setaffinity"):  # elsewhere than on Linux
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _short(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}"
