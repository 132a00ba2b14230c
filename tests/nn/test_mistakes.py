"""Every cell given what it should refuse: by module path and step, never a wrong number."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from nn.checks import arrays, every_cell, every_cell_with_input, run, total
from nn.registry import Case, Entry, H, I, case, each
from tinyseq import nn, structure
from tinyseq.errors import DTypeError, GraphError, ShapeError, StructureError


class Outer(nn.Module):
    """A module around the cell, so that errors have a path to name."""

    def __init__(self, cell: nn.Cell) -> None:
        self.inner = cell

    def __call__(self, *args: Any, **settings: Any) -> Any:
        return ts.unroll(self.inner, *args, **settings)


def message(c: Case, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        Outer(c.cell)(c.inputs, c.state, length=c.length())
    return str(caught.value)


@every_cell_with_input
def test_an_input_of_the_wrong_width_is_refused_by_path_and_step(entry: Entry):
    c = case(entry)
    if c.inputs is None:  # what no cell reads cannot be of the wrong width
        c.inputs = np.zeros((3, 2, I))
    else:
        c.inputs = each(lambda a: np.concatenate([a, a], -1), c.inputs)
    text = message(c, entry.refuses)
    assert "Outer.inner" in text and "at step 1" in text, text


@every_cell_with_input
def test_an_input_of_another_batch_is_refused_by_path_and_step(entry: Entry):
    for batch in (1, 3):  # one sequence would be broadcast in silence
        c = case(entry)
        if c.inputs is None or isinstance(c.inputs, nn.Forced) and c.inputs.x is None:
            continue
        c.inputs = case(entry, batch=batch).inputs
        text = message(c, ShapeError)
        assert "Outer.inner" in text and "at step 1" in text, text


@pytest.mark.parametrize("x", [[[1.0, 2.0, 3.0]], [[[1.0, 2.0, 3.0]]], "abc", [[1.0], [1.0, 2.0]]])
def test_lists_of_numbers_are_no_arrays(x: Any):
    """A list is one input for each step: what is in it has to be arrays."""
    with pytest.raises((ShapeError, DTypeError), match=r"at step 1|array of numbers"):
        Outer(nn.LSTMCell(I, H))(x, nn.LSTMCell(I, H).init_state(1))


@every_cell
def test_a_missing_or_unwanted_input_is_refused_by_path_and_step(entry: Entry):
    c = case(entry)
    if c.inputs is None:
        c.inputs = np.zeros((3, 2, I))
    elif isinstance(c.inputs, nn.Forced):
        given = c.inputs.x
        c.inputs = nn.Forced(np.zeros((3, 2, I)) if given is None else None, c.inputs.y)
    else:
        c.inputs = None
    text = message(c, ShapeError)
    assert "Outer.inner" in text and "at step 1" in text, text


@every_cell
def test_a_state_of_another_structure_is_refused_by_path_and_step(entry: Entry):
    c = case(entry)
    alone = not structure.is_container(c.state)
    c.state = (c.state, c.state) if alone else structure.leaves(c.state)[0]
    text = message(c, StructureError)
    assert "Outer.inner" in text and "at step 1" in text, text


@every_cell
def test_a_state_of_the_wrong_width_is_refused_by_path_and_step(entry: Entry):
    c = case(entry)
    c.state = each(lambda a: np.concatenate([a, a], -1), c.state)
    text = message(c, ShapeError)
    assert "Outer.inner" in text and "at step 1" in text, text


@every_cell_with_input
def test_nan_goes_through_and_can_be_found(entry: Entry):
    c = case(entry)
    if c.inputs is None:
        return
    c.inputs = each(lambda a: a * np.nan if a.dtype.kind == "f" else a, c.inputs)
    ys, _ = run(c)
    assert np.isnan(arrays(ys)[0]).any()
    # a target is first read one step after it is given
    step = 2 if isinstance(c.inputs, nn.Forced) and c.inputs.x is None else 1
    with ts.detect_nonfinite(), pytest.raises(FloatingPointError, match=f"at step {step}"):
        run(c)


@every_cell
def test_a_graph_from_before_an_update_is_refused(entry: Entry):
    c = case(entry)
    ys, state = run(c, lengths=None)
    changed = next(p for p in c.cell.parameters() if p.name not in untouched(c))
    changed.assign(changed.data * 2)
    with pytest.raises(GraphError, match=changed.name):
        total(ys, state).backward()


def untouched(c: Case) -> set[str | None]:
    """Parameters on which nothing depends: an initial state when another one was given."""
    return {p.name for p in c.cell.parameters() if p.name.startswith("initial.")}


@every_cell
def test_the_batch_may_be_empty(entry: Entry):
    c = case(entry, steps=2, batch=0)
    ys, state = run(c)
    assert all(a.shape[:2] == (2, 0) for a in arrays(ys))
    assert all(a.shape[0] == 0 for a in arrays(state))
