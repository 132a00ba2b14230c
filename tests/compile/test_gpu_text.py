"""What is written for a GPU: CuPy has what it asks for, and NVIDIA's compiler takes the text."""

import inspect
import re
from typing import Any

import numpy as np
import pytest

import cupy_names
import strict_cuda
import tinyseq as ts
from compile.checks import of_case
from compile.gpu import emitted
from cuda_c import parse
from nn.checks import every_cell
from nn.registry import Case, Entry
from test_source import all_lacking
from tinyseq import nn, ops
from tinyseq.compile import emit_cupy
from tinyseq.compile.cuda import code
from tinyseq.compile.cuda.kernel import plain

NAMES = cupy_names.read_names()[1]
KINDS = [(np.float32, False), (np.float64, True)]


@every_cell
def test_cupy_has_what_the_page_asks_for(entry: Entry):
    for ragged in (False, True):
        assert all_lacking(emitted(entry.name, ragged=ragged).source, NAMES) == []


def nvrtc() -> Any:
    """CuPy's access to NVIDIA's compiler, which needs no GPU."""
    try:
        from cupy.cuda import nvrtc

        nvrtc.getVersion()
    except Exception as error:  # ImportError, or whatever the loader of the library raises
        pytest.skip(f"could not import NVRTC (pip install nvidia-cuda-nvrtc-cu12): {error}"[:120])
    return nvrtc


def compiled(text: str, architecture: int) -> str:
    """The text as assembly for a GPU; with the compiler's complaints if it is refused."""
    library = nvrtc()
    program = library.createProgram(text, "page.cu", [], [])
    try:
        options = (f"--gpu-architecture=compute_{architecture}", "--std=c++17")
        library.compileProgram(program, options)
        return library.getPTX(program).decode()
    except library.NVRTCError:
        raise AssertionError(library.getProgramLog(program) + text) from None
    finally:
        library.destroyProgram(program)


@pytest.mark.oracle("cupy")
@every_cell
def test_nvidias_compiler_takes_every_kernel(entry: Entry):
    texts = [emitted(entry.name, dtype, ragged).cuda for dtype, ragged in KINDS]
    for text in texts:
        assembly = compiled(text, 75)
        for name, function in parse(text).items():
            assert f".entry {name}(" in assembly
            assert assembly.count(f"{name}_param_") >= len(function.parameters)


@pytest.mark.oracle("cupy")
def test_that_check_finds_what_it_should():
    good = emitted("lstm").cuda
    compiled(good, 90)
    for old, new in (("tanhf(", "tanhg("), ("const float *", "const flat *"), (";", "")):
        assert old in good
        with pytest.raises(AssertionError, match="error"):
            compiled(good.replace(old, new, 1), 75)


def test_no_number_is_a_double_in_a_kernel_of_floats():
    """Such a number would turn the arithmetic around it into that of doubles, many times slower."""
    for name in ("lstm", "gru before keep sigmoid", "leaky learned"):
        assert "double" not in emitted(name, np.float32).cuda
        assert not re.search(r"\d\.\d+(?![\df])", emitted(name, np.float32).cuda)
        assert not re.search(r"float|\d\.\d+f", emitted(name, np.float64).cuda)


# -- readable ------------------------------------------------------------------------------------


def test_every_line_of_a_kernel_has_its_equation():
    source = emitted("lstm").source
    for line in source.splitlines():
        if re.match(r"\s+const (float|double|bool) \w+ = .*[-+*/?(]", line) and "[" not in line:
            assert "//" in line, line
        if re.match(r"\s+xp\.(dot|matmul)\(", line):
            assert "#" in line or "reshape" in line, line
    assert "// c = add(" in source and "// h = mul(" in source
    assert source.index('extern "C"') < source.index("def build(") < source.index("def forward(")


@pytest.mark.parametrize(
    "label",
    ['"""', "*/ break", "back\\", "new\nline", "??/", "`$(x)`", "ü", "int", "threadIdx", "for"],
)
def test_a_label_is_no_part_of_the_program(label: str):
    class Named(nn.Cell):
        def init_state(self, batch: int) -> Any:
            return np.zeros((batch, 2))

        def __call__(self, x: Any, state: Any) -> Any:
            y = ts.label(ops.tanh(ts.label(x * 2, label) + state), label)
            return y, y

    fast = ts.compile(Named())
    of_case(fast, Case(fast, np.ones((2, 1, 2)), np.ones((1, 2)), 2))
    page = emit_cupy.emit(fast._last().assembled.schedule, 2)
    names = {"forward_loop_1", "backward_loop_1", "backward_after_1"}
    assert parse(page.cuda).keys() == names
    assert page.source.isascii()


def test_comments_are_plain():
    assert plain("a\"b\\c\nd'e?f\x00gü") == "a.b.c.d.e.f.g."


# -- what C calls things ---------------------------------------------------------------------------


def test_numbers():
    assert code.number(0.1, "float32") == "0.10000000149011612f"
    assert code.number(-2, "float64") == "(-2.0)"
    assert code.number(True, "bool") == "true"
    assert code.number(-3, "int64") == "(-3LL)"
    assert code.number(1e300, "float32") == "__int_as_float(0x7f800000)"
    assert code.number(-float("inf"), "float64") == "(-__longlong_as_double(0x7ff0000000000000LL))"


def test_nothing_is_called_like_something_of_c():
    for name in ("tanh", "expf", "int", "new", "threadIdx", "double", "k", "n"):
        assert name in code.RESERVED


# -- the double is like CuPy -----------------------------------------------------------------------


@pytest.mark.oracle("cupy")
@pytest.mark.parametrize("name", ["RawModule", "cuda.Event", "cuda.Graph", "cuda.Stream"])
def test_the_double_takes_what_cupy_takes(name: str):
    """The classes of CUDA are compiled; the first line of a docstring has the parameters."""
    import cupy

    real, double = cupy, strict_cuda
    for part in name.split("."):
        real = getattr(real, part)
    double = getattr(strict_cuda, name.rpartition(".")[2])
    for attribute, member in vars(double).items():
        if attribute.startswith("_") or not callable(member):
            continue
        first = (getattr(real, attribute).__doc__ or "").split("\n")[0]
        found = re.match(rf"(?:\w+\.)?{attribute}\(self(?:, )?(.*)\)", first)
        assert found, f"CuPy's {name} has no {attribute}"
        words = [part for part in found[1].split(", ") if part]
        theirs = [part.split("=")[0].split()[-1] for part in words]
        assert list(inspect.signature(member).parameters)[1:] == theirs, attribute


@pytest.mark.oracle("cupy")
def test_the_source_asks_cupy_for_what_it_has_of_cuda():
    import cupy

    from tinyseq.compile.cuda import graph

    asked = set(re.findall(r"xp\.cuda\.(\w+)", inspect.getsource(graph)))
    assert asked == {"Stream", "Event", "get_current_stream"}
    assert all(hasattr(cupy.cuda, name) for name in asked)
    words = inspect.getsource(graph)
    for name in set(re.findall(r"stream\.(\w+)", words)):
        assert hasattr(cupy.cuda.Stream, name) or name == "ptr", name
