"""Speed against other libraries, measured fairly: what ``tinyseq bench`` runs.

    race = compete(lstm("a"), {"tinyseq": ours.compiled(), "torch.nn": peers.torch_nn}, seconds=4)
    print(race.spread("tinyseq"), race.ratio("tinyseq", "torch.nn"))

A ``Workload`` is a cell, its sizes and its numbers. A contender is a function that takes a workload
and gives back ``run()``: one forward and backward pass, which returns the gradients by all weights.
"""

from tinyseq.bench.race import Race, Run, compete
from tinyseq.bench.short import short_races, short_table, versions
from tinyseq.bench.workload import CELLS, Workload, at_a, lstm

__all__ = [
    "CELLS",
    "Race",
    "Run",
    "Workload",
    "at_a",
    "compete",
    "lstm",
    "short_races",
    "short_table",
    "versions",
]
