"""Run all themes, each in a process of its own, and write the tables as Markdown."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from benchmarks.report import report
from benchmarks.section import Section
from tinyseq.bench.race import on_cores

# With the number of threads of each.
THEMES = {"chain": 1, "lstm": 1, "kernels": 1, "cells": 1, "threads": 2, "growth": 1, "memory": 1,
          "drawing": 1, "gpu": 1}  # fmt: skip
SETTINGS = {"kernels": {"OPENBLAS_CORETYPE": "SKYLAKEX"}}
ON_REQUEST = {"gpu"}  # needs what most machines do not have
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> int:
    """0 if all ran; 1 if a theme, or tinyseq in one of them, did not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and short, for a first look")
    usual = [theme for theme in THEMES if theme not in ON_REQUEST]
    parser.add_argument("--only", nargs="+", choices=THEMES, default=usual, metavar="THEME")
    parser.add_argument("-o", "--out", type=Path, help="the Markdown file to write")
    parser.add_argument("--section", type=Path, help=argparse.SUPPRESS)  # we are such a process
    arguments = parser.parse_args()
    if arguments.section:
        (theme,) = arguments.only
        with on_cores(THEMES[theme]):
            section = import_module(f"benchmarks.{theme}").section(arguments.quick)
        arguments.section.write_text(section.to_json(), encoding="utf-8")
        return 0
    sections, failed = [], []
    for theme in arguments.only:
        print(f"{theme} ...", file=sys.stderr, flush=True)
        section = _in_a_process(theme, arguments.quick)
        if section is None:
            failed.append(theme)
        else:
            sections.append(section)
    text = report(sections, failed)
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return 1 if failed or any(section.broken() for section in sections) else 0


def _in_a_process(theme: str, quick: bool) -> Section | None:
    """The section of a theme; None if its process failed, which has said why."""
    environment = os.environ | dict.fromkeys(VARIABLES, str(THEMES[theme]))
    environment |= SETTINGS.get(theme, {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "section.json")
        command = [sys.executable, "-m", "benchmarks", "--only", theme, "--section", str(path)]
        command += ["--quick"] * quick
        done = subprocess.run(command, env=environment, stdout=sys.stderr)
        return None if done.returncode else Section.from_json(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
