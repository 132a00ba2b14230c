"""The source of a loop: a page to be read, whatever the names in it."""

import re
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_compiles
from nn.checks import every_cell
from nn.registry import Entry, case
from tinyseq import nn, ops

XS = np.random.default_rng(0).normal(size=(4, 3, 2))


@every_cell
def test_it_is_two_functions_of_python(entry: Entry):
    c = case(entry, 4, 2)
    fast = ts.compile(c.cell)
    ts.unroll(fast, c.inputs, c.state, length=c.length())
    compile(fast.source, "<source>", "exec")
    assert "def forward(" in fast.source and "def backward(" in fast.source
    assert max(map(len, fast.source.splitlines())) < 400


def test_each_line_says_which_equation_it_is():
    """A comment in the names of the pictures stands behind the lines that compute."""
    cell = nn.ElmanCell(2, 4, seed=0).to(np.float64)
    fast = ts.compile(cell)
    ts.unroll(fast, XS)
    lines = [line for line in fast.source.splitlines() if "tanh(" in line and "np.tanh" not in line]
    assert lines and all("#" in line and "tanh" in line.partition("#")[2] for line in lines)


def test_the_source_is_that_of_the_run_before():
    cell = nn.ElmanCell(2, 4, seed=0).to(np.float64)
    fast = ts.compile(cell)
    sources = []
    for steps in (4, 2, 4):
        ts.unroll(fast, XS[:steps])
        sources.append(fast.source)
    assert sources[0] == sources[2] != sources[1]


def named_cell(name: str) -> nn.Cell:
    class Named(nn.Cell):
        """h' = tanh(V x + W h), y = 2 h', with one name for everything."""

        hidden_size = 2

        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.V = nn.Parameter(rng.normal(size=(2, 2)), name)
            self.W = nn.Parameter(rng.normal(size=(2, 2)), name)

        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            a = ts.label(ops.linear(x, self.V), name)
            b = ts.label(ops.linear(h, self.W), name)
            h = ts.label(ops.tanh(a + b), name)
            m = ts.label(ops.where(h > 0.1, ops.sigmoid(h), h), name)
            return ts.label(ops.maximum(m, 2.0 * h).sum(-1), name), h

    return Named()


NAMES = [
    # what the source itself uses
    "np", "n", "t", "lo", "hi", "T", "K", "x", "h", "s0", "y0", "gx0", "gy0", "g_h", "d_W", "h_",
    "h_start", "g_h_end", "kept", "calls", "constants", "build", "forward", "backward",
    "flush_tiny", "half_float32", "half_float64", "slices",
    # of Python and NumPy
    "list", "range", "len", "max", "min", "sum", "abs", "zip", "tuple", "slice", "int", "print",
    "add", "multiply", "tanh", "dot", "matmul", "empty", "zeros", "concatenate", "reshape", "out",
    "broadcast_to", "where", "exp", "None", "True", "lambda", "for", "in", "def", "class", "import",
    # what is no name
    "1", "", " ", "é", "θ", "h'", "h(t)", "a b", "a-b", "a.b", "a,b", "[", "\\", "#", '"', "'''",
    "a\nimport os", "a\rb", "a\x00b", "x\u2028y", "x" * 5000, "{a}", "%s",
]  # fmt: skip


@pytest.mark.parametrize("name", [n for n in NAMES if n], ids=repr)
def test_no_name_breaks_it(name: str):
    cell = named_cell(name)
    assert_compiles(cell, XS, np.ones((3, 2)))
    if len(name) < 100:
        assert_compiles(cell, XS, np.ones((3, 2)), lengths=[1, 4, 0])


def test_a_name_cannot_write_a_line_of_code(tmp_path: Any):
    trace = tmp_path / "written"
    cell = named_cell(f"h\n    open({str(trace)!r}, 'w').close()\n    #")
    assert_compiles(cell, XS, np.ones((3, 2)))
    assert not trace.exists()


def test_names_of_attributes_and_modules_cannot_either(tmp_path: Any):
    trace = tmp_path / "written"
    evil = f"h\n    open({str(trace)!r}, 'w').close()\n    #"

    class Evil(nn.Cell):
        hidden_size = 2

        def __init__(self) -> None:
            self.parts = {evil: nn.Linear(2, 2, seed=0).to(np.float64)}

        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            h = ops.tanh(self.parts[evil](x) + h)
            return h, h

    assert_compiles(Evil(), XS, np.ones((3, 2)))
    assert not trace.exists()


def test_explain_says_what_was_taken_out_of_the_loop():
    cell = nn.LSTMCell(2, 4, seed=0).to(np.float64)
    fast = ts.compile(cell)
    ts.unroll(fast, XS)
    text = fast.explain()
    assert "forward" in text and "backward" in text
    before = text.partition("before: ")[2].partition("loop: ")[0]
    assert "linear(" in before, "the product with the input is done before the loop"
    assert "bytes a step" in text and "flops" in text


def test_explain_names_what_a_value_is_made_of():
    """Every name on the right is defined on a line above, or is given to the step."""
    fast = ts.compile(nn.LSTMCell(2, 4, seed=0).to(np.float64))
    ts.unroll(fast, XS)
    lines = re.findall(r"^    (\w+) = (\w+)\((.*)\) \([\d, ]*\)", fast.explain(), re.MULTILINE)
    names = [name for name, _, _ in lines]
    assert len(set(names)) == len(names) and {"h", "c"} < set(names)
    known = {"x", "h(t-1)", "c(t-1)", "U", "W", "b", "g_h", "g_c", "gy0", "constant"}
    for name, _, made in lines:
        for part in made.split(", "):
            base = re.sub(r"(_piece|_T)(_\d+)?", "", part)
            assert base in known or re.fullmatch(r"-?[\d.]+", part), (name, part)
        known.add(name)
