"""What is done once, before, in and after the loop, and what is not done at all."""

from typing import Any

import numpy as np

from compile.written_cells import WrittenCell
from nn.checks import every_cell
from nn.registry import Entry, case
from tinyseq import nn
from tinyseq.compile.program import Program, Value, in_order
from tinyseq.compile.schedule import PLACES, Schedule, schedule
from tinyseq.compile.simplify import simplify
from tinyseq.compile.step.trace import trace


def program_of(cell: nn.Cell, x: Any, state: Any) -> Program:
    return simplify(trace(cell, x, state, cell.parameters()))


def written(*lines: str, **parts: Any) -> Schedule:
    parts = {"inputs": [(2,)], "states": [(2,)], "weights": [(2, 2), (2, 2)], **parts}
    cell = WrittenCell(list(lines), outputs=["y"], new_states=["h"], **parts)
    xs, state = cell.data(1, 3)
    return schedule(program_of(cell, tuple(x[0] for x in xs), state))


def ops_at(found: Schedule, way: str, place: str) -> list[str]:
    return [value.op for value in getattr(found, way)[place]]


def count(values: list[Value], op: str) -> int:
    return [value.op for value in values].count(op)


def test_the_schedule_of_an_lstm_is_that_of_kernels_tuned_by_hand():
    """One product of all inputs, one recurrent product a step, and sums over time behind."""
    cell = nn.LSTMCell(3, 4, seed=0).to(np.float64)
    found = schedule(program_of(cell, np.ones((2, 3)), cell.init_state(2)))
    assert ops_at(found, "forward", "before").count("linear") == 1
    assert ops_at(found, "forward", "loop").count("linear") == 1
    assert not found.forward["after"]
    products = ("matmul", "linear")
    in_loop = [op for op in ops_at(found, "backward", "loop") if op in products]
    assert len(in_loop) == 1, "the product that carries the gradient back"
    after = [op for op in ops_at(found, "backward", "after") if op in products]
    assert len(after) == 3, "by the inputs, by U, and by W"


def test_what_the_output_alone_needs_comes_after_the_loop():
    found = written("h = tanh(linear(x0, p0) + s0)", "y = linear(h, p1)")
    assert ops_at(found, "forward", "loop") == ["add", "tanh"]
    assert ops_at(found, "forward", "after") == ["linear"]


def test_what_depends_on_parameters_alone_is_done_once():
    found = written("w = tanh(p0)", "h = tanh(linear(x0, w) + s0)", "y = h")
    assert ops_at(found, "forward", "once") == ["tanh"]
    once = ops_at(found, "backward", "once")
    assert "mul" in once and "sub" in once, "1 - w w belongs to no step"


def test_what_does_not_lead_to_a_result_is_left_out():
    found = written("a = exp(linear(x0, p0) * s0)", "h = tanh(s0 + x0)", "y = h")
    everything = [v.op for p in PLACES for v in found.forward[p] + found.backward[p]]
    assert "exp" not in everything and "linear" not in everything
    assert found.program.parameter_grads == [None, None]


def test_what_is_written_twice_is_done_once():
    found = written("h = tanh(s0 + x0) * tanh(s0 + x0)", "y = tanh(s0 + x0)")
    assert count([v for p in PLACES for v in found.forward[p]], "tanh") == 1


def test_what_depends_on_constants_alone_is_a_number():
    found = written("h = tanh(s0 * (ROW2 * 2.0 + 1.0))", "y = h", inputs=[(2,)])
    assert [v.op for p in PLACES for v in found.forward[p]] == ["mul", "tanh"]


@every_cell
def test_everything_is_made_before_it_is_read(entry: Entry):
    c = case(entry, 1, 2)
    found = schedule(program_of(c.cell, c.at(0), c.state))
    made = {id(v) for v in in_order(found.program.forward_results()) if v.kind != "result"}
    made |= {id(v) for v in found.program.seeds_y + found.program.seeds_state}
    made |= {id(v) for v in in_order(found.program.backward_results()) if v.kind != "result"}
    for places in (found.forward, found.backward):
        for place in PLACES:
            for value in places[place]:
                missing = [v for v in value.inputs if id(v) not in made]
                assert not missing, f"{value} reads {missing}"
                made.add(id(value))
    wanted = found.program.forward_results() + found.program.backward_results()
    assert all(id(v) in made for v in wanted)


@every_cell
def test_nothing_before_or_after_the_loop_is_needed_in_the_wrong_place(entry: Entry):
    """The loop reads nothing that comes after it; what comes before reads nothing of it."""
    c = case(entry, 1, 2)
    found = schedule(program_of(c.cell, c.at(0), c.state))
    for places in (found.forward, found.backward):
        turn = {id(v): k for k, place in enumerate(PLACES) for v in places[place]}
        for place in PLACES:
            for value in places[place]:
                late = [v for v in value.inputs if turn.get(id(v), 0) > turn[id(value)]]
                assert not late, f"{value}, {place}, reads {late}"


@every_cell
def test_behind_the_loop_no_carried_cotangent_is_read(entry: Entry):
    """There is but one of each at a time; behind the loop those of all steps are read."""
    c = case(entry, 1, 2)
    found = schedule(program_of(c.cell, c.at(0), c.state))
    carried = {id(v) for v in found.program.seeds_state}
    grads = [*found.program.input_grads, *found.program.parameter_grads]
    read = [v for value in found.backward["after"] for v in value.inputs]
    assert not [v for v in read + grads if id(v) in carried]


def test_tracing_and_scheduling_leave_their_arguments_alone():
    cell = nn.ElmanCell(3, 4, seed=0).to(np.float64)
    program = program_of(cell, np.ones((2, 3)), cell.init_state(2))
    before = [id(v) for v in program.forward_results() + program.backward_results()]
    for _ in range(2):
        found = schedule(program)
        assert [id(v) for v in program.forward_results() + program.backward_results()] == before
        assert len(found.forward["loop"]) == 3
