"""The short version: four workloads, one thread, under a minute, with the libraries there are."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib import metadata

import tinyseq
from tinyseq.bench import ours, peers
from tinyseq.bench.race import Contender, Race, compete, on_cores
from tinyseq.bench.workload import at_a, lstm

COMPILED, FAST, UNROLLED = "tinyseq, compiled", "tinyseq, compiled (numba)", "tinyseq, unrolled"
VENDOR, LOOP, SCAN = "torch.nn", "torch, loop over the step", "jax.lax.scan"
OWN: dict[str, Contender] = {
    COMPILED: ours.compiled(),
    FAST: ours.compiled(emitter="numba"),
    UNROLLED: ours.unrolled(),
}
PEERS: dict[str, Contender] = {
    VENDOR: peers.torch_nn,
    LOOP: peers.torch_loop(),
    SCAN: peers.jax_scan(),
}
WORKLOADS = (lstm("a"), lstm("b"), at_a("GRU"), at_a("phase cell"))


def short_races(seconds: float = 4.0) -> Iterator[Race]:
    """LSTMs of a common and of a tiny size, a GRU, and a cell that no library has, one by one.

    Args:
        seconds: for each race, besides what compilers take.
    """
    for workload in WORKLOADS:
        known = {n: c for n, c in PEERS.items() if n != VENDOR or workload.cell in peers.LAYERS}
        with on_cores(1):
            race = compete(workload, OWN | known, seconds)
        yield race


def short_table(race: Race) -> str:
    """A race as lines of text: each contender's time, and that of the compiled loop over it."""
    lines = [race.workload]
    for name in race.seconds:
        ratio = race.ratio(COMPILED, name)
        share = "" if ratio is None or name == COMPILED else f"{ratio:.2f} x that"
        lines.append(f"  {name:28}{race.spread(name):>28}{share:>18}")
    lines += [f"  {name:28}{why}" for name, why in race.missing.items()]
    return "\n".join(lines)


def versions(packages: Sequence[str]) -> str:
    """The versions of Python, of tinyseq, and of the packages that are installed."""
    found = [f"Python {platform.python_version()}", f"tinyseq {tinyseq.__version__}"]
    for name in packages:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)
