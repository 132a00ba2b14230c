"""Other cells at size a, one thread: those that torch.nn has, and those that nobody has tuned."""

from __future__ import annotations

from benchmarks.contenders import (
    COMPILED,
    FAST,
    HOISTED,
    INDUCTOR,
    JAX,
    LOOP,
    NN,
    OWN,
    PYTORCH,
    SCAN,
    TORCH_COMPILE,
    VENDOR,
)
from benchmarks.section import Limit, Section
from tinyseq.bench import at_a, compete

KNOWN = {"GRU": (0.8, 0.6), "tanh RNN": (0.65, 0.5)}
UNKNOWN = ("peephole LSTM", "GRU, reset before", "MUT1", "phase cell")


def section(quick: bool) -> Section:
    """A race for each cell; the loops in PyTorch are what the gradients are compared with."""
    contenders = {**PYTORCH, **OWN, **HOISTED, **JAX}
    races, limits = [], []
    for cell in (*KNOWN, *UNKNOWN):
        workload = at_a(cell)
        chosen = {**NN, **contenders} if cell in KNOWN else dict(contenders)
        if cell == UNKNOWN[-1] and not quick:
            chosen |= INDUCTOR
        race = compete(workload, chosen, 1 if quick else 10)
        if TORCH_COMPILE not in chosen:
            race.missing[TORCH_COMPILE] = "left out: it takes half a minute to compile each"
        races.append(race)
        for name in (COMPILED, FAST):
            if cell in KNOWN:
                limits.append(Limit(str(workload), name, VENDOR, *KNOWN[cell]))
            else:
                limits += [Limit(str(workload), name, peer, 0.7, 0.5) for peer in (LOOP, SCAN)]
    return Section(
        "Other cells, one thread",
        "The phase cell is no library's: p' = sigmoid(f) * p + tanh(n), put out as sin(p'), with "
        "f and n = U x + W sin(p). Milliseconds (quartiles), and in bold the ratio to PyTorch's "
        "loop over the step.",
        races,
        LOOP,
        limits,
    )
