"""The table of the cells' README: every parameter of every cell, its letter and its shape."""

import re
from pathlib import Path

import pytest

from nn.registry import H, I, O
from tinyseq import nn
from tinyseq.nn import cells

SIZES = {"I": I, "H": H, "O": O, "S": 5, "K": 6}
README = Path(cells.__file__).with_name("README.md")

# How the cells of the table are made, where the sizes alone do not say it.
MADE = {
    "OutputRecurrentCell": lambda: nn.OutputRecurrentCell(I, H, O, hidden_recurrence=True),
    "OdysseyLSTMCell": lambda: nn.OdysseyLSTMCell(I, H, "FGR"),
    "SCRNCell": lambda: nn.SCRNCell(I, H, SIZES["S"]),
    "LeakyCell": lambda: nn.LeakyCell(I, H, learned=True),
    "ClockworkCell": lambda: nn.ClockworkCell(I, H, (1, 2)),
    "DeepTransitionCell": lambda: nn.DeepTransitionCell(I, H, 2, True, SIZES["K"]),
}
COMPOSED = {"DeepOutputCell"}  # has the parameters of what it is made of


def table() -> dict[str, list[list[str]]]:
    """For each cell its state, and rows of parameter, letter, shape and PyTorch's name."""
    found: dict[str, list[list[str]]] = {}
    section = README.read_text().partition("## Parameters")[2].partition("\n## ")[0]
    for line in section.splitlines():
        columns = [column.strip() for column in line.strip("|").split("|")]
        if not line.startswith("|") or columns[2] in ("parameter", "---"):
            continue
        if columns[0]:
            (name,) = re.findall(r"`(\w+)`", columns[0])
            found[name] = []
        found[name].append([column.strip("`") for column in columns[1:]])
    return found


TABLE = table()


def test_the_table_has_every_cell():
    exported = (getattr(cells, name) for name in cells.__all__)
    kinds = {c.__name__ for c in exported if isinstance(c, type) and issubclass(c, nn.Cell)}
    assert set(TABLE) == kinds - COMPOSED


@pytest.mark.parametrize("name", TABLE)
def test_the_table_says_what_the_cell_has(name: str):
    cell = MADE.get(name, lambda: getattr(nn, name)(I, H))()
    shown = {row[1]: (row[2], shape(row[3])) for row in TABLE[name]}
    assert shown == {n: (p.symbol, p.shape) for n, p in cell.named_parameters()}
    first = TABLE[name][0][0]
    state = cell.init_state(1)
    if "each layer" not in first:
        assert first.split(", ") == list(getattr(state, "_fields", ["h"]))


def shape(text: str) -> tuple[int, ...]:
    """A shape as "(4H, I)" gives it."""
    assert re.fullmatch(r"\((\d*[A-Z],? ?)+\)", text), text
    return tuple(int(count or 1) * SIZES[size] for count, size in re.findall(r"(\d*)([A-Z])", text))


@pytest.mark.oracle
@pytest.mark.parametrize("name", [name for name, rows in TABLE.items() if rows[0][-1]])
def test_the_table_has_the_names_of_pytorch(name: str):
    torch = pytest.importorskip("torch")
    kind = TABLE[name][0][-1].partition(".")[0]
    theirs = {n: tuple(p.shape) for n, p in getattr(torch.nn, kind)(I, H).named_parameters()}
    assert {row[-1]: shape(row[3]) for row in TABLE[name]} == {
        f"{kind}.{n}": s for n, s in theirs.items()
    }
