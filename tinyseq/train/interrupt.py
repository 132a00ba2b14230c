"""Ctrl-C as a request, to be met when the step is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Interrupt:
    """Whether Ctrl-C was pressed."""

    requested: bool = False


@contextmanager
def held_interrupts() -> Iterator[Interrupt]:
    """Inside, the first Ctrl-C (SIGINT) is noted and a second one raises KeyboardInterrupt.

    Where Python cannot catch the signal (in a thread) or ignores it (under nohup), nothing changes.
    """
    interrupt = Interrupt()
    before = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or before in (signal.SIG_IGN, None):
        yield interrupt
        return

    def note(number: int, frame: Any) -> None:
        interrupt.requested = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
