"""What the tests of the compiler share: all that a run gives, by name, and its comparison."""

from typing import Any

import numpy as np

import tinyseq as ts
from nn.registry import Case, each
from tinyseq import structure
from tinyseq.backend import namespace

WITHIN = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-4}

Results = dict[str, np.ndarray]


def leaf(value: Any) -> Any:
    """A leaf that wants a gradient, of whatever can have one."""
    return ts.tensor(value, requires_grad=True) if value.dtype.kind == "f" else value


def results(cell: Any, inputs: Any, state: Any, seed: int = 1, **settings: Any) -> Results:
    """Outputs, final states, and the gradients of a random sum of them by everything."""
    xs = None if inputs is None else each(leaf, inputs)
    before = each(leaf, state)
    ys, after = ts.unroll(cell, xs, before, **settings)
    return {**values(ys, after), **gradients(cell, xs, before, ys, after, seed)}


def of_case(cell: Any, c: Case, **settings: Any) -> Results:
    """The results of a case from the registry, with this cell in place of its own."""
    return results(cell, c.inputs, c.state, length=c.length(), **settings)


def values(ys: Any, after: Any) -> Results:
    """Copies of the outputs and final states."""
    named = _named("output", ys) | _named("final state", after)
    assert all(isinstance(a, ts.Tensor) for a in named.values()), "raw arrays came out"
    return {name: a.data.copy() for name, a in named.items()}


def gradients(
    cell: Any, xs: Any, before: Any, ys: Any, after: Any, seed: int = 1, **settings: Any
) -> Results:
    """The gradients of a random sum of the outputs and final states; zeros where there is none."""
    rng = np.random.default_rng(seed)
    ends, seeds = [], []
    for a in [*structure.leaves(ys), *structure.leaves(after)]:
        if a is not None:
            weights = namespace(a.data).asarray(rng.normal(size=a.shape).astype(a.dtype))
            if a.requires_grad:
                ends.append(a)
                seeds.append(weights)
    wanted = _named("input", xs) | _named("initial state", before) | dict(cell.named_parameters())
    wanted = {name: t for name, t in wanted.items() if getattr(t, "requires_grad", False)}
    grads = [None] * len(wanted)
    if ends:
        grads = ts.grad(ends, list(wanted.values()), seeds, allow_unused=True, **settings)
    return {
        f"gradient by {name}": np.zeros(t.shape, t.dtype) if g is None else g
        for (name, t), g in zip(wanted.items(), grads, strict=True)
    }


def _named(what: str, value: Any) -> dict[str, Any]:
    return {f"{what} {k}": a for k, a in enumerate(structure.leaves(value)) if a is not None}


def differences(found: Results, expected: Results, within: float | None = None) -> list[str]:
    """What differs, a line each; the bound is relative to the largest number of an array."""
    lines = [] if list(found) == list(expected) else [f"{list(found)} but {list(expected)}"]
    for name, a in expected.items():
        b = found.get(name)
        if b is None:
            continue
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            lines.append(f"{name}: {b.dtype}{b.shape} in place of {a.dtype}{a.shape}")
        elif a.size:
            bound = within if within is not None else WITHIN.get(a.dtype, 0.0)
            scale = max(1.0, float(np.abs(a).max()))
            worst = float(np.abs(b - a).max())
            if not worst <= bound * scale:
                lines.append(f"{name}: off by {worst:.2e}, the largest number is {scale:.2e}")
    return lines


def assert_same(found: Results, expected: Results, within: float | None = None) -> None:
    wrong = differences(found, expected, within)
    assert not wrong, "\n".join(wrong)
    assert all(np.isfinite(a).all() for a in expected.values())


def assert_compiles(cell: Any, inputs: Any, state: Any, **settings: Any) -> Any:
    """Compiled, the cell gives what it gives unrolled; returns the compiled cell."""
    fast = ts.compile(cell)
    expected = results(cell, inputs, state, **settings)
    assert_same(results(fast, inputs, state, **settings), expected)
    return fast
