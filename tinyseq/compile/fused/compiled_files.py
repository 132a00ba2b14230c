"""compiled_files: functions as modules on disk, beside which Numba keeps what it compiled.

The folder is that of the environment variable TINYSEQ_CACHE, else ``tinyseq`` in the user's cache
folder. Where nothing can be written, what is compiled lasts as long as the process.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import threading
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType

_ONE_AT_A_TIME = threading.Lock()
_UNTIL_EXIT: list[tempfile.TemporaryDirectory] = []


def load(source: str) -> ModuleType:
    """The module with this source, made once in a process and compiled once in a folder."""
    # what the module calls is part of what is compiled, but Numba looks at the file alone
    name = f"tinyseq_loop_{sha256((source + _called()).encode()).hexdigest()[:20]}"
    with _ONE_AT_A_TIME:
        if name not in sys.modules:
            path = folder() / f"{name}.py"
            _write(path, source)
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            sys.modules[name] = module
        return sys.modules[name]


@cache
def folder() -> Path:
    """Where the modules are."""
    chosen = os.environ.get("TINYSEQ_CACHE")
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(chosen) if chosen else Path(base).expanduser() / "tinyseq"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except (OSError, RuntimeError):
        _UNTIL_EXIT.append(tempfile.TemporaryDirectory(prefix="tinyseq-"))
        return Path(_UNTIL_EXIT[-1].name)


@cache
def _called() -> str:
    here = Path(__file__).parent
    return "".join(path.read_text("utf-8") for path in sorted(here.glob("fused_*.py")))


def _write(path: Path, source: str) -> None:
    """The file; as it is, if it is there, for Numba goes by its date."""
    if path.exists() and path.read_bytes() == source.encode():
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(source.encode())
    os.replace(file.name, path)
