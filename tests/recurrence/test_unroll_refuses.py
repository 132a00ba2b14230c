"""What unroll refuses, with the words."""

from collections import deque
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import ConfigError, DataError, ShapeError, StructureError

T, N = 5, 3


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def decay(x: Any, h: Any) -> tuple[Any, Any]:
    """h(t) = h(t-1) / 2 + x(t), y(t) = 10 h(t)."""
    h = h * 0.5 + x
    return h * 10.0, h


class XY(NamedTuple):
    x: Any
    y: Any


@pytest.mark.parametrize(
    "inputs, words",
    [
        (np.float64(1), "no axis"),
        ((numbers(4, N), numbers(5, N)), r"\[4, 5\]"),
        ({"a": numbers(4, N), "b": np.float64(2)}, "no axis"),
    ],
)
def test_inputs_without_a_common_time_axis(inputs: Any, words: str):
    with pytest.raises(ShapeError, match=words):
        ts.unroll(decay, inputs, np.zeros(N))


def test_a_length_that_does_not_fit():
    with pytest.raises(DataError, match="length=6 with inputs for 5"):
        ts.unroll(decay, numbers(T, N), np.zeros(N), length=6)
    for given in (None, numbers(T, N)):
        with pytest.raises(DataError, match="length=-1"):
            ts.unroll(decay, given, np.zeros(N), length=-1)
    with pytest.raises(ConfigError, match="length=T"):
        ts.unroll(decay, None, np.zeros(N))


@pytest.mark.parametrize("every", [0, -1])
def test_detach_every_is_positive(every: int):
    with pytest.raises(ConfigError, match="detach_every"):
        ts.unroll(decay, numbers(T, N), np.zeros(N), detach_every=every)


def test_a_state_has_to_come_from_somewhere():
    with pytest.raises(ConfigError, match="init_state"):
        ts.unroll(decay, numbers(T, N))

    class Cell:
        def init_state(self, batch: int) -> Any:
            return np.zeros(batch)

        __call__ = staticmethod(decay)

    assert ts.unroll(Cell(), numbers(T, N))[0].shape == (T, N)
    with pytest.raises(ConfigError, match="batch size"):
        ts.unroll(Cell(), None, length=3)


@pytest.mark.parametrize(
    "result", [lambda h: h, lambda h: [h, h], lambda h: (h, h, h), lambda h: None]
)
def test_a_step_returns_an_output_and_a_state(result: Any):
    with pytest.raises(StructureError, match=r"at step 1: a step returns \(y, state\)"):
        ts.unroll(lambda x, h: result(h), numbers(T, N), np.zeros(N))


@pytest.mark.parametrize(
    "changed, words",
    [
        (lambda h: (h, h), r"at step 2: .* as · and came out as \(·, ·\)"),
        (lambda h: {"h": h}, r"as · and came out as {h: ·}"),
        (lambda h: None, "as · and came out as None"),
        (lambda h: XY(h, h), r"came out as XY\(x=·, y=·\)"),
    ],
)
def test_a_state_whose_structure_changes_is_shown_before_and_after(changed: Any, words: str):
    calls: deque[int] = deque()

    def step(x: Any, h: Any) -> Any:
        calls.append(1)
        return h, changed(h) if len(calls) == 2 else h

    with pytest.raises(StructureError, match=words):
        ts.unroll(step, numbers(T, N), np.zeros(N))


def test_a_state_that_begins_otherwise_than_it_goes_on():
    with pytest.raises(StructureError, match=r"\(·, ·\): write init_state\(self, batch\)"):
        ts.unroll(lambda x, h: (h, (h, h)), numbers(T, N), np.zeros(N))


class Plain(ts.nn.Cell):
    """h(t) = tanh(h(t-1) W + x(t)), which checks nothing."""

    hidden_size = 2

    def __call__(self, x: Any, h: Any) -> Any:
        h = ts.ops.tanh(h @ np.ones((2, 2)) + x)
        return h, h


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shape", [(7, 2), (N, 6)])
def test_a_state_of_another_shape_than_the_cells_own(shape: tuple[int, ...], compiled: bool):
    cell: Any = ts.compile(Plain()) if compiled else Plain()
    words = rf"h of shape \({shape[0]}, {shape[1]}\); init_state\(3\) makes it \(3, 2\)"
    with pytest.raises(ShapeError, match=words):
        ts.unroll(cell, numbers(T, N, 2), np.zeros(shape))


def test_a_state_of_another_batch_for_a_step_without_a_state_of_its_own():
    step = Plain().__call__
    words = r"h of shape \(7, 2\); the inputs are of 3 sequences"
    with pytest.raises(ShapeError, match=words):
        ts.unroll(step, numbers(T, N, 2), np.zeros((7, 2)))
    for shape in (1, 2), (2,):  # what broadcasts is no mistake
        assert ts.unroll(step, numbers(T, N, 2), np.zeros(shape))[0].shape == (T, N, 2)


def test_an_error_that_the_state_has_no_part_in_does_not_speak_of_it():
    with pytest.raises(ShapeError) as caught:
        ts.unroll(Plain(), numbers(T, N, 5), np.zeros((N, 2)))
    assert "given" not in str(caught.value)


@pytest.mark.parametrize(
    "before, after",
    [
        ((1, 2), (1, 2, 3)),
        ((1, 2), [1, 2]),
        ({"a": 1}, {"b": 1}),
        ({"a": 1, "b": 1}, {"b": 1, "a": 1}),
        (XY(1, 2), (1, 2)),
        (XY(1, (2, 3)), XY(1, 2)),
        (XY(1, None), XY(1, 2)),
    ],
)
def test_structures_that_differ(before: Any, after: Any):
    def arrays(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: arrays(v) for k, v in value.items()}
        if isinstance(value, XY):
            return XY(*map(arrays, value))
        if isinstance(value, tuple | list):
            return type(value)(map(arrays, value))
        return None if value is None else np.zeros(N)

    with pytest.raises(StructureError, match="at step 1"):
        ts.unroll(lambda x, s: (x, arrays(after)), numbers(T, N), arrays(before))
