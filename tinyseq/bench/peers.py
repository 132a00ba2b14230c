"""PyTorch and JAX, each as its documentation has one write a recurrence."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.bench.race import Contender, Run
from tinyseq.bench.steps import STEPS, Functions
from tinyseq.bench.workload import Workload

LAYERS = {"LSTM": "LSTM", "GRU": "GRU", "tanh RNN": "RNN"}  # the cells that torch.nn has


def torch_nn(workload: Workload) -> Run:
    """torch.nn.LSTM, GRU or RNN: the vendor's kernel."""
    import torch

    layer = getattr(torch.nn, LAYERS[workload.cell])(workload.size, workload.size)
    layer.load_state_dict({f"{n}_l0": torch.tensor(a) for n, a in workload.weights.items()})
    inputs = torch.tensor(workload.inputs)

    def run() -> dict[str, np.ndarray]:
        layer.zero_grad()
        outputs, _ = layer(inputs)
        outputs.pow(2).sum().backward()
        grads = {name: p.grad for name, p in layer.named_parameters()}
        return {name.removesuffix("_l0"): g.numpy() for name, g in grads.items() if g is not None}

    return run


def torch_functions() -> Functions:
    """torch's own functions."""
    import torch

    return Functions(torch.nn.functional.linear, torch.chunk, torch.sigmoid, torch.tanh, torch.sin)


def torch_loop(hoisted: bool = False, compiled: bool = False) -> Contender:
    """A Python loop over the step, as one writes a cell of one's own in PyTorch.

    Args:
        hoisted: the inputs are projected all at once, before the loop.
        compiled: the loop goes through torch.compile.
    """

    def make(workload: Workload) -> Run:
        import torch

        functions, cell = torch_functions(), STEPS[workload.cell]
        inputs = torch.tensor(workload.inputs)
        start = tuple(torch.tensor(a) for a in workload.state)
        weights = {n: torch.tensor(a, requires_grad=True) for n, a in workload.weights.items()}

        def forward(weights: dict[str, Any]) -> Any:
            project, step = cell(functions, weights)
            state, outputs = start, []
            for x in project(inputs) if hoisted else inputs:
                y, state = step(x if hoisted else project(x), state)
                outputs.append(y)
            return torch.stack(outputs)

        forward = torch.compile(forward) if compiled else forward

        def run() -> dict[str, np.ndarray]:
            for weight in weights.values():
                weight.grad = None
            forward(weights).pow(2).sum().backward()
            return {name: w.grad.numpy() for name, w in weights.items() if w.grad is not None}

        return run

    return make


def jax_scan(hoisted: bool = False) -> Contender:
    """jax.lax.scan over the step, differentiated and jitted.

    Args:
        hoisted: the inputs are projected all at once, before the scan.
    """

    def make(workload: Workload) -> Run:
        import jax
        import jax.numpy as jnp

        def linear(x: Any, w: Any, b: Any) -> Any:
            return x @ w.T if b is None else x @ w.T + b

        functions = Functions(linear, jnp.split, jax.nn.sigmoid, jnp.tanh, jnp.sin)
        inputs, start = jnp.asarray(workload.inputs), tuple(map(jnp.asarray, workload.state))
        weights = {name: jnp.asarray(array) for name, array in workload.weights.items()}

        def loss(weights: dict[str, Any], inputs: Any) -> Any:
            project, step = STEPS[workload.cell](functions, weights)

            def body(state: tuple, x: Any) -> tuple[tuple, Any]:
                y, state = step(x if hoisted else project(x), state)
                return state, y

            _, outputs = jax.lax.scan(body, start, project(inputs) if hoisted else inputs)
            return (outputs**2).sum()

        gradient = jax.jit(jax.grad(loss))

        def run() -> dict[str, np.ndarray]:
            grads = jax.block_until_ready(gradient(weights, inputs))
            return {name: np.asarray(g) for name, g in grads.items()}

        return run

    return make
