"""Steps and inputs as people write them: compiled as they are, or refused with a way out."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_compiles, assert_same, results
from compile.test_stale import H0, XS, H, N, T, Written
from tinyseq import nn, ops
from tinyseq.errors import CompileError, ConfigError, DTypeError, ShapeError

PLACES = (slice(None), np.array([0, 0, 1, 3]))
OPERATIONS: dict[str, Any] = {
    "and": lambda s, x, h: ops.where((h > 0) & (x > 0), h, x),
    "or, not": lambda s, x, h: ops.where((h > 0.2) | ~(x > 0), h, x),
    "exclusive or with a mask": lambda s, x, h: ops.where(
        np.array([True, False, True, True]) ^ (h > x), h, x
    ),
    "adding at places": lambda s, x, h: ops.scatter_add(h, PLACES, x),
}


@pytest.mark.parametrize("term", OPERATIONS.values(), ids=OPERATIONS)
def test_operations_that_were_once_refused(term: Any):
    assert_compiles(Written(term), XS, H0)
    assert_compiles(Written(term), XS, H0, lengths=[5, 0, 3], reverse=True)


def test_of_numbers_there_is_no_and():
    with pytest.raises(DTypeError, match=r"and_.*at step 1: of booleans, not of float64\(3, 4\)"):
        ts.unroll(Written(lambda s, x, h: ops.where(h & x, h, x)), XS, H0)


class Tokens(nn.Cell):
    """h' = tanh(E[x] + W h) with the tokens as an index."""

    hidden_size = H

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.E = nn.Parameter(rng.normal(size=(7, H)), "E")
        self.W = nn.Parameter(rng.normal(size=(H, H)), "W")

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        h = ops.tanh(self.E[x] + ops.linear(h, self.W))
        return ops.linear(h, self.E), h


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_tokens_in_square_brackets(dtype: Any):
    tokens = np.random.default_rng(2).integers(0, 7, (T, N)).astype(dtype)
    fast = assert_compiles(Tokens(), tokens, H0)
    with pytest.raises(ShapeError, match="out of (bounds|range)"):
        ts.unroll(fast, tokens + 6, H0)
    assert_same(results(fast, tokens, H0), results(Tokens(), tokens, H0))


@pytest.mark.parametrize("start", [np.array(0), np.array(0.0), np.array(1, np.int8)], ids=str)
def test_a_state_of_one_number_that_counts(start: np.ndarray):
    class Counts(Written):
        def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
            h, t = state
            h = ops.tanh(x + ops.linear(h, self.W) * t.astype(h.dtype))
            return h, (h, t + 1)

    assert_compiles(Counts(), XS, (H0, start))


def test_a_cell_of_no_units():
    class Nothing(nn.Cell):
        def __init__(self) -> None:
            self.U, self.W = nn.Parameter(np.ones((0, 4))), nn.Parameter(np.ones((0, 0)))

        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            h = ops.tanh(ops.linear(x, self.U) + ops.linear(h, self.W))
            return h, h

    assert_compiles(Nothing(), XS, np.ones((N, 0)))


@pytest.mark.parametrize("inputs, state", [(XS + 0j, H0), (XS, H0 + 0j)], ids=["inputs", "state"])
def test_complex_numbers_are_refused(inputs: Any, state: Any):
    cell = Written(lambda s, x, h: h)
    for run in (cell, ts.compile(cell)):
        with pytest.raises(DTypeError, match="real numbers or booleans, not complex128"):
            ts.unroll(run, inputs, state)


@pytest.mark.parametrize("setting", [{"detach_every": 1.5}, {"length": 2.0}, {"detach_every": "2"}])
def test_numbers_of_steps_are_integers(setting: Any):
    cell = Written(lambda s, x, h: h)
    for run in (cell, ts.compile(cell)):
        with pytest.raises(ConfigError, match=f"{next(iter(setting))} is an integer, not"):
            ts.unroll(run, XS, H0, **setting)


def test_what_numpy_says_of_a_tensor_is_followed_by_a_way_out():
    cell = Written(lambda s, x, h: ops.where(np.logical_and(x > 0, h > 0), h, x))
    ts.unroll(cell, XS, H0)
    with pytest.raises(CompileError, match="test_attacked.py, line.*tinyseq.ops on the Tensors"):
        ts.unroll(ts.compile(cell), XS, H0)


# -- what is written in place ----------------------------------------------------------------------

GLOBAL = np.ones(H)


def counts(s: Any, x: Any, h: Any) -> Any:
    s.table += 1.0
    return h * s.table


def averages(s: Any, x: Any, h: Any) -> Any:
    s.nested["mean"][:] = 0.9 * s.nested["mean"] + 0.3
    return h


def counts_outside(s: Any, x: Any, h: Any) -> Any:
    GLOBAL[0] += 1.0
    return h * GLOBAL


def over_the_input(s: Any, x: Any, h: Any) -> Any:
    data = x.data
    data += 1.0
    return h * x


def over_a_result(s: Any, x: Any, h: Any) -> Any:
    h.data[:, 0] = 0.0
    return h


@pytest.mark.parametrize(
    "term, said",
    [(counts, "writes into an array that is not its own, table"),
     (averages, "writes into an array that is not its own, nested.mean"),
     (counts_outside, "writes into an array that is not its own, counts_outside: GLOBAL"),
     (over_the_input, r"looks at a value.*test_attacked.py, line.*data = x.data"),
     (over_a_result, r"looks at a value.*test_attacked.py, line.*h.data")],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_a_step_that_writes_in_place_is_refused(term: Any, said: str):
    def cell() -> Written:
        return Written(term, table=np.ones(H), nested={"mean": np.ones(H)})

    ts.unroll(cell(), XS.copy(), H0)  # it can be run step by step
    given = XS.copy()
    with pytest.raises(CompileError, match=said):
        ts.unroll(ts.compile(cell()), given, H0)
    np.testing.assert_array_equal(given, XS)
