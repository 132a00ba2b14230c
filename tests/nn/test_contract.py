"""What every cell must do, whatever its equations are: steps, runs, derivatives."""

import copy
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from nn.checks import (
    arrays,
    assert_close,
    assert_same,
    every_cell,
    every_smooth_cell,
    gradients,
    loop,
    of_floats,
    raw,
    run,
    total,
)
from nn.registry import CELLS, NAMES, Entry, H, I, case, each
from tinyseq import nn, structure


def test_every_cell_is_in_the_registry():
    exported = {getattr(nn, name) for name in nn.__all__}
    cells = {c for c in exported if isinstance(c, type) and issubclass(c, nn.Cell)} - {nn.Cell}
    assert cells == {type(entry.make(0)) for entry in CELLS}


def test_names_in_the_registry_are_unique():
    assert len(set(NAMES)) == len(NAMES)


def test_the_sizes_of_the_registry_tell_the_axes_apart():
    assert len({I, H, 2, 5}) == 4


@every_cell
@pytest.mark.parametrize("batch", [1, 5])
def test_a_step_gives_an_output_and_a_state_like_the_one_before(entry: Entry, batch: int):
    c = case(entry, batch=batch)
    y, state = c.cell(c.at(0), c.state)
    assert structure.skeleton(state) == structure.skeleton(c.cell.init_state(batch))
    for new, old in zip(structure.leaves(state), structure.leaves(c.state), strict=True):
        assert (new.shape, new.dtype) == (old.shape, old.dtype)
    assert all(a.shape[0] == batch and a.dtype == np.float64 for a in structure.leaves(y))


@every_cell
@pytest.mark.parametrize("steps, batch", [(1, 1), (1, 5), (4, 1), (4, 5)])
def test_unroll_is_the_loop(entry: Entry, steps: int, batch: int):
    c = case(entry, steps, batch)
    assert_same(arrays(*run(c)), arrays(*loop(c)))


@every_cell
def test_no_initial_state_means_the_cells_own(entry: Entry):
    c = case(entry)
    if c.inputs is None:
        c.state = c.cell.init_state(2)
        expected = arrays(*loop(c))
        c.state = c.cell.init_state(2)
    else:
        c.state = c.cell.init_state(2)
        expected = arrays(*loop(c))
        c.state = None
    assert_same(arrays(*run(c)), expected)


@every_cell
def test_no_steps_give_no_outputs_and_the_initial_state(entry: Entry):
    c = case(entry, steps=0)
    ys, state = run(c)
    one, _ = run(case(entry, steps=1))
    assert [a.shape for a in arrays(ys)] == [(0, *a.shape[1:]) for a in arrays(one)]
    assert_same(arrays(state), arrays(c.state))


@every_cell
def test_reverse_is_the_loop_from_the_end(entry: Entry):
    c = case(entry, steps=4)
    assert_same(arrays(*run(c, reverse=True)), arrays(*loop(c, order=[3, 2, 1, 0])))


@every_cell
def test_float32_stays_float32(entry: Entry):
    c = case(entry, dtype=np.float32)
    of_floats(c)
    ys, state = run(c)
    assert {a.dtype for a in arrays(ys, state)} == {np.dtype(np.float32)}
    found = ts.grad(total(ys, state), c.cell.parameters(), allow_unused=True)
    assert {g.dtype for g in found if g is not None} == {np.dtype(np.float32)}


@every_cell
def test_nothing_is_recorded_under_no_grad(entry: Entry):
    c = case(entry)
    with ts.no_grad():
        ys, state = run(c)
    recorded = [a for a in structure.leaves((ys, state)) if getattr(a, "node", None) is not None]
    assert not recorded
    assert_same(arrays(ys, state), arrays(*loop(c)))


def put(module: nn.Module, path: str, value: Any) -> None:
    """Replace the parameter of this path by any Tensor."""
    *above, name = path.split(".")
    owner: Any = module
    for part in above:
        owner = owner[int(part)] if isinstance(owner, list) else getattr(owner, part)
    if isinstance(owner, dict):
        owner[name] = value
    else:
        object.__setattr__(owner, name, value)


def as_function(entry: Entry) -> tuple[Any, list[np.ndarray]]:
    """The outputs and the last states as a function of parameters, inputs and initial states."""
    c = case(entry, steps=2)
    names = list(c.cell.state_dict())
    given = [raw(leaf) for leaf in of_floats(c)]
    fresh = case(entry, steps=2)

    def f(*values: Any) -> list[Any]:
        cell = copy.deepcopy(c.cell)
        left = list(values)
        for name in names:
            put(cell, name, left.pop(0))

        def take_over(a: Any) -> Any:
            return left.pop(0) if a.dtype.kind == "f" else a

        inputs = None if fresh.inputs is None else each(take_over, fresh.inputs)
        state = each(take_over, fresh.state)
        length = fresh.length()
        results = [*ts.unroll(cell, inputs, state, length=length)]
        results += [*ts.unroll(cell, inputs, cell.init_state(2), length=length)]
        return structure.leaves(results)

    return f, given


@every_cell
def test_derivatives_are_those_of_central_differences(entry: Entry):
    f, given = as_function(entry)
    ts.check_grads(f, given, order=1)


@every_smooth_cell
def test_second_derivatives_are_those_of_central_differences(entry: Entry):
    f, given = as_function(entry)
    rng = np.random.default_rng(3)
    weights = [rng.normal(size=y.shape) for y in f(*map(ts.tensor, given))]

    def gradient(*values: Any) -> list[Any]:
        loss = sum((w * y).sum() for w, y in zip(weights, f(*values), strict=True))
        found = ts.grad(loss, values, create_graph=True, allow_unused=True)
        return [
            ts.tensor(np.zeros(v.shape)) if g is None else g
            for g, v in zip(found, values, strict=True)
        ]

    direction = [rng.normal(size=a.shape) for a in given]
    step = 1e-5

    def shifted(by: float) -> list[np.ndarray]:
        leaves = [ts.tensor(a + by * d, True) for a, d in zip(given, direction, strict=True)]
        return [g.data for g in gradient(*leaves)]

    expected = [(a - b) / (2 * step) for a, b in zip(shifted(step), shifted(-step), strict=True)]
    leaves = [ts.tensor(a, True) for a in given]
    found = gradient(*leaves)
    forward_over_reverse = ts.push_forward(found, leaves, direction)
    along = sum((g * d).sum() for g, d in zip(found, direction, strict=True))
    reverse_over_reverse = [
        np.zeros(leaf.shape) if g is None else g
        for g, leaf in zip(ts.grad(along, leaves, allow_unused=True), leaves, strict=True)
    ]
    assert_close(forward_over_reverse, expected, within=1e-7)
    assert_close(reverse_over_reverse, expected, within=1e-7)


@every_cell
@pytest.mark.parametrize("every", [1, 2, 3, 4, 7])
def test_detach_every_cuts_the_gradient_and_nothing_else(entry: Entry, every: int):
    c = case(entry, steps=5)
    of_floats(c)
    ys, state = run(c, detach_every=every)
    assert_same(arrays(ys, state), arrays(*loop(case(entry, steps=5))))
    expected, last = loop(c, detach_every=every)
    stacked = each(lambda *steps: ts.ops.stack(steps), *expected)
    assert_close(gradients(c, ys, state), gradients(c, stacked, last), within=1e-12)
