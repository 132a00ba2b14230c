"""tinyseq draw --schedule: what a compiled loop does when, on the circuit."""

import pytest

from tinyseq.cli.examples import EXAMPLES
from tinyseq.draw.schedule import LOOKS

MODELS = [name for name, example in EXAMPLES.items() if example.model is not None]

FILE = """
import tinyseq as ts
from tinyseq import nn

cell = nn.GRUCell(3, 4, seed=0)
model = ts.models.LanguageModel(7, 4, cell="elman", seed=0)
layer = nn.GRU(3, 4, seed=0)
"""


@pytest.mark.parametrize("cell", MODELS)
def test_every_example_that_is_a_sequence_model(run, cell, tmp_path):
    path = tmp_path / "schedule.dot"
    assert run("draw", cell, "--view", "circuit", "--schedule", "-o", path) == (0, [str(path)], [])
    text = path.read_text(encoding="utf-8")
    before, loop = LOOKS["before"], LOOKS["loop"]
    assert before.words in text and before.wire in text
    assert (before.fill in text) == (cell == "gru"), "of the others x is read before, in no node"
    assert loop.words in text and loop.fill in text
    assert (LOOKS["after"].fill in text) == ("output" not in cell), "o is fed back, or read off"


def test_models_of_ones_own(run, tmp_path):
    file, path = tmp_path / "mine.py", tmp_path / "mine.dot"
    file.write_text(FILE, encoding="utf-8")
    for name, shape in (("cell", "5,2,3"), ("model", "5,2")):
        how = ("--input", shape, "--view", "circuit", "--schedule", "-o", path)
        assert run("draw", f"{file}:{name}", *how)[0] == 0
        assert LOOKS["loop"].words in path.read_text(encoding="utf-8")
    code, _, err = run("draw", f"{file}:layer", "--input", "5,2,3", *how[2:])
    assert code != 0 and "a GRU" in err[-1] and "a cell or a SequenceModel" in err[-1]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("lstm",), "--schedule needs --view circuit"),
        (("lstm", "--view", "circuit", "--detail", "variables"), "leave out --detail"),
        (("bidirectional", "--view", "circuit"), "--schedule is for elman"),
    ],
)
def test_what_has_no_schedule(run, arguments, said, tmp_path):
    code, _, err = run("draw", *arguments, "--schedule", "-o", tmp_path / "x.svg")
    assert code != 0 and said in err[-1]
