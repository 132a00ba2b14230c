"""The scripts of the gallery, run once, and the pictures that they draw."""

import runpy
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "visualizations"
SCRIPTS = sorted(FOLDER.glob("fig_*.py"))


@cache
def run(script: Path) -> dict[str, Any]:
    """All names of a script after it has run."""
    return runpy.run_path(str(script))


def picture(file: str) -> Any:
    """The picture that a script saves under this name."""
    (script,) = [s for s in SCRIPTS if s.name[:9] == file[:9]]
    return run(script)["pictures"][file]
