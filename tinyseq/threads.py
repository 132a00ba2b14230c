"""Threads: how many tinyseq takes, and how many NumPy's matrix products use.

usable_threads()             # as many as NumPy's OpenBLAS uses
with one_thread(): ...       # inside, one; afterwards as many as before
with one_blas_thread(): ...  # the same for the products alone
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
_PREFIXES, _SUFFIXES = ("scipy_openblas_", "openblas_"), ("64_", "")


class _Limits:
    """How often ``one_thread`` and ``one_blas_thread`` hold now, and what was before them."""

    lock = threading.Lock()
    asked = 0
    inside = 0
    before = 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, one thread is what tinyseq takes by itself, and what NumPy's products use.

    The products of a small recurrent network are too small to be shared out: two threads gain a
    quarter on an idle machine, are several times slower than one where a neighbour uses a core, and
    many threads mostly wait for each other. A number set in the environment is left alone.
    """
    if any(map(os.environ.get, _VARIABLES)):
        yield
        return
    with _Limits.lock:
        _Limits.asked += 1
    try:
        with one_blas_thread():
            yield
    finally:
        with _Limits.lock:
            _Limits.asked -= 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Inside, NumPy's own OpenBLAS computes with one thread; afterwards with as many as before.

    The number is one of the whole process: it comes back when the last of several threads that are
    inside has left. A NumPy that uses another library is left alone.
    """
    functions = _openblas()
    if functions is None:
        yield
        return
    get, set_ = functions
    with _Limits.lock:
        if not _Limits.inside:
            _Limits.before = get()
            set_(1)
        _Limits.inside += 1
    try:
        yield
    finally:
        with _Limits.lock:
            _Limits.inside -= 1
            if not _Limits.inside:
                set_(_Limits.before)


def only_one() -> bool:
    """Whether it is now inside of ``one_thread``."""
    return _Limits.asked > 0


def usable_threads() -> int:
    """How many threads a computation may take: as many as the products of NumPy's OpenBLAS use.

    That is the number of cores, or what the environment sets (OPENBLAS_NUM_THREADS, ...); 1 inside
    of ``one_thread``, and for a NumPy that uses another library.
    """
    functions = _openblas()
    with _Limits.lock:
        if functions is None or _Limits.asked:
            return 1
        return _Limits.before if _Limits.inside else functions[0]()


def why_one() -> str:
    """Why ``usable_threads`` is 1, where it is."""
    if _openblas() is None:
        return "NumPy's products come from another library than OpenBLAS"
    if only_one():
        return "it is inside of one_thread"
    name = next((name for name in _VARIABLES if os.environ.get(name)), None)
    if name is not None and os.environ[name] == "1":
        return f"{name}=1"
    return "NumPy's products use one"


@cache
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
