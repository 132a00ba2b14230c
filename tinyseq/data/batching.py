"""Cut data into batches, time first.

:class:`TextBatches` cuts one long text into streams that carry their state from chunk to chunk;
:func:`pad` puts sequences of several lengths side by side.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np

from tinyseq.data.checks import symbol_ids, whole_number
from tinyseq.errors import DataError, DTypeError, ShapeError


class TextBatches:
    """Inputs and targets for truncated back-propagation through one long text.

    The text is cut into N = ``batch_size`` contiguous streams of S = (len(ids) - 1) // N steps.
    A chunk is (inputs, targets), both (T, N) int64: row n of a chunk goes on where row n of the
    chunk before it stopped, so that the hidden state may be carried over, and ``targets`` is the
    text one step later.

    An epoch has ceil(S / ``chunk_length``) chunks. All have T = ``chunk_length`` but the last,
    which is shorter when S is no multiple of it: nothing is padded and no target is given twice.
    The (len(ids) - 1) % N targets left over at the end of the text are not used (``dropped``).

        for epoch in range(epochs):
            state = cell.init_state(batches.batch_size)
            for inputs, targets in batches:           # the rest of the running epoch
                ...

    ``epoch`` and ``position`` say which chunk comes next. They have moved on when a chunk is
    handed out, so that a state saved after the update on a chunk resumes with the chunk after it;
    ``position`` 0 is the start of an epoch, when the hidden state starts afresh.

    Raises ShapeError, DTypeError or DataError for ids that are not a vector of integers from 0,
    ConfigError for sizes below 1, DataError for a text with less than one target for each stream.
    """

    def __init__(self, ids: Any, batch_size: int, chunk_length: int) -> None:
        ids = symbol_ids(ids)
        self.batch_size = whole_number("batch_size", batch_size, 1)
        self.chunk_length = whole_number("chunk_length", chunk_length, 1)
        self.stream_length, self.dropped = divmod(max(len(ids) - 1, 0), self.batch_size)
        if self.stream_length == 0:
            raise DataError(
                f"a text of {len(ids)} characters is too short for {self.batch_size} streams: it "
                f"needs at least {self.batch_size + 1} characters; use a smaller batch_size."
            )
        used = self.stream_length * self.batch_size
        self._inputs = ids[:used].reshape(self.batch_size, self.stream_length).T
        self._targets = ids[1 : used + 1].reshape(self.batch_size, self.stream_length).T
        self._checksum = zlib.crc32(ids.tobytes())
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        """The number of chunks of an epoch."""
        return -(-self.stream_length // self.chunk_length)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The chunks from ``position`` to the end of the epoch."""
        last = False
        while not last:
            start = self.position * self.chunk_length
            chunk = slice(start, start + self.chunk_length)
            last = self.position == len(self) - 1
            self.epoch, self.position = (
                (self.epoch + 1, 0) if last else (self.epoch, self.position + 1)
            )
            yield self._inputs[chunk].copy(), self._targets[chunk].copy()

    def state_dict(self) -> dict[str, int]:
        """Where we are, and what the position belongs to, as plain ints."""
        return {"epoch": self.epoch, "position": self.position} | self._identity()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where ``state_dict()`` was called.

        Raises DataError when the state is of another text or of other sizes, for then the same
        position would be another place in the text.
        """
        expected = self._identity()
        if set(state) != {"epoch", "position", *expected}:
            raise DataError(
                f"a saved position has the keys {['epoch', 'position', *expected]}, "
                f"but this has {list(state)}."
            )
        for key, value in expected.items():
            if state[key] != value:
                raise DataError(
                    f"the saved position belongs to other batches: {key} was {state[key]} and is "
                    f"{value} here; use the text and sizes of the run that saved it."
                )
        epoch = whole_number("epoch", state["epoch"], 0)
        position = whole_number("position", state["position"], 0)
        if position >= len(self):
            raise DataError(f"the saved position {position} is not one of {len(self)} chunks.")
        self.epoch, self.position = epoch, position

    def _identity(self) -> dict[str, int]:
        return {
            "batch_size": self.batch_size,
            "chunk_length": self.chunk_length,
            "stream_length": self.stream_length,
            "checksum": self._checksum,
        }


def pad(sequences: Sequence[Any], value: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Put N sequences of shapes (T_n, ...) into one array (T, N, ...), with their lengths (N,).

    T is the longest length; ``value`` fills the rest; the order is kept. The dtype is the common
    one of the sequences that are not empty.

    Raises DataError for no sequences, ShapeError for a sequence without a time axis or with
    another shape after it, DTypeError for one that is not an array of numbers or a ``value`` that
    the dtype cannot hold.
    """
    arrays = [_numbers(n, sequence) for n, sequence in enumerate(sequences)]
    if not arrays:
        raise DataError("there are no sequences to pad.")
    inner = arrays[0].shape[1:]
    for n, array in enumerate(arrays):
        if array.shape[1:] != inner:
            raise ShapeError(
                f"sequence {n} has shape {array.shape}, but sequence 0 has shape "
                f"{arrays[0].shape}: only the first axis, time, may differ."
            )
    dtypes = [array.dtype for array in arrays if array.size] or [arrays[0].dtype]
    fill = _fill_value(value, reduce(np.promote_types, dtypes))
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    padded = np.full((int(lengths.max()), len(arrays), *inner), fill)
    for n, array in enumerate(arrays):
        padded[: len(array), n] = array
    return padded, lengths


def _fill_value(value: float, dtype: np.dtype) -> np.ndarray:
    try:
        with np.errstate(invalid="ignore"):  # the comparison finds what a cast has changed
            fill = np.full((), value, dtype)
        exact = dtype.kind == "f" or fill == value
    except (OverflowError, ValueError, TypeError):
        exact = False
    if not exact:
        raise DTypeError(f"sequences of {dtype} cannot be padded with {value!r}.")
    return fill


def _numbers(n: int, sequence: Any) -> np.ndarray:
    try:
        array = np.asarray(sequence)
    except (ValueError, TypeError) as error:
        raise DTypeError(f"sequence {n} is not an array of numbers: {error}.") from None
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"sequence {n} is not an array of numbers: its dtype is {array.dtype}.")
    if array.ndim == 0:
        raise ShapeError(f"sequence {n} is the single number {array}, without a time axis.")
    return array
