"""How the time of a step grows with the length, the batch and the units."""

from __future__ import annotations

from benchmarks.contenders import JAX, NN, OWN, PYTORCH, SCAN, VENDOR
from benchmarks.section import Section
from tinyseq.bench import Race, Workload, compete

BASE = {"steps": 100, "batch": 16, "size": 128}
GROWTH = {"steps": (400, 1600, 4000), "batch": (1, 4, 64), "size": (32, 512)}
QUICK = {"steps": (400,)}


def section(quick: bool) -> Section:
    """A race for each size, shown as microseconds a step."""
    contenders = {**NN, **OWN, **PYTORCH, SCAN: JAX[SCAN]}
    sizes = [BASE]
    for name, values in (QUICK if quick else GROWTH).items():
        sizes += [{**BASE, name: value} for value in values]
    workloads = [Workload("LSTM", **size) for size in sizes]
    races = [compete(workload, contenders, 1 if quick else 3) for workload in workloads]
    names = list(contenders)
    lines = ["| LSTM | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for workload, race in zip(workloads, races, strict=True):
        cells = [_per_step(race, name, workload.steps) for name in names]
        lines.append(f"| T{workload.steps} B{workload.batch} H{workload.size} | "
                     + " | ".join(cells) + " |")  # fmt: skip
    return Section(
        "Growth",
        "Microseconds a step, forward and backward, one thread.",
        races,
        VENDOR,
        lines=lines,
    )


def _per_step(race: Race, name: str, steps: int) -> str:
    return f"{1e6 * race.median(name) / steps:.3g}" if name in race.seconds else "missing"
