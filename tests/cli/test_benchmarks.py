"""python -m benchmarks: its quick run, and the page that it writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import report
from benchmarks.section import Limit, Section
from tinyseq.bench import Race

ROOT = Path(__file__).parents[2]


def a_section() -> Section:
    race = Race("LSTM", {"ours": [0.02], "theirs": [0.01]}, {"third": "not installed: third"})
    limits = [
        Limit("LSTM", "ours", "theirs", 1.5, 1.0),
        Limit("LSTM", "ours", "theirs", 2.0, 1.0),
        Limit("LSTM", "theirs", "ours", 1.0, 0.5),
        Limit("LSTM", "ours", "theirs", None, 1.0),
        Limit("LSTM", "ours", "third", 1.0),
        Limit("GRU", "ours", "theirs", 1.0),
    ]
    return Section("Title", "Text.", [race], "theirs", limits)


def test_the_page_says_what_was_reached_and_who_is_missing():
    lines = report([Section.from_json(a_section().to_json())], ["memory"]).splitlines()
    limits = [line.split(" | ") for line in lines if line.startswith(("| LSTM |", "| GRU |"))]
    assert [cells[3] for cells in limits] == ["2.00", "2.00", "0.50", "2.00", "-", "-"]
    assert [cells[6].removesuffix(" |") for cells in limits] == [
        *("**not reached**", "reached", "aim reached", "aim not reached"),
        *("not measured", "not measured"),
    ]
    assert "**Did not run to the end: memory.**" in lines
    assert "| ours | 20 (20 to 20) **2.00** |" in lines
    assert "| third | missing (see below) |" in lines
    assert "- third: not installed: third (LSTM)" in lines


def test_it_is_broken_if_tinyseq_does_not_run_and_not_if_a_library_is_absent():
    section = a_section()
    assert not section.broken()
    section.races[0].missing["tinyseq, compiled (numba)"] = "not installed: numba"
    assert not section.broken()
    section.races[0].missing["tinyseq, compiled"] = "CompileError: no"
    assert section.broken()


@pytest.mark.slow
@pytest.mark.oracle("torch")
def test_the_quick_run(tmp_path):
    page = tmp_path / "page.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "-o", page],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    text = page.read_text(encoding="utf-8")
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles[0] == "## What was to be reached"
    themes = [line for line in done.stderr.splitlines() if line.endswith(" ...")]
    assert len(titles) == 1 + len(themes) and len(themes) >= 6
    assert "Did not run" not in text
