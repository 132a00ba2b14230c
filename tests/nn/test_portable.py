"""Every cell saved, copied, and moved to another array library."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import strict_cupy
from nn.checks import (
    arrays,
    assert_close,
    assert_same,
    every_cell,
    gradients_there,
    loop,
    of_floats,
    raw,
    run,
)
from nn.registry import Case, Entry, case, each
from tinyseq import structure


@every_cell
def test_weights_go_from_one_cell_to_another(entry: Entry):
    c, other = case(entry, seed=0), case(entry, seed=1)
    assert list(c.cell.state_dict()) == [name for name, _ in c.cell.named_parameters()]
    before = arrays(*loop(Case(other.cell, c.inputs, c.state, 3)))
    other.cell.load_state_dict(c.cell.state_dict())
    after = arrays(*loop(Case(other.cell, c.inputs, c.state, 3)))
    assert_same(after, arrays(*loop(c)))
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


@every_cell
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda cell: pickle.loads(pickle.dumps(cell))])
def test_a_copy_is_of_its_own(entry: Entry, copied: Any):
    c = case(entry)
    before = arrays(*loop(c))
    other = copied(c.cell)
    assert [n for n, _ in other.named_parameters()] == [n for n, _ in c.cell.named_parameters()]
    assert [p.symbol for p in other.parameters()] == [p.symbol for p in c.cell.parameters()]
    assert_same(arrays(*loop(Case(other, c.inputs, c.state, 3))), before)
    for parameter in other.parameters():
        parameter.assign(parameter.data + 1)
    assert_same(arrays(*loop(c)), before)


@every_cell
def test_every_parameter_has_a_name_and_a_letter(entry: Entry):
    cell = entry.make(0)
    for name, parameter in cell.named_parameters():
        assert parameter.name == name
        if not name.startswith("initial."):
            assert parameter.symbol


@every_cell
def test_numbers_and_gradients_are_the_same_in_every_array_library(entry: Entry, xp: Any):
    c, host = case(entry, steps=4, batch=5), case(entry, steps=4, batch=5)
    c.cell.to("numpy" if xp is np else "cupy")
    c.inputs = None if c.inputs is None else each(xp.asarray, c.inputs)
    c.state = each(xp.asarray, c.state)
    results = []
    for one in (host, c):
        of_floats(one)
        ys, state = run(one, lengths=[4, 1, 0, 3, 2])
        found = [*structure.leaves((ys, state)), *gradients_there(one, ys, state)]
        results.append(found)
    assert all(isinstance(raw(a), xp.ndarray) for a in results[1])
    assert_close(*([strict_cupy.to_host(raw(a)) for a in found] for found in results), within=1e-12)


@every_cell
def test_the_gpu_is_never_waited_for(entry: Entry, monkeypatch: pytest.MonkeyPatch):
    xp = strict_cupy.install(monkeypatch)
    c = case(entry, steps=4, batch=5)
    c.cell.to("cupy")
    c.inputs = None if c.inputs is None else each(xp.asarray, c.inputs)
    c.state = each(xp.asarray, c.state)
    with strict_cupy.count_syncs() as syncs:
        ys, state = run(c, lengths=[4, 1, 0, 3, 2])
        gradients_there(c, ys, state)
    allowed = {"get"} if entry.inputs.__name__ == "forced_classes" else set()
    assert set(syncs) <= allowed  # class ids are checked on the host to be in range
