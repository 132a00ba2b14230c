"""On a GPU: compiled loops against the same cell operation by operation, and against torch.nn.

Run where CuPy finds a GPU: ``python -m benchmarks --only gpu``. A run ends when its gradients are
on the host, so that it waits for all of its work.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.section import Section
from tinyseq.backend import gpu_namespace, to_cupy, to_numpy
from tinyseq.bench import at_a, compete, lstm
from tinyseq.bench.peers import LAYERS
from tinyseq.bench.race import Contender, Run
from tinyseq.bench.workload import Workload
from tinyseq.compile import compile
from tinyseq.errors import BackendError
from tinyseq.recurrence import unroll

COMPILED, UNROLLED, VENDOR = "tinyseq, compiled", "tinyseq, unrolled", "torch.nn (cuDNN)"


def gpu() -> Any:
    """CuPy with a GPU under it; without one it counts as not installed."""
    try:
        return gpu_namespace()
    except BackendError as error:
        raise ImportError(str(error)) from None


def ours(compiled: bool) -> Contender:
    """``ts.unroll`` of a cell on the GPU, as it is written or compiled."""

    def make(workload: Workload) -> Run:
        gpu()
        cell: Any = workload.make_cell().to("cupy")
        inputs = to_cupy(workload.inputs)
        cell = compile(cell) if compiled else cell

        def run() -> dict[str, np.ndarray]:
            cell.zero_grad()
            outputs, _ = unroll(cell, inputs)
            (outputs * outputs).sum().backward()
            return {name: to_numpy(p.grad) for name, p in cell.named_parameters()}

        return run

    return make


def torch_nn(workload: Workload) -> Run:
    """The vendor's kernel for the cell."""
    import torch

    if not torch.cuda.is_available():
        raise ImportError("this build of PyTorch finds no GPU")
    layer = getattr(torch.nn, LAYERS[workload.cell])(workload.size, workload.size)
    layer.load_state_dict({f"{n}_l0": torch.tensor(a) for n, a in workload.weights.items()})
    layer, inputs = layer.cuda(), torch.tensor(workload.inputs).cuda()

    def run() -> dict[str, np.ndarray]:
        layer.zero_grad()
        outputs, _ = layer(inputs)
        outputs.pow(2).sum().backward()
        grads = {name: p.grad for name, p in layer.named_parameters()}
        return {n.removesuffix("_l0"): g.cpu().numpy() for n, g in grads.items() if g is not None}

    return run


def section(quick: bool) -> Section:
    """A race for each workload."""
    workloads = [lstm("a"), lstm("b")] if quick else [*map(lstm, "abcd"), at_a("GRU")]
    workloads += [at_a("phase cell")]
    races = []
    for workload in workloads:
        contenders = {UNROLLED: ours(False), COMPILED: ours(True)}
        contenders |= {VENDOR: torch_nn} if workload.cell in LAYERS else {}
        races.append(compete(workload, contenders, 2 if quick else 10))
    return Section(
        "On a GPU",
        f"{name_of_the_gpu()}. T steps, a batch of B, I = H. Milliseconds (quartiles), and in bold "
        "the ratio to tinyseq operation by operation.",
        races,
        UNROLLED,
    )


def name_of_the_gpu() -> str:
    """What the driver calls it."""
    try:
        properties = gpu().cuda.runtime.getDeviceProperties(0)
    except ImportError:
        return "There is no GPU here"
    return properties["name"].decode()
