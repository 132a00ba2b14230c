"""The tutorials run as programs, and leave their pictures where they are told to."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "tutorials"
SCRIPTS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
SLOW = {"03_language_model": [pytest.mark.slow, pytest.mark.representative]}


@pytest.mark.parametrize(
    "script", [pytest.param(s, id=s.stem, marks=SLOW.get(s.stem, [])) for s in SCRIPTS]
)
def test_the_tutorial_runs(script, tmp_path):
    expected = set(re.findall(r'out / "([^"]+)"', script.read_text(encoding="utf-8")))
    assert expected
    environment = os.environ | {"TUTORIAL_OUT": str(tmp_path), "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert {path.name for path in tmp_path.iterdir()} == expected
    for path in tmp_path.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.stem)
def test_the_tutorial_has_the_parts_that_all_have(script):
    text = script.read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    assert re.search(r"^# \*\*[^*]+\?\*\*$", text, re.M), "a question comes first"
    assert "# ## What fails, and why\n" in text
    for name in re.findall(r"\]\(([\w.]+)\)", text):
        assert (FOLDER / name).is_file(), name
    following = [s.name for s in SCRIPTS if s.name > script.name][:1]
    assert not following or f"# Next: [{following[0]}]" in text
    assert f"]({script.name})" in (FOLDER / "README.md").read_text(encoding="utf-8")
