"""What unroll records: scopes, labels; and what it leaves as it was."""

import gc
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinyseq as ts

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


def test_steps_are_numbered_from_one_in_either_direction():
    seen: list[int] = []

    def step(x: Any, h: Any) -> tuple[Any, Any]:
        seen.append((x + h).node.scope.index)
        return decay(x, h)

    ts.unroll(step, numbers(3, N), np.zeros(N))
    ts.unroll(step, numbers(3, N), np.zeros(N), reverse=True)
    assert seen == [1, 2, 3, 3, 2, 1]


@pytest.mark.parametrize("reverse, time", [(False, 0), (True, T + 1)])
def test_the_initial_state_is_labelled_before_the_first_step(reverse: bool, time: int):
    start: list[Any] = []

    def step(x: Any, h: Any) -> tuple[Any, Any]:
        start.append(h)
        return decay(x, h)

    given = ts.tensor(np.zeros(N), requires_grad=True)
    for state in (np.zeros(N), given, given * 2.0):
        start.clear()
        ts.unroll(step, numbers(T, N), state, reverse=reverse)
        assert (start[0].label, start[0].node.scope.index) == ("h", time)


def test_inputs_states_and_outputs_are_labelled():
    nodes: dict[str, Any] = {}

    def step(given: Any, state: Any) -> tuple[Any, Any]:
        nodes["x"], nodes["state"] = given, state
        new = {"c": state["c"] + given.x, "m": (state["m"][0] * 1.0, given.y * 1.0)}
        return given.x * 2.0, new

    zero = {"c": np.zeros(N), "m": (np.zeros(N), np.zeros(N))}
    ys, state = ts.unroll(step, XY(numbers(2, N), numbers(2, N)), zero)
    assert [a.label for a in nodes["x"]] == ["x", "y"]
    assert nodes["state"]["c"].label == "c"
    assert [a.label for a in state["m"]] == ["m1", "m2"]
    assert {p.label for p in ys.node.parents} == {"o"}


def test_labels_can_be_renamed_and_those_that_are_there_stay():
    def step(x: Any, h: Any) -> tuple[Any, Any]:
        h = h + x
        return ts.label(h * 2.0, "mine"), h

    names = {"h": "g", "x": "input"}
    ys, h = ts.unroll(step, numbers(2, N), np.zeros(N), names=names)
    assert h.label == "g"
    assert {p.label for p in ys.node.parents} == {"mine"}


def test_the_scope_is_left_when_a_step_fails():
    def step(x: Any, h: Any) -> tuple[Any, Any]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        ts.unroll(step, numbers(2, N), np.zeros(N))
    assert (ts.tensor(np.ones(1), requires_grad=True) * 2.0).node.scope is None


def test_the_garbage_collector_is_on_again_afterwards():
    def step(x: Any, h: Any) -> tuple[Any, Any]:
        assert not gc.isenabled()
        raise RuntimeError("no")

    assert gc.isenabled()
    with pytest.raises(RuntimeError):
        ts.unroll(step, numbers(2, N), np.zeros(N))
    assert gc.isenabled()


def test_a_long_run_needs_no_recursion():
    x = ts.tensor(np.full((20_000, 1), 1e-3), requires_grad=True)
    _, h = ts.unroll(lambda x, h: (h, h + x), x, np.zeros(1))
    h.sum().backward()
    assert h.data[0] == pytest.approx(20)
    assert (x.grad == 1).all()
