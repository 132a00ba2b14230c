"""Plain NumPy for the tests of the cells' equations, and what compares cells with it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinyseq as ts
from tinyseq import nn, structure

N, T = 5, 6


def sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def blocks(cell: nn.Cell, name: str, gates: str) -> dict[str, np.ndarray]:
    """The rows of each gate in a parameter, by the gate's letter."""
    return dict(zip(gates, np.split(cell.state_dict()[name], len(gates)), strict=True))


def put(cell: nn.Cell, **values: Any) -> None:
    """New values for some parameters; numbers fill them."""
    for name, value in values.items():
        parameter = getattr(cell, name)
        parameter.assign(np.broadcast_to(value, parameter.shape))


def force(cell: nn.Cell, gates: str, gate: str, bias: float) -> None:
    """Let a gate depend on nothing but a bias: 1000 opens it, -1000 closes it, to the bit."""
    rows = gates.index(gate) * cell.hidden_size + np.arange(cell.hidden_size)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        values = getattr(cell, name).data.copy()
        values[rows] = bias if name == "bias_ih" else 0
        put(cell, **{name: values})
    if hasattr(cell, f"weight_c{gate}"):
        put(cell, **{f"weight_c{gate}": 0})


def filled(state: Any, values: Sequence[Any]) -> Any:
    """A state of the same structure with other arrays."""
    left = iter(values)
    return structure.map(lambda _: next(left), state)


def assert_is(cell: nn.Cell, step: Callable[..., Sequence[np.ndarray]], inputs: int) -> None:
    """The cell over T steps is the step in NumPy: ``step(x, *states) -> [y, *states]``."""
    xs, template = numbers(T, N, inputs), cell.init_state(N)
    state = [numbers(*a.shape, seed=k + 1) for k, a in enumerate(structure.leaves(template))]
    ys, last = ts.unroll(cell, xs, filled(template, state))
    for t in range(T):
        y, *state = step(xs[t], *state)
        np.testing.assert_allclose(ys.data[t], y, rtol=1e-12, atol=1e-13)
    for found, expected in zip(structure.leaves(last), state, strict=True):
        np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-13)


def assert_same_function(one: nn.Cell, other: nn.Cell, inputs: int) -> None:
    """Two cells have the same outputs and states, and the same gradients by what they are given.

    A state may be longer than the other: what it has more is left at zero, and not compared.
    """
    results = []
    count = min(len(structure.leaves(cell.init_state(N))) for cell in (one, other))
    for cell in (one, other):
        template = cell.init_state(N)
        x = ts.tensor(numbers(T, N, inputs), requires_grad=True)
        start = [
            ts.tensor(numbers(*a.shape, seed=k + 1) if k < count else a, requires_grad=True)
            for k, a in enumerate(structure.leaves(template))
        ]
        ys, last = ts.unroll(cell, x, filled(template, start))
        gradients = ts.grad((ys * numbers(*ys.shape, seed=9)).sum(), [x, *start[:count]])
        results.append([ys.data, *(a.data for a in structure.leaves(last)[:count]), *gradients])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def by_state(cell: nn.Cell, xs: np.ndarray, steps: int) -> np.ndarray:
    """dh(steps) / dh(0) for one sequence and a state that is one array: (H, H)."""
    start = ts.tensor(numbers(1, cell.hidden_size, seed=1), requires_grad=True)

    def last(h: Any) -> Any:
        return ts.unroll(cell, xs[:steps], h)[1]

    return ts.jacobian(last, start).reshape(cell.hidden_size, cell.hidden_size)
