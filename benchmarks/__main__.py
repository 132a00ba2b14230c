"""``python -m benchmarks [--quick] [-o FILE]``: run all, print the table, write it."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import eager, measure


def main() -> None:
    """Run, print, and write Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("-o", "--out", type=Path, help="the Markdown file to write")
    arguments = parser.parse_args()
    if measure.installed("torch"):
        import torch

        torch.set_num_threads(int(measure.os.environ["OMP_NUM_THREADS"]))
    rows = eager.rows(arguments.quick)
    text = "\n".join(
        [
            "# Benchmarks",
            "",
            "Forward and backward with all gradients, float32. Medians, with the quartiles in",
            "brackets, of interleaved rounds; the ratio is tinyseq's median over the peer's. Every",
            "contender's gradients were compared with tinyseq's before it was timed. Made with",
            "`python -m benchmarks -o benchmarks/RESULTS.md`.",
            "",
            *measure.machine(["torch"]),
            "",
            *measure.table(rows),
            "",
        ]
    )
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
