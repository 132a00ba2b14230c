"""What the tests of the cells' contract share: running a case, comparing, differentiating."""

from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from nn.registry import CELLS, NAMES, Case, each
from tinyseq import structure

every_cell = pytest.mark.parametrize("entry", CELLS, ids=NAMES)
every_smooth_cell = pytest.mark.parametrize(
    "entry", [e for e in CELLS if e.smooth], ids=[e.name for e in CELLS if e.smooth]
)
every_cell_with_input = pytest.mark.parametrize(
    "entry", [e for e in CELLS if e.refuses], ids=[e.name for e in CELLS if e.refuses]
)


def run(c: Case, **settings: Any) -> tuple[Any, Any]:
    return ts.unroll(c.cell, c.inputs, c.state, length=c.length(), **settings)


def loop(c: Case, detach_every: int | None = None, order: Any = None) -> tuple[list[Any], Any]:
    """The recurrence, written out."""
    state, ys = c.state, {}
    for count, t in enumerate(order if order is not None else range(c.steps)):
        if detach_every and count and count % detach_every == 0:
            state = structure.map(lambda a: a.detach() if isinstance(a, ts.Tensor) else a, state)
        ys[t], state = c.cell(c.at(t), state)
    return [ys[t] for t in range(c.steps)], state


def arrays(*values: Any) -> list[np.ndarray]:
    """All arrays of some structures, on the host; lists stand for stacked arrays."""
    found: list[np.ndarray] = []
    for value in values:
        if isinstance(value, list):
            value = each(lambda *steps: np.stack([raw(s) for s in steps]), *value)
        found += [strict_cupy.to_host(raw(a)) for a in structure.leaves(value) if a is not None]
    return found


def raw(value: Any) -> Any:
    return value.data if isinstance(value, ts.Tensor) else value


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def assert_close(found: list[np.ndarray], expected: list[np.ndarray], within: float) -> None:
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=within, atol=within, strict=True)


def of_floats(c: Case) -> list[ts.Tensor]:
    """Leaves for all that has a derivative; the case's inputs and state are replaced by them."""
    leaves: list[ts.Tensor] = list(c.cell.parameters())

    def leaf(a: Any) -> Any:
        if a.dtype.kind != "f":
            return a
        leaves.append(ts.tensor(a, requires_grad=True))
        return leaves[-1]

    c.inputs = None if c.inputs is None else each(leaf, c.inputs)
    c.state = each(leaf, c.state)
    return leaves


def total(*values: Any, seed: int = 5) -> Any:
    """A sum with random weights of all elements."""
    rng, result = np.random.default_rng(seed), None
    for value in values:
        for a in structure.leaves(value):
            weights = rng.normal(size=a.shape).astype(a.dtype)
            part = (a * weights).sum()
            result = part if result is None else result + part
    return result


def gradients(c: Case, *values: Any) -> list[Any]:
    """By the parameters, the inputs and the initial state; zeros where there is no path."""
    leaves = [*c.cell.parameters(), *structure.leaves(c.inputs), *structure.leaves(c.state)]
    wanted = [leaf for leaf in leaves if isinstance(leaf, ts.Tensor)]
    found = ts.grad(total(*values), wanted, allow_unused=True)
    return [np.zeros(x.shape) if g is None else g for g, x in zip(found, wanted, strict=True)]


def gradients_there(c: Case, *values: Any) -> list[Any]:
    loss = sum((a * a).sum() for a in structure.leaves(values))
    found = ts.grad(loss, c.cell.parameters(), allow_unused=True)
    return [g for g in found if g is not None]
