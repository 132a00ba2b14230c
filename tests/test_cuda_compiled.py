"""Kernels as a compiler of C++ on the host takes them: the numbers of ``cuda_c``, which reads them.

The compiler knows nothing of a GPU: it is told what ``__global__`` and a thread are, and runs one
thread after the other. What it compiles is the text itself.
"""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cuda_c
import strict_cupy
import tinyseq as ts
from compile.checks import assert_same, of_case
from compile.gpu import case_on_gpu, to_host

AROUND = """
#include <math.h>
#include <string.h>
#define __global__
struct place { unsigned x; };
static place blockIdx, blockDim, threadIdx;
static float __int_as_float(int bits) { float f; memcpy(&f, &bits, sizeof f); return f; }
static double __longlong_as_double(long long bits)
{ double d; memcpy(&d, &bits, sizeof d); return d; }
%s
"""
LAUNCH = """
extern "C" void launch_%(name)s(unsigned blocks, unsigned threads, %(parameters)s) {
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) %(name)s(%(names)s);
}
"""
# The function itself and the parsed one are compared on copies of the arrays: an element may differ
# by the last bits, as the library of C and NumPy have functions of their own.
WITHIN = {"float": 1e-6, "double": 1e-14}


def library(text: str, folder: Path) -> ctypes.CDLL:
    """The text, compiled, with a function for each kernel that launches it."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no compiler of C++ here")
    launches = []
    for name, function in cuda_c.parse(text).items():
        declared = [f"{kind} {'*' * is_array}{p}" for kind, is_array, _, p in function.parameters]
        names = ", ".join(p for *_, p in function.parameters)
        words = {"name": name, "parameters": ", ".join(declared), "names": names}
        launches.append(LAUNCH % words)
    number = len(list(folder.iterdir()))
    source, target = folder / f"page{number}.cpp", folder / f"page{number}.so"
    source.write_text(AROUND % text + "".join(launches), encoding="ascii")
    options = ["-O1", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Wno-unused-function"]
    done = subprocess.run(
        [compiler, *options, source, "-o", target], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(target))


def both(text: str, folder: Path, launched: list[str]) -> dict[str, cuda_c.Function]:
    """The kernels of a text; a launch of one runs it both ways, and compares."""
    compiled, kernels = library(text, folder), dict(cuda_c.parse(text))

    def launching(name: str, parsed: cuda_c.Function) -> Callable[..., None]:
        def launch(grid: tuple[int], block: tuple[int], args: tuple[Any, ...]) -> None:
            copies = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
            parsed.launch(grid, block, args)
            given = [
                a.ctypes.data_as(ctypes.c_void_p)
                if isinstance(a, np.ndarray)
                else ctypes.c_longlong(a)
                for a in copies
            ]
            getattr(compiled, f"launch_{name}")(grid[0], block[0], *given)
            for (kind, is_array, _, word), a, b in zip(
                parsed.parameters, args, copies, strict=True
            ):
                if is_array:
                    bound = WITHIN.get(kind, 0)
                    np.testing.assert_allclose(a, b, rtol=bound, atol=bound, err_msg=word)
            launched.append(name)

        return launch

    for name, parsed in kernels.items():
        kernels[name] = cuda_c.Function(name, parsed.parameters, parsed.body)
        kernels[name].launch = launching(name, parsed)  # type: ignore[method-assign]
    return kernels


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "name",
    ["lstm", "peephole", "gru before keep sigmoid", "clockwork", "mut1", "relu",
     "output recurrence, classes to h"],
)  # fmt: skip
def test_a_compiler_makes_of_a_kernel_what_the_double_does(
    name: str, dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cp = strict_cupy.install(monkeypatch)
    launched: list[str] = []
    pages: dict[str, dict[str, cuda_c.Function]] = {}

    class Both(cp.RawModule):
        def get_function(self, wanted: str) -> Any:
            if self.code not in pages:
                pages[self.code] = both(self.code, tmp_path, launched)
            kernel = super().get_function(wanted)
            kernel.function = pages[self.code][wanted]
            return kernel

    monkeypatch.setattr(cp, "RawModule", Both)
    c = case_on_gpu(cp, name, 3, 5, dtype=dtype)
    how = {"lengths": np.array([3, 2, 0, 1, 3])}
    assert_same(to_host(of_case(ts.compile(c.cell), c, **how)), to_host(of_case(c.cell, c, **how)))
    assert {"forward_loop_1", "backward_loop_1"} <= set(launched)
