"""LSTMs of four sizes, one thread."""

from __future__ import annotations

from benchmarks.contenders import (
    COMPILED,
    DEZERO,
    FAST,
    HOISTED,
    INDUCTOR,
    JAX,
    LOOP,
    NN,
    OWN,
    PYTORCH,
    TAPES,
    TORCH_COMPILE,
    UNROLLED,
    VENDOR,
)
from benchmarks.section import Limit, Section
from tinyseq.bench import compete, lstm

SECONDS = {"a": 20, "b": 10, "c": 25, "d": 75}
NUMPY_LIMITS = {"a": (1.2, 1.0), "b": (1.8, 1.2), "c": (0.95, 0.9), "d": (1.08, 1.0)}
NUMBA_LIMITS = {"a": (1.0, 0.85), "b": (0.9, 0.5), "c": (0.85, 0.75), "d": (1.0, 0.9)}
UNROLL_LIMITS = {"a": (1.3, 1.0), "b": (0.55, 0.4)}
LEFT_OUT = {
    ("d", TORCH_COMPILE): "left out: a loop of 512 steps takes minutes to compile",
    ("d", DEZERO): "left out: a pass takes too long",
}


def section(quick: bool) -> Section:
    """A race for each size."""
    # torch.nn comes first: its gradients are those that all others are compared with
    contenders = {**NN, **OWN, **PYTORCH, **HOISTED, **INDUCTOR, **JAX, **TAPES}
    races, limits = [], []
    for size in "ab" if quick else "abcd":
        workload = lstm(size)
        left_out = {name: why for (where, name), why in LEFT_OUT.items() if where == size}
        if quick:
            left_out[TORCH_COMPILE] = "left out of the quick run"
        chosen = {name: c for name, c in contenders.items() if name not in left_out}
        race = compete(workload, chosen, 2 if quick else SECONDS[size])
        race.missing |= left_out
        races.append(race)
        limits.append(Limit(str(workload), COMPILED, VENDOR, *NUMPY_LIMITS[size]))
        limits.append(Limit(str(workload), FAST, VENDOR, *NUMBA_LIMITS[size]))
        if size in UNROLL_LIMITS:
            limits.append(Limit(str(workload), UNROLLED, LOOP, *UNROLL_LIMITS[size]))
    return Section(
        "LSTM, one thread",
        "T steps, a batch of B, I = H. Milliseconds (quartiles), and in bold the ratio to "
        "torch.nn.",
        races,
        VENDOR,
        limits,
    )
