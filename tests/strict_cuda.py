"""What the strict double of CuPy knows of CUDA: kernels from source, streams, events, graphs.

Kernels are run from their text (``cuda_c.py``). A captured stream records and does not run; it
refuses what allocates memory, copies operands or waits, because a graph that is replayed would then
write to memory that has become somebody else's. Of whole operations it records ``dot`` alone, with
``out`` and under the conditions under which CuPy allocates nothing for it.
"""

from types import SimpleNamespace, TracebackType
from typing import Any

import numpy as np

import cuda_c
from strict_array import ndarray, sync
from strict_capture import capture

__all__ = ["CUDARuntimeError", "Event", "Graph", "RawModule", "Stream", "cuda"]


class CUDARuntimeError(RuntimeError):
    """The error of CUDA."""


class RawModule:
    """Kernels from source."""

    def __init__(self, code: str | None = None, *, path=None, options=(), backend="nvrtc") -> None:
        assert code is not None and path is None and options == () and backend == "nvrtc"
        self.code = code

    def get_function(self, name: str) -> "_Kernel":
        try:
            return _Kernel(cuda_c.parse(self.code)[name])
        except KeyError:
            raise CUDARuntimeError(
                f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}"
            ) from None


class _Kernel:
    """A kernel, to be launched as CuPy launches it: nothing about the arrays is checked there."""

    def __init__(self, function: cuda_c.Function) -> None:
        self.function = function

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0) -> None:
        for size, most in ((grid, 2**31 - 1), (block, 1024)):
            if len(size) != 1 or type(size[0]) is not int or not 1 <= size[0] <= most:
                raise CUDARuntimeError(f"cudaErrorInvalidConfiguration: {grid}, {block}")
        if len(args) != len(self.function.parameters):
            raise TypeError(f"{self.function.name} is given {len(args)} arguments")
        given = [
            _argument(self.function.name, parameter, value)
            for parameter, value in zip(self.function.parameters, args, strict=True)
        ]
        capture.do(lambda: self.function.launch(grid, block, tuple(given)))


def _argument(kernel: str, parameter: tuple[str, bool, bool, str], value: Any) -> Any:
    """An argument, which must have just the bytes that the kernel will look at."""
    kind, is_array, _, name = parameter
    if not is_array:
        if (kind, type(value)) not in (("long long", int), ("double", float)):
            raise TypeError(f"{kernel}: {name} is a {kind}, and CuPy passes a {type(value)}")
        return value
    if not isinstance(value, ndarray):
        raise TypeError(f"{kernel}: {name} is given a {type(value)}")
    if value.dtype != np.dtype(cuda_c.TYPES[kind]):
        raise TypeError(f"{kernel}: {name} points to {kind}, and is given {value.dtype}")
    if not value.flags.c_contiguous:
        raise TypeError(f"{kernel}: {name} is given an array that does not lie in one piece")
    return value._host.reshape(-1)


class Graph:
    """Launches, to be made again."""

    def __init__(self, launches: list[Any]) -> None:
        self.launches = launches

    def launch(self, stream: "Stream | None" = None) -> None:
        for launch in self.launches:
            capture.do(launch)


class Stream:
    """A queue of work. The double does all work at once, so that its order is that of the calls."""

    null: "Stream"
    made = 1

    def __init__(self, null: bool = False, ptds: bool = False, non_blocking: bool = False) -> None:
        self.ptr = 0 if null else Stream.made
        Stream.made += not null
        self.waits: list[Event] = []

    def __enter__(self) -> "Stream":
        capture.streams.append(self)
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert capture.streams.pop() is self

    def begin_capture(self, mode: int | None = None) -> None:
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        assert capture.launches is None and get_current_stream() is self
        capture.launches = []

    def end_capture(self) -> Graph:
        if capture.launches is None:
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is not capturing")
        launches, capture.launches = capture.launches, None
        return Graph(launches)

    def is_capturing(self) -> bool:
        return capture.launches is not None and get_current_stream() is self

    def record(self, event: "Event | None" = None) -> "Event":
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        self.waits.append(event)

    def synchronize(self) -> None:
        sync("synchronize")


Stream.null = Stream(null=True)


class Event:
    """A point in a stream."""

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self.stream: Stream | None = None

    def record(self, stream: Stream | None = None) -> None:
        self.stream = stream or get_current_stream()

    def synchronize(self) -> None:
        sync("synchronize")


def get_current_stream(device_id: int = -1) -> Stream:
    """The stream that work goes to now, in this thread."""
    return capture.streams[-1] if capture.streams else Stream.null


cuda = SimpleNamespace(
    Event=Event,
    Graph=Graph,
    Stream=Stream,
    get_current_stream=get_current_stream,
    is_available=lambda: True,
    runtime=SimpleNamespace(getDeviceCount=lambda: 1, CUDARuntimeError=CUDARuntimeError),
)
