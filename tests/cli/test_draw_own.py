"""tinyseq draw FILE.py:NAME: a user's own model, and their mistakes in one line."""

import sys

import pytest

FILE = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import beside
import tinyseq as ts
from tinyseq import nn, ops


@dataclass
class Sizes:
    kinds: "ClassVar[int]" = 5


class Mine(nn.Cell):
    def __init__(self, size, hidden_size):
        self.hidden_size = hidden_size
        self.A = nn.Parameter(np.full((hidden_size, size), 0.5), "A")
        self.B = nn.Parameter(np.eye(hidden_size), "B")

    def __call__(self, x, h):
        h = ops.tanh(ops.linear(x, self.A) + ops.linear(h, self.B))
        return h, h


cell = Mine(3, beside.HIDDEN)
layer = nn.GRU(3, 4, seed=0)
model = nn.SequenceModel(cell, nn.Linear(4, Sizes.kinds, seed=0))
numbers = nn.SequenceModel(cell, nn.Linear(4, 2, seed=0), loss=nn.mse)
text = ts.models.LanguageModel(7, 4, cell="elman", seed=0)


class Holder:
    inner = cell


def loss():
    return model.loss(np.ones((3, 1, 3)), np.zeros((3, 1), int))


def of_inputs(xs, scale=2.0):
    return ops.sum(ts.unroll(cell, xs)[0]) * scale


def fails():
    return of_inputs(np.ones((3, 1, 3))) / missing


def leaves():
    raise SystemExit("enough")


def step(x, h):
    return h, h


answer = 42
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my model.py"
    path.write_text(FILE)
    (tmp_path / "beside.py").write_text("HIDDEN = 4\n")
    yield path
    sys.modules.pop("beside", None)


@pytest.fixture
def graph_of(monkeypatch):
    """The graph of the picture that the next command saves."""
    from tinyseq import draw

    graphs = []
    save = draw.Picture.save

    def kept(picture, *arguments, **options):
        graphs.append(picture.graph)
        return save(picture, *arguments, **options)

    monkeypatch.setattr(draw.Picture, "save", kept)
    return graphs


READOUT = {"h -V-> o", "o -> L", "y -> L"}
OWN = {"x -A-> h", "h -B-> h (delay 1)"}


@pytest.mark.parametrize(
    ("name", "shape", "edges"),
    [
        ("cell", "5,1,3", OWN),
        ("Holder.inner", "5,1,3", OWN),
        ("model", "4,2,3", OWN | READOUT),
        ("numbers", "4,2,3", OWN | READOUT),
        ("text", "4,2", {"x -E,U-> h", "h -W-> h (delay 1)"} | READOUT),
        ("loss", None, OWN | READOUT),
        ("layer", "4,2,3", {"x -U-> h", "h -W-> h (delay 1)"}),
        ("of_inputs", "4,1,3", OWN),
    ],
)
def test_a_model_of_ones_own(run, file, graph_of, name, shape, edges, tmp_path):
    path = tmp_path / "a.svg"
    arguments = [] if shape is None else ["--input", shape]
    code, out, err = run("draw", f"{file}:{name}", *arguments, "--view", "circuit", "-o", path)
    assert (code, out, err) == (0, [str(path)], [])
    assert {str(edge) for edge in graph_of[0].edges} == edges


def test_all_views_of_ones_own(run, file, graph_of, tmp_path):
    path = tmp_path / "a.svg"
    for options in (["--gradients"], ["--values", "text"], ["--view", "graphical"]):
        arguments = ["draw", f"{file}:model", "--input", "4,1,3", *options, "-o", path]
        assert run(*arguments) == (0, [str(path)], [])
    assert all(v.grad is not None for v in graph_of[0].vertices if v.label == "h")
    assert {(e.source, e.target) for e in graph_of[2].edges} == {
        (f"x({s})", f"y({t})") for t in range(1, 5) for s in range(1, t + 1)
    }


def test_the_seed_decides_the_inputs(run, file, graph_of, tmp_path):
    for seed in (0, 0, 1):
        arguments = ["--input", "3,1,3", "--gradients", "--seed", seed, "-o", tmp_path / "a.svg"]
        assert run("draw", f"{file}:model", *arguments)[0] == 0
    grads = [[v.grad for v in graph.vertices] for graph in graph_of]
    assert grads[0] == grads[1] != grads[2]


def line_of(text: str) -> int:
    return FILE[: FILE.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("fails", f"my model.py, line {line_of('/ missing')}: NameError: name 'missing'"),
        ("leaves", f"my model.py, line {line_of('raise System')}: SystemExit: enough"),
        ("step", "say its shape"),
        ("nothing", "my model.py has no nothing; there are cell, layer, model, numbers, text"),
        ("Mine", "Mine is a class: make a model of it in my model.py"),
        ("answer", "answer is a int"),
        ("model", "say its shape, --input steps,batch,size"),
        ("", "which model of the file"),
    ],
)
def test_a_mistake_is_one_line(run, file, name, hint, tmp_path):
    code, out, err = run("draw", f"{file}:{name}", "-o", tmp_path / "a.svg")
    assert (code, out, len(err)) == (2, [], 1)
    assert hint in err[0]


def test_a_function_of_several_arguments_is_none_to_call(run, file, tmp_path):
    arguments = ["--input", "3,1,3", "-o", tmp_path / "a.svg"]
    code, _, err = run("draw", f"{file}:step", *arguments)
    assert code == 2 and len(err) == 1 and "my model.py: TypeError: step() missing 1" in err[0]


def test_a_wrong_shape_says_where(run, file, tmp_path):
    arguments = ["--input", "4,1,7", "-o", tmp_path / "a.svg"]
    code, _, err = run("draw", f"{file}:model", *arguments)
    place = f"my model.py, line {line_of('h = ops.tanh')}: ShapeError: linear"
    assert code == 2 and len(err) == 1 and place in err[0]
    code, _, err = run("draw", f"{file}:model", "--steps", 3, *arguments)
    assert code == 2 and "--input steps,batch,size" in err[0]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x = 1\ndef f(:\n", "broken.py, line 2: SyntaxError: invalid syntax"),
        ("import no_such_module_at_all\n", "broken.py, line 1: ModuleNotFoundError"),
        ("a = 1\n\nb = a / 0\n", "broken.py, line 3: ZeroDivisionError"),
    ],
)
def test_a_file_that_does_not_run(run, text, hint, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(text)
    code, out, err = run("draw", f"{path}:model", "-o", tmp_path / "a.svg")
    assert (code, out, len(err)) == (2, [], 1) and hint in err[0]


def test_an_error_in_a_file_beside_is_found_there(run, file, tmp_path):
    (tmp_path / "beside.py").write_text("\n\nHIDDEN = unknown\n")
    code, _, err = run("draw", f"{file}:cell", "--input", "3,1,3", "-o", tmp_path / "a.svg")
    assert code == 2 and f"my model.py, line {line_of('import beside')}: NameError" in err[0]


def test_nothing_is_left_behind(run, file, tmp_path):
    path, modules = list(sys.path), set(sys.modules)
    for name in ("cell", "fails", "nothing"):
        run("draw", f"{file}:{name}", "--input", "3,1,3", "-o", tmp_path / "a.svg")
    assert sys.path == path
    assert not any(name.startswith("_own") for name in set(sys.modules) - modules)
