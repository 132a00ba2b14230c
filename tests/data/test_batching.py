"""Streams of text that carry their state, and padding."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyseq.data import TextBatches, pad
from tinyseq.errors import ConfigError, DataError, DTypeError, ShapeError

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 9))


@given(st.integers(7, 120), SIZES)
def test_streams_go_on_from_chunk_to_chunk(length, sizes):
    batch_size, chunk_length = sizes
    ids = np.arange(length)  # every id is its own position, so that nothing can hide
    batches = TextBatches(ids, batch_size, chunk_length)
    chunks = list(batches)
    inputs = np.concatenate([chunk for chunk, _ in chunks])
    targets = np.concatenate([chunk for _, chunk in chunks])

    assert len(chunks) == len(batches)
    assert all(len(chunk) == chunk_length for chunk, _ in chunks[:-1])
    assert 1 <= len(chunks[-1][0]) <= chunk_length
    assert np.array_equal(targets, inputs + 1)  # shifted by one
    assert (np.diff(inputs, axis=0) == 1).all()  # each row is contiguous across chunks
    # Each target is met once, in order; fewer than a batch are left over, at the end.
    assert np.array_equal(targets.T.ravel(), ids[1 : targets.size + 1])
    assert batches.dropped == length - 1 - targets.size
    assert 0 <= batches.dropped < batch_size


def test_a_small_text_by_hand():
    batches = TextBatches([3, 1, 4, 1, 5, 9, 2, 6], batch_size=2, chunk_length=2)
    (x0, y0), (x1, y1) = batches
    assert x0.tolist() == [[3, 1], [1, 5]] and y0.tolist() == [[1, 5], [4, 9]]
    assert x1.tolist() == [[4, 9]] and y1.tolist() == [[1, 2]]
    assert batches.dropped == 1 and batches.stream_length == 3


@given(SIZES, st.integers(0, 40))
def test_resume_from_a_saved_position_is_exact(sizes, consumed):
    ids = np.random.default_rng(0).integers(5, size=60)

    def run(batches, count):
        got = []
        while len(got) < count:
            for chunk in batches:
                got.append(chunk)
                if len(got) == count:
                    break
        return got

    first = TextBatches(ids, *sizes)
    run(first, consumed)
    saved = json.loads(json.dumps(first.state_dict()))
    second = TextBatches(ids, *sizes)
    second.load_state_dict(saved)
    assert (second.epoch, second.position) == divmod(consumed, len(first))
    for (x, y), (x_again, y_again) in zip(run(first, 25), run(second, 25), strict=True):
        assert np.array_equal(x, x_again) and np.array_equal(y, y_again)


def test_a_chunk_may_be_written_on():
    batches = TextBatches(np.arange(9), 2, 2)
    for inputs, targets in batches:
        inputs[:] = targets[:] = -1
    assert next(iter(batches))[0].tolist() == [[0, 4], [1, 5]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.arange(9), 0, 3), ConfigError, "batch_size must be at least 1, but is 0"),
        ((np.arange(9), 2, -1), ConfigError, "chunk_length must be at least 1, but is -1"),
        ((np.arange(9), 2.0, 3), DTypeError, "batch_size must be a whole number, but is 2.0"),
        ((np.arange(9), True, 3), DTypeError, "batch_size must be a whole number, but is True"),
        ((np.arange(8), 8, 3), DataError, "8 characters is too short for 8 streams.* 9 char"),
        (([], 1, 1), DataError, "0 characters is too short"),
        ((np.arange(9.0), 2, 3), DTypeError, "ids must be integers, but are float64"),
        ((np.zeros((3, 3), int), 2, 3), ShapeError, r"one dimension, but have shape \(3, 3\)"),
        (([1, 2, -7, 3], 1, 1), DataError, "id -7 at position 2 is out of range"),
    ],
)
def test_text_batches_refuse(arguments, error, message):
    with pytest.raises(error, match=message):
        TextBatches(*arguments)


@pytest.mark.parametrize(
    ("ids", "sizes", "message"),
    [
        (np.arange(41), (2, 5), "chunk_length was 4 and is 5"),
        (np.arange(41), (4, 4), "batch_size was 2 and is 4"),
        (np.arange(43), (2, 4), "stream_length was 20 and is 21"),
        (np.arange(41) + 1, (2, 4), "checksum was"),
    ],
)
def test_a_position_of_other_batches_is_refused(ids, sizes, message):
    state = TextBatches(np.arange(41), 2, 4).state_dict()
    with pytest.raises(DataError, match=message):
        TextBatches(ids, *sizes).load_state_dict(state)


def test_a_damaged_position_is_refused():
    batches = TextBatches(np.arange(41), 2, 4)
    state = batches.state_dict()
    with pytest.raises(DataError, match="the saved position 5 is not one of 5 chunks"):
        batches.load_state_dict(state | {"position": 5})
    with pytest.raises(ConfigError, match="epoch must be at least 0"):
        batches.load_state_dict(state | {"epoch": -1})
    with pytest.raises(DataError, match="has the keys"):
        batches.load_state_dict({"position": 1})
    assert batches.state_dict() == state


# ---------------------------------------------------------------- pad


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=100),
    st.sampled_from([(), (3,), (2, 2)]),
    st.sampled_from([np.float32, np.float64, np.int64]),
)
def test_pad_keeps_every_sequence_and_its_length(lengths, inner, dtype):
    rng = np.random.default_rng(0)
    sequences = [(9 * rng.random((n, *inner)) + 1).astype(dtype) for n in lengths]
    padded, found = pad(sequences, value=-1)
    assert found.tolist() == lengths
    assert padded.dtype == dtype
    assert padded.shape == (max(lengths), len(lengths), *inner)
    for n, sequence in enumerate(sequences):
        assert np.array_equal(padded[: lengths[n], n], sequence)
        assert (padded[lengths[n] :, n] == -1).all()


def test_pad_promotes_and_does_not_let_an_empty_list_decide_the_dtype():
    assert pad([[1, 2], []])[0].dtype == np.int64
    assert pad([[1, 2], [0.5]])[0].tolist() == [[1, 0.5], [2, 0]]
    assert np.isnan(pad([[1.0], [1.0, 2.0]], value=float("nan"))[0][1, 0])


@pytest.mark.parametrize(
    ("sequences", "value", "error", "message"),
    [
        ([], 0, DataError, "there are no sequences"),
        ([np.zeros((4, 2)), np.zeros((3, 5))], 0, ShapeError, r"sequence 1 has shape \(3, 5\)"),
        ([np.zeros(4), np.zeros((4, 1))], 0, ShapeError, r"sequence 1 .* sequence 0 .* \(4,\)"),
        ([[[1, 2], [3]]], 0, DTypeError, "sequence 0 is not an array of numbers"),
        ([[1], ["a"]], 0, DTypeError, "sequence 1 is not an array of numbers: its dtype"),
        ([[1], 2], 0, ShapeError, "sequence 1 is the single number 2, without a time axis"),
        ([[1, 2], [3]], 0.5, DTypeError, "sequences of int64 cannot be padded with 0.5"),
        ([[1, 2], [3]], float("nan"), DTypeError, "int64 cannot be padded with nan"),
        ([np.zeros(2, np.uint8)], -1, DTypeError, "uint8 cannot be padded with -1"),
    ],
)
def test_pad_refuses(sequences, value, error, message):
    with pytest.raises(error, match=message):
        pad(sequences, value)
