"""HIPS autograd and DeZero, which record the loop as tinyseq's own tape does."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.bench import Run, Workload
from tinyseq.bench.steps import STEPS, Functions


def hips_autograd(workload: Workload) -> Run:
    """HIPS autograd: plain NumPy code, differentiated."""
    import autograd.numpy as anp

    from autograd import grad

    def linear(x: Any, w: Any, b: Any) -> Any:
        return anp.dot(x, w.T) if b is None else anp.dot(x, w.T) + b

    def sigmoid(a: Any) -> Any:
        return 0.5 * anp.tanh(0.5 * a) + 0.5

    functions = Functions(linear, anp.split, sigmoid, anp.tanh, anp.sin)

    def loss(weights: dict[str, Any]) -> Any:
        project, step = STEPS[workload.cell](functions, weights)
        state, total = workload.state, 0.0
        for x in workload.inputs:
            y, state = step(project(x), state)
            total = total + anp.sum(y**2)
        return total

    gradient = grad(loss)
    return lambda: gradient(workload.weights)


def dezero(workload: Workload) -> Run:
    """DeZero. Its functions make float64 of float32 gradients, which is left as it is."""
    np.int = int  # type: ignore[attr-defined]  # DeZero 0.0.13 asks for this name of old NumPys
    import dezero
    import dezero.functions as F

    def linear(x: Any, w: Any, b: Any) -> Any:
        return F.linear(x, F.transpose(w), b)

    def split(a: Any, parts: int, axis: int) -> list[Any]:
        size = a.shape[axis] // parts
        pieces = [slice(k * size, (k + 1) * size) for k in range(parts)]
        return [F.get_item(a, (..., piece) if axis == -1 else piece) for piece in pieces]

    functions = Functions(linear, split, F.sigmoid, F.tanh, F.sin)
    variables = {n: dezero.Variable(a) for n, a in workload.weights.items()}

    def run() -> dict[str, np.ndarray]:
        for variable in variables.values():
            variable.cleargrad()
        project, step = STEPS[workload.cell](functions, variables)
        state, total = tuple(map(dezero.Variable, workload.state)), 0.0
        for x in workload.inputs:
            y, state = step(project(dezero.Variable(x)), state)
            total = total + F.sum(y**2)
        total.backward()
        return {name: variable.grad.data for name, variable in variables.items()}

    return run
