"""The contenders and their names."""

from __future__ import annotations

from benchmarks import others
from tinyseq.bench import ours, peers
from tinyseq.bench.race import Contender
from tinyseq.bench.short import COMPILED, FAST, LOOP, SCAN, UNROLLED, VENDOR

__all__ = [
    "AUTOGRAD",
    "COMPILED",
    "DEZERO",
    "FAST",
    "HOISTED",
    "HOISTED_LOOP",
    "HOISTED_SCAN",
    "INDUCTOR",
    "JAX",
    "LOOP",
    "NN",
    "OWN",
    "PYTORCH",
    "SCAN",
    "TAPES",
    "TORCH_COMPILE",
    "UNROLLED",
    "VENDOR",
]

HOISTED_LOOP, HOISTED_SCAN = f"{LOOP}, U x before it", f"{SCAN}, U x before it"
TORCH_COMPILE, AUTOGRAD, DEZERO = "torch.compile of the loop", "HIPS autograd", "DeZero"

OWN: dict[str, Contender] = {
    COMPILED: ours.compiled(),
    FAST: ours.compiled(emitter="numba"),
    UNROLLED: ours.unrolled(),
}
NN: dict[str, Contender] = {VENDOR: peers.torch_nn}
PYTORCH: dict[str, Contender] = {LOOP: peers.torch_loop()}
HOISTED: dict[str, Contender] = {HOISTED_LOOP: peers.torch_loop(hoisted=True)}
INDUCTOR: dict[str, Contender] = {TORCH_COMPILE: peers.torch_loop(compiled=True)}
JAX: dict[str, Contender] = {SCAN: peers.jax_scan(), HOISTED_SCAN: peers.jax_scan(hoisted=True)}
TAPES: dict[str, Contender] = {AUTOGRAD: others.hips_autograd, DEZERO: others.dezero}
