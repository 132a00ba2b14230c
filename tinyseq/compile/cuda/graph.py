"""graph: a loop of launches as one CUDA graph, and work of one memory in its turn.

To launch a kernel takes the host longer than the GPU needs for a small one. A captured graph hands
all launches of a loop over in one call. It remembers addresses, so that what it reads and writes
must stay where it is, and nothing may be allocated while it is captured.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Captured:
    """A loop of launches: run as it stands the first time, then captured, then replayed.

    The first run compiles the kernels and lets cuBLAS set itself up, neither of which may happen
    during a capture.

    Args:
        xp: CuPy.
        loop: makes the launches; it allocates nothing and waits for nothing.

    Attributes:
        refused: why the loop is not captured; None as long as nothing speaks against it.
    """

    def __init__(self, xp: Any, loop: Callable[[], None]) -> None:
        self.xp, self.loop = xp, loop
        self.graph: Any = None
        self.has_run = False
        self.refused: str | None = None

    def __call__(self) -> None:
        if self.has_run and self.graph is None and self.refused is None:
            self._capture()
        if self.graph is not None:
            self.graph.launch()
        else:
            self.loop()
        self.has_run = True

    def _capture(self) -> None:
        stream = self.xp.cuda.Stream(non_blocking=True)  # the default stream cannot be captured
        try:
            with stream:
                stream.begin_capture()
                try:
                    self.loop()
                finally:
                    self.graph = stream.end_capture()
        except RuntimeError as error:  # of CUDA: an old driver, or what it does not capture
            self.graph, self.refused = None, f"{type(error).__name__}: {error}"
            with suppress(RuntimeError):  # whatever state the failed capture has left
                if stream.is_capturing():
                    stream.end_capture()


class Turns:
    """Work on one memory, one after the other, also if it comes from several streams.

    Args:
        xp: CuPy.
    """

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.done = xp.cuda.Event(disable_timing=True)
        self.last: Any = None

    def __call__(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which then waits, on the GPU, for what another stream has left to do."""

        def in_turn(*arrays: Any) -> Any:
            stream = self.xp.cuda.get_current_stream()
            if self.last is not None and self.last != stream.ptr:
                stream.wait_event(self.done)
            try:
                return work(*arrays)
            finally:
                self.done.record(stream)
                self.last = stream.ptr

        return in_turn
