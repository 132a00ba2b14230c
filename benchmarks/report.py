"""The sections as one Markdown page: what was to be reached, then all that was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from benchmarks.section import Limit, Section
from tinyseq.bench import versions

PACKAGES = ("numpy", "numba", "torch", "jax", "autograd", "dezero")
HEAD = """# Benchmarks

Forward and backward with the gradients by all weights, float32. Medians, with the quartiles in
brackets, of interleaved rounds. Every contender gives the same gradients as PyTorch, or is not
timed. One thread means one core, for every library. Made with
`python -m benchmarks -o benchmarks/RESULTS.md`; how each contender is written can be read in
[tinyseq/bench](../tinyseq/bench) and here."""
CHAINER = (
    "- Chainer is not in the race: its last version, 7.8.1, asks NumPy for names that NumPy 2 "
    "does not have"
)


def report(sections: Sequence[Section], failed: Sequence[str]) -> str:
    """The page."""
    lines = [HEAD, "", f"- {_machine()}", f"- {versions(PACKAGES)}", CHAINER, ""]
    if failed:
        lines += [f"**Did not run to the end: {', '.join(failed)}.**", ""]
    lines += ["## What was to be reached", "", *_limits(sections), ""]
    for section in sections:
        lines += [f"## {section.title}", "", section.text, "", *(section.lines or section.table())]
        missing = section.missing()
        lines += ["", "Missing:", "", *missing, ""] if missing else [""]
    return "\n".join(lines)


def _limits(sections: Sequence[Section]) -> list[str]:
    lines = [
        "Time, or memory, as a ratio to the peer's.",
        "",
        "| workload | contender | peer | ratio | must reach | aim | |",
        "|---|---|---|---|---|---|---|",
    ]
    for section in sections:
        for limit in section.limits:
            where = f"{limit.workload}, two threads" if "two" in section.title else limit.workload
            lines.append(_limit(where, limit, section.ratio(limit)))
    return lines


def _limit(where: str, limit: Limit, ratio: float | None) -> str:
    numbers = ["-" if n is None else f"{n:g}" for n in (limit.most, limit.aim)]
    shown = "-" if ratio is None else f"{ratio:.2f}"
    cells = [where, limit.contender, limit.peer, shown, *numbers, _met(limit, ratio)]
    return "| " + " | ".join(cells) + " |"


def _met(limit: Limit, ratio: float | None) -> str:
    if ratio is None:
        return "not measured"
    if limit.aim is not None and ratio <= limit.aim:
        return "aim reached"
    if limit.most is None:
        return "aim not reached"
    return "reached" if ratio <= limit.most else "**not reached**"


def _machine() -> str:
    """The processor, as the system calls it."""
    name = platform.processor() or platform.machine()
    try:
        known = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(": ")[2] for line in known if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # another system: its own word for the processor will do
    return f"{name}, {os.cpu_count()} cores"
