"""The schedule of a compiled loop, drawn on the circuit of the same step."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from nn.checks import every_cell
from nn.registry import Entry, case
from tinyseq import draw, nn, ops, structure
from tinyseq.autograd.engine import reachable
from tinyseq.draw.extract import extract
from tinyseq.draw.fold import Circuit, fold
from tinyseq.draw.schedule import LOOKS, places_of
from tinyseq.errors import DrawError

XS = np.random.default_rng(0).normal(size=(5, 2, 3))


def scheduled(cell: Any, **settings: Any) -> Any:
    """The circuit of a run of a cell, with the schedule of its compiled form."""
    fast = ts.compile(cell)
    ts.unroll(fast, XS)
    return draw.circuit(ts.unroll(cell, XS)[0], detail="ops", schedule=fast.schedule, **settings)


def wires(picture: Any) -> dict[tuple[str, str], str | None]:
    """The place of every product, by its letters and what they are multiplied with."""
    return {(e.parameters[0], e.source): e.place for e in picture.graph.edges if e.parameters}


def test_an_lstm_reads_its_inputs_before_the_loop():
    picture = scheduled(nn.LSTMCell(3, 4).to(np.float64))
    assert wires(picture) == {("U", "x"): "before", ("W", "h"): "loop"}
    places = {v.id: v.place for v in picture.graph.vertices}
    assert places.pop("x") is None, "it is given"
    assert set(places.values()) == {"loop"}


class Everywhere(nn.Cell):
    """Something for every place."""

    hidden_size = 4

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.U = nn.Parameter(rng.normal(size=(4, 3)), "U")
        self.W = nn.Parameter(rng.normal(size=(4, 4)), "W")
        self.V = nn.Parameter(rng.normal(size=(2, 4)), "V")

    def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
        g = ts.label(ops.sigmoid(ops.linear(x, self.U)), "g")
        h = ops.tanh(g * ops.linear(h, self.W))
        return ops.exp(ops.linear(h, self.V)), h


def test_every_place_has_a_colour_and_a_line_in_the_legend():
    picture = scheduled(Everywhere())
    places = {v.label: v.place for v in picture.graph.vertices}
    assert places == {
        "x": None, "U x": "before", "σ": "before", "g": "before", "W h": "loop", "×": "loop",
        "tanh": "loop", "h": "loop", "V h": "after", "exp": "after", "o": "after",
    }  # fmt: skip
    discs = {disc.vertex.label: disc for disc in picture.scene.discs}
    for label, place in places.items():
        assert discs[label].fill == (LOOKS[place].fill if place else "#ffffff")
    legend = [note.text.plain for note in picture.scene.notes]
    assert [words for words in legend if "loop" in words] == [
        LOOKS[place].words for place in ("before", "loop", "after")
    ]


def test_a_model_with_its_embedding_and_readout():
    model = nn.SequenceModel(
        nn.GRUCell(3, 4, seed=0), nn.Linear(4, 5, seed=1), embed=nn.Embedding(5, 3, seed=2)
    )
    fast, tokens = ts.compile(model), np.random.default_rng(0).integers(5, size=(4, 2))
    fast(tokens)
    loss = model.loss(tokens, tokens)[0]
    picture = draw.circuit(loss, detail="ops", schedule=fast.compiled_step.cell.schedule)
    assert wires(picture)["E", "x"] == "before" and wires(picture)["V", "h"] == "after"
    assert {v.place for v in picture.graph.vertices if v.label == "log softmax"} == {None}


def expected(circuit: Circuit, states: set[int]) -> dict[int, str]:
    """The places, from what leads where in the circuit alone; and which vertices are states."""
    vertices = circuit.vertices
    before: dict[int, set[int]] = {v.id: set() for v in vertices}
    carried = set(states)  # given to a later step, be it read there or not
    late: set[int] = set()  # depends on an earlier step
    given: set[int] = {v.id for v in vertices if v.kind == "input"}
    for v in vertices:
        for entry in v.inputs:
            if entry is not None and entry.delay not in (0, None):
                carried.add(entry.source)
                late.add(v.id)
            elif entry is not None:
                before[v.id].add(entry.source)
    for v in vertices:  # makers come first
        late |= {v.id} if before[v.id] & late else set()
        given |= {v.id} if before[v.id] & given else set()
    needed = set(carried)
    for v in reversed(vertices):
        needed |= before[v.id] if v.id in needed else set()
    return {
        v.id: ("loop" if v.id in needed else "after")
        if v.id in late
        else ("before" if v.id in given else "once")
        for v in vertices
    }


@every_cell
def test_the_places_are_those_that_the_circuit_implies(entry: Entry):
    """Two ways to the same: the compiler's graph of one step, and the folded run of five."""
    c = case(entry, 5, 2)
    fast = ts.compile(c.cell)
    ts.unroll(fast, c.inputs, c.state, length=c.length())
    ys, state = ts.unroll(c.cell, c.inputs, c.state, length=c.length())
    last = [a.node for a in structure.leaves(state)]
    circuit = fold(extract([ys, *structure.leaves(state)]))
    nodes = reachable([ys.node, *last], for_pictures=True)
    final = {nodes.index(node) for node in last}
    states = {v.id for v in circuit.vertices if final & set(v.members)}
    found, implied = places_of(circuit, fast.schedule), expected(circuit, states)
    assert found == {k: implied[k] for k in found}
    inside = {v.id for v in circuit.vertices if v.loop is not None and v.place and v.inputs}
    missing = [circuit.vertices[k] for k in inside - set(found)]
    assert all(v.op in ("split", "unbind") for v in missing), missing


@pytest.mark.parametrize("cell_class", [nn.LSTMCell, nn.GRUCell])
def test_the_legend_shows_what_is_drawn_and_nothing_else(cell_class):
    scene = scheduled(cell_class(3, 4, seed=0).to(np.float64)).scene
    samples = [square.colour for square in scene.squares if square.line]
    assert len(samples) == len(set(samples)) and set(samples) == {d.fill for d in scene.discs}
    arrows = [wire.colour for wire in scene.wires if not wire.edge.source]
    drawn = {wire.colour for wire in scene.wires if wire.edge.place}
    assert len(arrows) == len(set(arrows)) and set(arrows) == drawn


def test_what_does_not_go_together_is_refused():
    lstm, gru = nn.LSTMCell(3, 4).to(np.float64), nn.GRUCell(3, 4).to(np.float64)
    fast = ts.compile(gru)
    ts.unroll(fast, XS)
    ys = ts.unroll(lstm, XS)[0]
    with pytest.raises(DrawError, match="of another step"):
        draw.circuit(ys, detail="ops", schedule=fast.schedule)
    with pytest.raises(DrawError, match="detail='ops'"):
        draw.circuit(ys, schedule=fast.schedule)
    with pytest.raises(DrawError, match="without numbers"):
        draw.circuit(ys, detail="ops", schedule=fast.schedule, numbers={"h": 1.0})
