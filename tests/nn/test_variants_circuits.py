"""The circuits of the cells, folded from a run: what they keep, how long, through which weights.

A picture is evidence of what ran, so these are tests of the equations as well.
"""

import numpy as np
import pytest

from nn.registry import Entry, case
from nn.registry_variants import VARIANTS
from tinyseq import draw, nn, structure

# Wires through a delay: (from, to, steps, parameters on the way).
Wire = tuple[str, str, int, frozenset[str]]


def wires(entry: Entry) -> tuple[set[str], set[Wire]]:
    """The variables of a cell's circuit, and its wires through delays."""
    c = case(entry, steps=8)
    output, _ = c.cell(c.at(0), c.state)
    model = nn.SequenceModel(c.cell, nn.Linear(output.shape[-1], 2).to(float))
    loss, _ = model.loss(c.inputs, np.zeros((8, 2), int))
    graph = draw.circuit(loss).graph
    label = {v.id: v.label for v in graph.vertices}
    found = {
        (label[e.source], label[e.target], e.delay, frozenset(e.parameters))
        for e in graph.edges
        if e.delay
    }
    return set(label.values()), found


def wire(text: str) -> Wire:
    """From "h h 1 W"."""
    source, target, steps, *parameters = text.split()
    return source, target, int(steps), frozenset(parameters)


EXPECTED = {
    "original lstm": "c c 1, h c 1 W, h h 1 W",
    "peephole": "c c 1 p_1 p_2, h c 1 W, h h 1 W",
    "coupled forget": "c c 1, h c 1 W, h h 1 W",
    "odyssey NOG": "c c 1 p_1 p_2, h c 1 W",
    "mgu": "h h 1 W",
    "mut1": "h h 1 W",
    "scrn": "s s 1, h h 1 R",
    "leaky learned": "h h 1 W a",
    "time skip": "h h 1 W, h h 3 W3",
    "time skip alone": "h h 2 W2",
    "clockwork": "h h 1 W",
    "deep transition": "h z1 1 W1",
    "deep transition with skip": "h z1 1 W1, h h 1 S",
    "depth gated without bias": (
        "c1 c1 1 p_1 p_2, h1 c1 1 W_1, h1 h1 1 W_1, c2 c2 1 p_4 p_5 w_1, h2 c2 1 W_2, h2 h2 1 W_2"
    ),
    # every gate reads every gate of the step before: nine wires R
    "odyssey FGR": (
        "i i 1 R, f i 1 R, q i 1 R, i f 1 R, f f 1 R, q f 1 R, i q 1 R, f q 1 R, q q 1 R, "
        "c i 1 p_i, c f 1 p_f, c c 1, h i 1 W, h f 1 W, h q 1 W, h c 1 W"
    ),
}


@pytest.mark.parametrize("entry", VARIANTS, ids=lambda entry: entry.name)
def test_every_cell_folds_into_a_circuit(entry: Entry):
    variables, found = wires(entry)
    names = structure.names(entry.make(0).init_state(1), "h")
    unread = {name for name in names if name.startswith(("past", "clock"))}
    assert variables >= set(names) - unread
    if entry.name in EXPECTED:
        assert found == {wire(text) for text in EXPECTED[entry.name].split(", ")}
    assert found


def test_the_expected_circuits_are_of_cells_that_there_are():
    assert set(EXPECTED) <= {entry.name for entry in VARIANTS}
