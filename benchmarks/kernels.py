"""The LSTMs once more, with the products of NumPy's OpenBLAS in AVX-512.

On some processors that have AVX-512, AMD's among them, the OpenBLAS that comes with NumPy chooses
products in AVX2, half as fast. OPENBLAS_CORETYPE=SKYLAKEX, set before Python starts, has it choose
otherwise; the process of this theme is started with that.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.contenders import COMPILED, NN, OWN, VENDOR
from benchmarks.lstm import NUMPY_LIMITS
from benchmarks.section import Limit, Section
from tinyseq.bench import compete, lstm

SECONDS = {"a": 6, "b": 4, "c": 8, "d": 25}


def section(quick: bool) -> Section:
    """Compiled loops of NumPy against torch.nn; nothing where the processor has no AVX-512."""
    title = "LSTM, one thread, OPENBLAS_CORETYPE=SKYLAKEX"
    if not has_avx512():
        return Section(title, "Not run: this processor has no AVX-512.")
    contenders = {**NN, COMPILED: OWN[COMPILED]}
    sizes = "ab" if quick else "abcd"
    races = [compete(lstm(s), contenders, 2 if quick else SECONDS[s]) for s in sizes]
    for race in races:
        race.workload += ", AVX-512 products"
    limits = [
        Limit(race.workload, COMPILED, VENDOR, *NUMPY_LIMITS[size])
        for race, size in zip(races, sizes, strict=True)
    ]
    text = (
        "What the table above would be if NumPy's OpenBLAS used the vector instructions that this "
        "processor has, as PyTorch's library does. Milliseconds (quartiles), and in bold the ratio "
        "to torch.nn."
    )
    return Section(title, text, races, VENDOR, limits)


def has_avx512() -> bool:
    """Whether the processor says so, where there is a /proc/cpuinfo to ask."""
    path = Path("/proc/cpuinfo")
    return path.exists() and "avx512f" in path.read_text(encoding="utf-8")
