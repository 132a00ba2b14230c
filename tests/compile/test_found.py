"""Steps that were once compiled wrong, as small as they could be made."""

import importlib

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_compiles
from compile.written_cells import WrittenCell
from tinyseq import nn, ops

N = (2,)


def check(cell: WrittenCell, steps: int = 10, batch: int = 3) -> None:
    x, state = cell.data(steps, batch)
    assert_compiles(cell, x, state, **({} if x is not None else {"length": steps}))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("tinyseq.compile.emit_numpy"), "CHUNK_BYTES", 1)


def test_an_input_that_becomes_the_state():
    """Its gradient is the carried cotangent of every step, not that of the last."""
    check(WrittenCell(["y = s0 * 2.0"], [N], [N], [], ["y"], ["x0"]))


def test_a_parameter_whose_gradient_is_the_carried_cotangent():
    check(WrittenCell(["h = s0 + p0"], [], [N], [N], ["h"], ["h"]))
    check(WrittenCell(["h = s0 * p0"], [], [N], [N], ["h"], ["h"]))


def test_states_that_change_places():
    """Each cotangent is read before it is written over."""
    check(WrittenCell(["y = s0 * p0"], [], [N, N], [N], ["y"], ["s1", "s0"]))
    check(WrittenCell(["y = s0 * s1 - s2"], [], [N, N, N], [], ["y"], ["s1", "s2", "s0"]))


def test_states_that_move_up_with_an_input_behind_them():
    """A delay line."""
    check(WrittenCell(["y = s0 * s2"], [N], [N, N, N], [], ["y"], ["s1", "s2", "x0"]))


def test_a_state_that_nobody_reads_beside_one_that_moves():
    check(WrittenCell(["y = tanh(s2)"], [], [N, N, N], [], ["y"], ["s0", "s2", "y"]))
    check(WrittenCell(["y = tanh(s0)"], [], [N, N, N], [], ["y"], ["s1", "y", "s1"]))


def test_a_cotangent_that_moves_on_while_its_place_is_written():
    check(WrittenCell(["h = tanh(s0)"], [], [N, N], [], ["h"], ["h", "s0"]))
    check(WrittenCell(["h = tanh(s1)"], [], [N, N], [], ["h"], ["h", "s0"]))


def test_numbers_without_axes_that_differ_from_step_to_step():
    """The slices of an array of numbers are copies in NumPy, not views."""
    check(WrittenCell(["y = s0 / (abs(p0) + 0.5)"], [], [N], [()], ["y"], ["y"]))
    check(WrittenCell(["h = tanh(s0 * x0.sum() + x0)"], [N], [N], [], ["h"], ["h"]))
    check(WrittenCell(["h = tanh(s0 * s0.mean() + x0)"], [N], [N], [], ["h"], ["h"]))


def test_a_view_of_a_view_of_the_state():
    check(
        WrittenCell(["h = neg(s0)", "y = swapaxes(h[:, None, :], 1, 2)"], [], [N], [], ["y"], ["h"])
    )


def test_a_product_of_what_is_the_same_in_every_step():
    wide = "linear(broadcast_to(p0, (n, 2)), p1)"
    cell = WrittenCell([f"h = tanh({wide} + s0)"], [], [N], [(1, 2), (2, 2)], ["h"], ["h"])
    check(cell)
    gates = f"a = linear(s0, p2) + {wide}"
    shapes = [(1, 2), (4, 2), (4, 2)]
    lines = [gates, "h = sigmoid(split(a, 2, -1)[0]) * tanh(split(a, 2, -1)[1])"]
    check(WrittenCell(lines, [], [N], shapes, ["h"], ["h"]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", ["relu(a)", "maximum(a, 0.1)", "minimum(a, s0)"])
def test_functions_whose_third_positional_argument_is_on_its_way_out(text: str):
    check(WrittenCell(["a = s0 + x0", f"h = {text}"], [N], [N], [], ["h"], ["h"]))


def test_arrays_of_no_width():
    """A slice may be empty; what is computed from it has no elements, or is a sum of none."""
    check(
        WrittenCell(
            ["y = linear(s0[:, 1:], p0)", "h = neg(s0)"], [], [(1,)], [(1, 0)], ["y"], ["h"]
        )
    )
    lines = ["a = x0[:, 1:]", "y = matmul(expand_dims(x0, 2), expand_dims(a, 1))"]
    check(WrittenCell(lines, [(1,)], [N], [], ["y"], ["s0"]))


def test_methods_of_tensors_are_those_of_tensors():
    """A trial run on raw arrays would call NumPy's ``sum``, whose arguments are others."""
    check(WrittenCell(["h = tanh(s0 + x0.sum(-1, True))"], [N], [N], [], ["h"], ["h"]))


def test_comparisons_have_no_derivative_and_need_none():
    check(WrittenCell(["h = where(s0 <= x0, s0 * x0, s0)"], [N], [N], [], ["h"], ["h"]))


def test_slices_are_compiled():
    check(WrittenCell(["h = tanh(s0[:, ::-1] + x0[:, :1])"], [N], [N], [], ["h"], ["h"]))


def test_outputs_and_states_that_are_constants_or_parameters():
    check(WrittenCell(["c = ones(n, 2)"], [N], [N], [], ["c", "x0"], ["c"]))
    check(WrittenCell(["c = ones(n, 2) * p0", "y = s0 * x0"], [N], [N], [N], ["p0", "y"], ["c"]))


def test_one_value_as_two_states_and_two_outputs():
    check(WrittenCell(["h = tanh(s0 * s1)"], [], [N, N], [], ["h", "h"], ["h", "h"]))


def test_nothing_that_needs_a_loop():
    check(WrittenCell(["y = tanh(x0 * p0)"], [N], [N], [N], ["y"], ["s0"]))


def test_weights_that_are_worked_out_from_parameters():
    lines = ["w = tanh(p0) * p1", "h = tanh(linear(x0, w) + linear(s0, w * w, p2))"]
    check(WrittenCell(lines, [N], [N], [(2, 2), (), N], ["h"], ["h"]))


def test_a_batch_that_is_as_large_as_the_features():
    """Where all axes have one length, no shape betrays an exchange."""
    lines = [
        "h = tanh(linear(x0, p0) + s0 @ p1)",
        "y = h[:, None, :] * swapaxes(h[:, None, :], 1, 2)",
    ]
    cell = WrittenCell(lines, [N], [N], [(2, 2), (2, 2)], ["y"], ["h"])
    check(cell, steps=2, batch=2)


def test_a_step_that_reads_two_steps_back():
    class Back(nn.Cell):
        """h(t) = tanh(U x + W h(t-2)), a delay of two as a state of two."""

        hidden_size = 4

        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.U = nn.Parameter(rng.normal(size=(4, 3)))
            self.W = nn.Parameter(rng.normal(size=(4, 4)))

        def init_state(self, batch: int) -> dict[str, np.ndarray]:
            return {"newer": self.zeros(batch), "older": self.zeros(batch)}

        def __call__(self, x, state):
            h = ops.tanh(ops.linear(x, self.U) + ops.linear(state["older"], self.W))
            return h, {"newer": h, "older": state["newer"]}

    cell = Back()
    xs = np.random.default_rng(1).normal(size=(11, 2, 3))
    state = {"newer": np.ones((2, 4)), "older": np.full((2, 4), 0.5)}
    assert_compiles(cell, xs, state)
    assert isinstance(ts.unroll(ts.compile(cell), xs)[1], dict)
