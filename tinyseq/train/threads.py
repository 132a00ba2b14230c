"""How many threads NumPy's matrix products use."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
_PREFIXES, _SUFFIXES = ("scipy_openblas_", "openblas_"), ("64_", "")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Inside, NumPy's own OpenBLAS computes with one thread; afterwards with as many as before.

    The products of a small recurrent network are too small to be shared out: two threads gain a
    quarter on an idle machine, are several times slower than one where a neighbour uses a core, and
    many threads mostly wait for each other. A number set in the environment is left alone, and so
    is a NumPy that uses another library.
    """
    functions = None if any(map(os.environ.get, _VARIABLES)) else _openblas()
    if functions is None:
        yield
        return
    get, set_ = functions
    before = get()
    set_(1)
    try:
        yield
    finally:
        set_(before)


def _openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """The functions that get and set the number of threads, in the library of NumPy's wheels."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            library = ctypes.CDLL(str(path))  # it is loaded already: this gives a handle
            for prefix in _PREFIXES:
                for suffix in _SUFFIXES:
                    get = getattr(library, f"{prefix}get_num_threads{suffix}", None)
                    set_ = getattr(library, f"{prefix}set_num_threads{suffix}", None)
                    if get is not None and set_ is not None:
                        return get, set_
    return None
