"""CuPy, and what a GPU captures, for the tests of loops there."""

import importlib
from types import ModuleType
from typing import Any

import pytest

import strict_cupy
from tinyseq.compile import emit_cupy
from tinyseq.compile.cuda.graph import Captured


@pytest.fixture(params=["strict_cupy", pytest.param("cupy", marks=pytest.mark.gpu)])
def cp(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The strict double of CuPy, and CuPy where there is a GPU."""
    if request.param == "strict_cupy":
        return strict_cupy.install(monkeypatch)
    return importlib.import_module("cupy")


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The loops of all workspaces made from now on, each with the count of its captures."""
    made: list[Any] = []

    class Noted(Captured):
        def __init__(self, xp: Any, loop: Any) -> None:
            super().__init__(xp, loop)
            self.captures = 0
            made.append(self)

        def _capture(self) -> None:
            self.captures += 1
            super()._capture()

    monkeypatch.setattr(emit_cupy, "Captured", Noted)
    return made
