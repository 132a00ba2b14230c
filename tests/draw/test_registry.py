"""Every cell of the registry is drawn at every level of detail, folded and unrolled."""

import numpy as np
import pytest

from draw.runs import unrolled_again
from nn.registry import CELLS
from tinyseq import draw
from tinyseq.draw import contract, extract, fold
from tinyseq.recurrence import unroll

STEPS = 4


def run(entry, steps=STEPS):
    xs = entry.inputs(np.random.default_rng(0), steps, 2)
    cell = entry.make(0)
    return unroll(cell, xs, cell.init_state(2), length=steps if xs is None else None)[0]


@pytest.mark.parametrize("entry", CELLS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("detail", ["variables", "modules", "ops"])
def test_is_drawn_at_every_level(entry, detail):
    ys = run(entry)
    for view in (draw.circuit, draw.unrolled):
        picture = view(ys, detail=detail)
        ids = [v.id for v in picture.graph.vertices]
        assert len(set(ids)) == len(ids) == len(picture.scene.discs)
        assert len({(d.x, d.y) for d in picture.scene.discs}) == len(ids)
        joined = {end for e in picture.graph.edges for end in (e.source, e.target)}
        assert joined == set(ids)


@pytest.mark.parametrize("entry", CELLS, ids=lambda entry: entry.name)
def test_circuit_and_run_are_one_graph(entry):
    """The same circuit from 4 and 7 steps; unrolled again it is the run."""

    def wiring(graph):
        return [(e.source, ",".join(sorted(e.parameters)), e.target, e.delay) for e in graph.edges]

    short, long = (contract(fold(extract(run(entry, steps)))) for steps in (STEPS, 7))
    assert set(wiring(short)) == set(wiring(long))
    assert set(wiring(contract(extract(run(entry))))) == set(unrolled_again(wiring(short), STEPS))
