"""Every cell has its circuit in the gallery, and the pictures are what the cells are."""

import inspect
import re
import runpy

import pytest

from tinyseq import nn
from visualizations.scripts import FOLDER
from visualizations.test_gallery import outline

CELLS = FOLDER / "cells"
SCRIPT = runpy.run_path(str(CELLS / "draw.py"))
AGAIN = "run `python visualizations/cells/draw.py`, look at what changed, and commit it"
# What is made of other cells, or only stands for one.
MADE_OF_CELLS = {nn.Cell, nn.Stacked, nn.Clamped, nn.LearnedInitialState}


def test_every_cell_is_drawn():
    public = {c for _, c in inspect.getmembers(nn, inspect.isclass) if issubclass(c, nn.Cell)}
    assert public - {type(cell) for cell in SCRIPT["CELLS"].values()} <= MADE_OF_CELLS


def test_the_gallery_shows_every_picture():
    shown = re.findall(r"\(([\w.]+\.svg)\)", (CELLS / "README.md").read_text())
    assert (
        sorted(shown) == sorted(SCRIPT["pictures"]) == sorted(f.name for f in CELLS.glob("*.svg"))
    )


@pytest.mark.parametrize("file", SCRIPT["pictures"])
def test_a_circuit_is_as_it_was_drawn(file: str):
    new = SCRIPT["pictures"][file].render("svg").decode()
    assert outline((CELLS / file).read_text()) == outline(new), AGAIN
