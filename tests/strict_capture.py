"""What the strict double of CuPy does while a CUDA graph is captured: see ``strict_cuda.py``."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np


class _Capture(threading.local):
    """What is being captured as a CUDA graph (see ``strict_cuda.py``): nothing, as a rule."""

    def __init__(self) -> None:
        self.launches: list[Callable[[], Any]] | None = None
        self.streams: list[Any] = []

    def do(self, work: Callable[[], Any]) -> None:
        """Do it now; while a graph is captured, note it for later."""
        if self.launches is None:
            work()
        else:
            self.launches.append(work)

    def call(self, function: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        """A function of NumPy during a capture: a view of an array, or a product into one."""
        out = kwargs.get("out")
        if function is np.dot and out is not None:
            a, b = args
            in_one_piece = all(x.flags.c_contiguous or x.flags.f_contiguous for x in (a, b))
            overlap = np.may_share_memory(out, a) or np.may_share_memory(out, b)
            if in_one_piece and not overlap and out.size != 1 and a.dtype == b.dtype == out.dtype:
                self.do(lambda: function(a, b, out=out))
                return out
        else:
            result = function(*args, **kwargs)
            if isinstance(result, np.ndarray) and any(
                isinstance(a, np.ndarray) and np.may_share_memory(result, a) for a in args
            ):
                return result
        name = getattr(function, "__name__", function)
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {name} allocates memory")


capture = _Capture()
