"""The batch along the last axis, what is spread for the loop, and sums that are one product."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from compile.checks import assert_compiles
from compile.test_schedule import program_of
from compile.written_cells import WrittenCell
from nn.checks import every_cell
from nn.registry import Entry, case
from tinyseq import nn
from tinyseq.compile.columns import columns
from tinyseq.compile.schedule import PLACES, Schedule, schedule
from tinyseq.compile.writing.products import products

STATE = np.random.default_rng(1).normal(size=(3, 4))
XS = np.random.default_rng(0).normal(size=(6, 3, 2))


def turned(found: Schedule) -> bool:
    return any(state.params.get("turned") for state in columns(found).program.states)


def scheduled(cell: nn.Cell, batch: int) -> Schedule:
    return schedule(program_of(cell, XS[0, :batch], cell.init_state(batch)))


def loop_of(source: str, function: str) -> list[str]:
    """The lines of the code of a function's steps."""
    body = source.partition(f"def {function}(")[2].partition("    for t in ")[2]
    inside = body.partition("        # for all steps")[0].partition("        return")[0]
    return [line.partition("  # ")[0] for line in inside.splitlines()[1:]]


def test_every_matrix_of_the_loop_is_turned():
    cell = nn.LSTMCell(2, 4, seed=0).to(np.float64)
    rows = scheduled(cell, 3)
    found = columns(rows)
    for way in ("forward", "backward"):
        before, after = getattr(rows, way)["loop"], getattr(found, way)["loop"]
        assert {v.shape[0] for v in before} == {3} and {v.shape[1] for v in after} == {3}
        assert not [v for v in after if v.op == "transpose"], "nothing is turned in a step"
    shapes = [[v.shape for v in f.program.outputs + f.program.parameters] for f in (rows, found)]
    assert shapes[0] == shapes[1], "what is given and returned stays as it was"


def test_a_program_is_left_as_it_was():
    found = scheduled(nn.LSTMCell(2, 4, seed=0).to(np.float64), 3)
    before = [id(v) for v in found.program.results()], [v.shape for v in found.program.states]
    columns(found)
    assert before == ([id(v) for v in found.program.results()],
                      [v.shape for v in found.program.states])  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "batch", "states", "expected"),
    [
        (["h = tanh(linear(s0, p0))"], 3, [(2,)], True),
        (["h = tanh(linear(s0, p0))"], 1, [(2,)], False),  # a single row
        (["h = tanh(s0 * 0.5)"], 3, [(2,)], False),  # no product
        (["h = softmax(linear(s0, p0))"], 3, [(2,)], False),  # over an axis, as a whole
        (["h = linear(s0, p0 * 2.0) + s0.sum(-1, keepdims=True)"], 3, [(2,)], True),
        (["h = tanh(s0 @ p0)"], 3, [(2, 2)], False),  # a stack of matrices
    ],
)
def test_what_is_turned(lines: list[str], batch: int, states: list[Any], expected: bool):
    lines = [*lines, "y = h"]
    cell = WrittenCell(lines, [(2,)], states, [(2, 2)], outputs=["y"], new_states=["h"])
    xs, state = cell.data(4, batch)
    assert turned(schedule(program_of(cell, tuple(x[0] for x in xs), state))) is expected
    assert_compiles(cell, xs, state)


@every_cell
def test_turned_or_not_everything_is_made_before_it_is_read(entry: Entry):
    c = case(entry, 1, 3)
    found = columns(schedule(program_of(c.cell, c.at(0), c.state)))
    for places in (found.forward, found.backward):
        turn = {id(v): k for k, place in enumerate(PLACES) for v in places[place]}
        for place in PLACES:
            for value in places[place]:
                late = [v for v in value.inputs if turn.get(id(v), 0) > turn[id(value)]]
                assert not late, f"{value}, {place}, reads {late}"


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell, nn.PeepholeLSTMCell, nn.MUT1Cell])
def test_no_step_turns_or_broadcasts(cell: Any, batch: int):
    """Weights are in the form that a product reads, biases in the shape of what they meet."""
    fast = assert_compiles(cell(2, 4, seed=0).to(np.float64), XS[:, :batch], None)
    for way in ("forward", "backward"):
        lines = loop_of(fast.source, way)
        assert any(".dot(" in line for line in lines)
        assert not [line for line in lines if ".T" in line or "transpose" in line or "[:, " in line]
    names = [
        v.op for place in ("loop",) for v in columns(scheduled(fast.cell, batch)).forward[place]
    ]
    assert "linear" not in names and "broadcast_to" not in names


def test_the_gradient_through_a_function_of_a_weight_is_no_product_a_step():
    """The sum of g(t)^T f(t) (1 - w w) over the steps is that of g(t)^T f(t), times (1 - w w)."""
    lines = ["w = tanh(p0)", "h = tanh(linear(x0, w) + s0)", "y = h"]
    cell = WrittenCell(lines, [(2,)], [(4,)], [(4, 2)], outputs=["y"], new_states=["h"])
    for batch in (1, 3):
        xs, state = cell.data(5, batch)
        fast = assert_compiles(cell, xs, state)
        made = [line for line in fast.source.splitlines() if "= empty(" in line]
        assert made and not [line for line in made if "4, 2)" in line]


@pytest.mark.parametrize("side_by_side", [True, False])
def test_products_of_all_steps(side_by_side: bool):
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(4, 2)), rng.normal(size=(5, 2, 3))
    out = np.empty((4, 5, 3)).swapaxes(0, 1) if side_by_side else np.empty((5, 4, 3))
    products(weight, x, out)
    np.testing.assert_allclose(out, weight @ x, rtol=1e-12)
    short = out[:3]  # of a chunk that is not full
    products(2 * weight, x[:3], short)
    np.testing.assert_allclose(out[:3], 2 * weight @ x[:3], rtol=1e-12)
    np.testing.assert_allclose(out[3:], weight @ x[3:], rtol=1e-12)


def test_outputs_and_final_states_are_whole_rows():
    """They are C-contiguous, and belong to the caller: the next run does not write into them."""
    fast = ts.compile(nn.LSTMCell(2, 4, seed=0).to(np.float64))
    ys, state = ts.unroll(fast, XS)
    arrays = [ys.data, state.h.data, state.c.data]
    copies = [a.copy() for a in arrays]
    del ys, state
    ts.unroll(fast, 2 * XS)
    for array, copy in zip(arrays, copies, strict=True):
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, copy)
