"""Kept: the loops of a compiled cell, one for each combination of shapes that it has met."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from tinyseq.compile.loop import Loop
from tinyseq.compile.shared import Shared, feed_of
from tinyseq.compile.steady import remembered
from tinyseq.nn.module import Module

KEPT_LOOPS = 16  # of different shapes, for each compiled cell


class Kept:
    """The loops of a compiled cell, the latest last; forgotten if an attribute of it changes."""

    def __init__(self) -> None:
        self.loops: OrderedDict[Any, Loop] = OrderedDict()
        self.last: Loop | None = None
        self.changes = -1
        self.settings: Any = None
        self.shared: Any = None
        self.feed: Any = None
        self.literal: str | None = None
        self.lock = threading.Lock()

    def outside(self, step: Any) -> tuple[dict[str, Any], tuple]:
        """What the step may read beside its arguments, as ``Shared.now`` tells."""
        with self.lock:
            feed = feed_of(step)
            if Module.changes != self.changes or feed is not self.feed:
                self.changes, settings = Module.changes, remembered(step, arrays=False)
                self.shared, self.feed = Shared(step), feed
                if settings != self.settings:
                    self.loops.clear()
                    self.settings = settings
            return self.shared.now()

    def get(self, key: Any, shared: dict[str, Any]) -> Loop | None:
        """The loop for a key, if there is one of which no part has been replaced."""
        with self.lock:
            loop = self.loops.get(key)
            if loop is None or not loop.holds(shared):
                return None
            self.loops.move_to_end(key)
            self.last = loop
            return loop

    def add(self, key: Any, loop: Loop) -> Loop:
        """Keep a loop, and let go of the one that has not been used for longest."""
        with self.lock:
            self.loops[key] = self.last = loop
            self.loops.move_to_end(key)
            while len(self.loops) > KEPT_LOOPS:
                self.loops.popitem(last=False)
            return loop
