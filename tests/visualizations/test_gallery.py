"""The committed pictures are what their scripts draw, and the gallery shows all of them."""

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyseq.draw import Picture
from visualizations.scripts import FOLDER, SCRIPTS, run

SVG = "{http://www.w3.org/2000/svg}"
FILES = sorted(file.name for file in FOLDER.glob("*.svg"))
AGAIN = "run `python -m visualizations`, look at what changed, and commit it"


def drawn() -> dict[str, Any]:
    """All pictures that the scripts draw, by file name."""
    return {file: p for script in SCRIPTS for file, p in run(script)["pictures"].items()}


def test_the_pictures_are_those_of_the_scripts():
    assert FILES == sorted(drawn()), AGAIN
    assert {file[:9] for file in FILES} == {script.name[:9] for script in SCRIPTS}


def test_the_gallery_shows_every_picture_and_links_every_script():
    text = (FOLDER / "README.md").read_text()
    assert sorted(set(re.findall(r"\(([\w.]+\.svg)\)", text))) == FILES
    assert sorted(set(re.findall(r"\(([\w.]+\.py)\)", text))) == [s.name for s in SCRIPTS]


def outline(svg: str) -> list[tuple[str, str]]:
    """Nodes and edges: what they are called, and what is written on them, in which colours."""
    found = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if group.get("class") in ("node", "edge"):
            title = "".join(t.text or "" for t in group.iter(f"{SVG}title"))
            words = [t.text or "" for t in group.iter(f"{SVG}text")]
            colours = {e.get("fill") for e in group.iter()} | {
                e.get("stroke") for e in group.iter()
            }
            found.append((title, " ".join([*words, *sorted(c for c in colours if c)])))
    return sorted(found)


def centres(svg: str) -> np.ndarray:
    """Where the circles are, from the first one."""
    points = [
        (float(e.get("cx", "nan")), float(e.get("cy", "nan")))
        for e in ElementTree.fromstring(svg).iter(f"{SVG}ellipse")
    ]
    return np.array(points) - points[0]


@pytest.mark.parametrize("file", [f for f, p in drawn().items() if isinstance(p, Picture)])
def test_a_graph_is_as_it_was_drawn(file: str):
    old, new = (FOLDER / file).read_text(), drawn()[file].render("svg").decode()
    assert outline(old) == outline(new), AGAIN
    np.testing.assert_allclose(centres(old), centres(new), atol=1, err_msg=AGAIN)


def curves(svg: str) -> dict[str, np.ndarray]:
    """The points of the named curves of a plot, from the first one, in units of the picture."""
    found = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if re.fullmatch(r"(curve|path)-\d+", group.get("id", "")):
            path = next(group.iter(f"{SVG}path")).get("d", "")
            points = np.array(re.findall(r"-?\d+\.?\d*", path), float).reshape(-1, 2)
            found[group.get("id", "")] = points - points[0]
    return found


@pytest.mark.parametrize("file", [f for f, p in drawn().items() if not isinstance(p, Picture)])
def test_a_plot_shows_what_it_showed(file: str, tmp_path: Path):
    drawn()[file].savefig(tmp_path / file)
    old, new = curves((FOLDER / file).read_text()), curves((tmp_path / file).read_text())
    assert old and old.keys() == new.keys(), AGAIN
    for name, points in old.items():
        np.testing.assert_allclose(points, new[name], atol=1, err_msg=AGAIN)


def test_the_comparison_sees_what_differs():
    one, other = ((FOLDER / f"fig_10_0{k}_unrolled.svg").read_text() for k in (3, 4))
    assert outline(one) == outline(one) != outline(other)
    assert outline(one) != outline(one.replace(">W<", ">U<"))
    assert outline(one) != outline(one.replace('stroke="#000000"', 'stroke="#0000ff"', 1))


def test_a_script_writes_its_pictures_beside_itself(tmp_path: Path):
    script = FOLDER / "fig_10_03_hidden_recurrence.py"
    copy = shutil.copy(script, tmp_path)
    subprocess.run([sys.executable, copy], check=True)
    written = {file.name for file in tmp_path.glob("*.svg")}
    assert written == set(run(script)["pictures"])


def test_the_runner_draws_what_is_asked_for(tmp_path: Path):
    folder = shutil.copytree(FOLDER, tmp_path / "visualizations", ignore=lambda *_: FILES)
    command = [sys.executable, "-m", "visualizations"]
    result = subprocess.run([*command, "10_06"], check=True, cwd=tmp_path, capture_output=True)
    assert result.stdout.decode().split() == ["fig_10_06_teacher_forcing.py"]
    assert sorted(f.name for f in Path(folder).glob("*.svg")) == [
        "fig_10_06_test.svg",
        "fig_10_06_train.svg",
    ]
    result = subprocess.run([*command, "10_99"], cwd=tmp_path, capture_output=True)
    assert result.returncode == 1 and b"no figure has 10_99 in its name" in result.stderr
