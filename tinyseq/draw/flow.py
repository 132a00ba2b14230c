"""flow: the norm of the gradient by every state at every step of a run, for curves and strips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tinyseq.draw.contract import contract
from tinyseq.draw.fold import Circuit
from tinyseq.draw.run import RunGraph
from tinyseq.draw.style import sorted_states
from tinyseq.errors import DrawError

Flow = dict[str, dict[int, float]]


def mean_norms(run: RunGraph, circuit: Circuit) -> dict[str, float]:
    """For each variable of a circuit the norm of its gradient, the mean over the steps.

    Raises:
        DrawError: no variable has a gradient.
    """
    found = {}
    for v in circuit.vertices:
        norms = [run.gradients[k] for k in v.members if k in run.gradients]
        if v.variable is not None and v.kind != "initial" and norms:
            found[v.variable] = sum(norms) / len(norms)
    if not found:
        raise DrawError(
            "gradients=True: none of the labelled variables needs a gradient. Draw from the loss, "
            "with parameters (or inputs) that require one."
        )
    return found


def flow(run: RunGraph, variables: Iterable[str] | None = None) -> Flow:
    """For each variable the norms of its gradient, by step in rising order.

    Args:
        run: extracted with gradients.
        variables: which ones; by default the states, those that a later step reads.

    Raises:
        DrawError: one of them has no gradient at any step.
    """
    norms: dict[str, dict[int, float]] = defaultdict(dict)
    for number, norm in run.gradients.items():
        role, time = run.roles[run.role[number]], run.times[number]
        if isinstance(time, int) and role.variable is not None and role.kind != "initial":
            norms[role.variable][time] = norm
    if variables is None:
        times = sorted({time for loop in run.loops for time in loop.times})[:4]
        some = contract(run, times).vertices
        variables = sorted_states(v.label for v in some if v.kind == "state" and v.label in norms)
    chosen = list(variables)
    missing = [name for name in chosen if name not in norms]
    if missing or not chosen:
        raise DrawError(
            f"gradient_flow: no gradient by {', '.join(missing) or 'any state'} at any step; there "
            f"are gradients by {', '.join(norms) or 'nothing'}"
        )
    return {name: dict(sorted(norms[name].items())) for name in chosen}
