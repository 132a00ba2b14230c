"""Modules as boxes: which there are, what they read, how deep they open."""

from itertools import combinations

import numpy as np
import pytest

from draw.runs import CASES, H, I, K, N, data, language_model, same, wiring
from draw.test_operations import REGULAR, check_geometry, run_of
from nn.registry import CELLS
from tinyseq import draw, nn, ops
from tinyseq.draw import fold
from tinyseq.draw.modules import modules
from tinyseq.draw.operations_layout import operations_circuit, operations_unrolled
from tinyseq.errors import DrawError
from tinyseq.recurrence import unroll


class Block(nn.Module):
    """Two layers."""

    def __init__(self):
        self.first = nn.Linear(H, H, symbol="P", seed=0)
        self.second = nn.Linear(H, H, symbol="Q", seed=1)

    def __call__(self, x):
        return self.second(ops.tanh(self.first(x)))


class Deep(nn.Cell):
    """A cell of modules: h' = tanh(U x + block(h))."""

    def __init__(self):
        self.hidden_size = H
        self.inner, self.block = nn.Linear(I, H, symbol="U", seed=0), Block()

    def __call__(self, x, h):
        h = ops.tanh(self.inner(x) + self.block(h))
        return h, h


class Model(nn.Module):
    """A cell and a readout."""

    def __init__(self):
        self.cell, self.readout = Deep(), nn.Linear(H, K, symbol="V", seed=1)

    def __call__(self, x, h):
        h, _ = self.cell(x, h)
        return self.readout(h), h


def nested(steps=4):
    return unroll(Model(), data(steps)[0], np.zeros((N, H)))[0]


LOOP = ("h", "P", "Model 1", 1)
OPENED = {
    0: [("x", "U", "Model 1", 0), LOOP, ("Model 1", "", "h", 0), ("Model 1", "", "o", 0)],
    1: [
        ("x", "U", "Model.cell 1", 0),
        ("h", "P", "Model.cell 1", 1),
        ("Model.cell 1", "", "h", 0),
        ("h", "V", "Model.readout 1", 0),
        ("Model.readout 1", "", "o", 0),
    ],
    2: [
        ("x", "U", "Model.cell.inner 1", 0),
        ("h", "P", "Model.cell.block 1", 1),
        ("Model.cell.inner 1", "", "h", 0),
        ("Model.cell.block 1", "", "h", 0),
        ("h", "V", "Model.readout 1", 0),
        ("Model.readout 1", "", "o", 0),
    ],
    None: [
        ("x", "U", "Model.cell.inner 1", 0),
        ("h", "P", "Model.cell.block.first 1", 1),
        ("Model.cell.block.first 1", "Q", "Model.cell.block.second 1", 0),
        ("Model.cell.inner 1", "", "h", 0),
        ("Model.cell.block.second 1", "", "h", 0),
        ("h", "V", "Model.readout 1", 0),
        ("Model.readout 1", "", "o", 0),
    ],
}


@pytest.mark.parametrize("depth", OPENED)
def test_boxes_open_to_a_depth(depth):
    graph = draw.circuit(nested(), detail="modules", depth=depth).graph
    assert sorted(wiring(graph)) == sorted(OPENED[depth])
    assert {v.label for v in graph.vertices if v.kind == "module"} == {
        name.split()[0].rpartition(".")[2] for edge in OPENED[depth] for name in edge if " 1" in
        str(name)
    }  # fmt: skip


@pytest.mark.parametrize(("depth", "titles"), [(0, []), (1, ["Model"]), (2, ["Model", "cell"])])
def test_opened_modules_have_frames_with_titles(depth, titles):
    scene = draw.circuit(nested(), detail="modules", depth=depth).scene
    assert sorted(frame.title.text.plain for frame in scene.frames) == sorted(titles)
    for frame in scene.frames:
        within = [
            d.vertex.scope
            for d in scene.discs
            if frame.left < d.x < frame.right and frame.lower < d.y < frame.upper
        ]
        assert within and all(frame.title.text.plain in scope for scope in within)


@pytest.mark.parametrize("depth", OPENED)
def test_unrolling_the_circuit_gives_the_run(depth):
    graph = draw.unrolled(nested(5), detail="modules", depth=depth).graph
    again = [
        (f"{s}({t - d})", p, f"{target}({t})", d)
        for t in range(1, 6)
        for s, p, target, d in OPENED[depth]
        if t - d >= 1
    ]
    assert sorted(wiring(graph)) == sorted(again)


def test_of_a_language_model():
    graph = draw.circuit(language_model(4), detail="modules").graph
    assert same(
        wiring(graph),
        [
            ("x", "E", "embed 1", 0),
            ("embed 1", "U", "cell 1", 0),
            ("h", "W", "cell 1", 1),
            ("c", "", "cell 1", 1),
            ("cell 1", "", "c", 0),
            ("cell 1", "", "h", 0),
            ("h", "V", "readout 1", 0),
            ("readout 1", "", "o", 0),
            ("o", "", "L", 0),
            ("y", "", "L", 0),
        ],
    )


def test_a_module_called_twice_is_two_boxes():
    class Twice(nn.Cell):
        def __init__(self):
            self.hidden_size = H
            self.inner = nn.Linear(H, H, symbol="W", seed=0)

        def __call__(self, x, h):
            h = ops.tanh(self.inner(ops.tanh(self.inner(h))) + x)
            return h, h

    hs, _ = unroll(Twice(), np.ones((4, N, H)))
    assert sorted(wiring(draw.circuit(hs, detail="modules").graph)) == [
        ("Twice.inner 1", "W", "Twice.inner 2", 0),
        ("Twice.inner 2", "", "h", 0),
        ("h", "W", "Twice.inner 1", 1),
        ("x", "", "h", 0),
    ]


@pytest.mark.parametrize("entry", REGULAR, ids=lambda entry: entry.name)
def test_every_cell_has_one_circuit_whatever_the_steps(entry):
    five, nine = (modules(fold(run_of(entry, steps))) for steps in (5, 9))
    assert set(five.edges) == set(nine.edges) and five.edges
    assert {v.id for v in five.vertices} == {v.id for v in nine.vertices}


@pytest.mark.parametrize("entry", CELLS, ids=lambda entry: entry.name)
def test_pictures_of_every_cell_are_tidy(entry):
    run = run_of(entry, 4)
    check_geometry(operations_unrolled(modules(run)))
    if entry in REGULAR:
        check_geometry(operations_circuit(modules(fold(run))))
        check_geometry(operations_circuit(modules(fold(run), depth=0)))


@pytest.mark.parametrize("entry", CASES, ids=repr)
def test_pictures_of_whole_networks_are_tidy(entry):
    for depth in (None, 0):
        check_geometry(draw.circuit(entry.run(4), detail="modules", depth=depth).scene)
        picture = draw.unrolled(entry.run(20), detail="modules", window=(2, 1), depth=depth)
        check_geometry(picture.scene)


def test_frames_do_not_cut_through_boxes():
    for depth in (1, 2, None):
        scene = draw.unrolled(nested(3), detail="modules", depth=depth).scene
        for frame in scene.frames:
            for d in scene.discs:
                inside = [
                    frame.left <= d.x - d.width / 2 and d.x + d.width / 2 <= frame.right,
                    frame.lower <= d.y - d.height / 2 and d.y + d.height / 2 <= frame.upper,
                ]
                outside = [
                    d.x + d.width / 2 <= frame.left or d.x - d.width / 2 >= frame.right,
                    d.y + d.height / 2 <= frame.lower or d.y - d.height / 2 >= frame.upper,
                ]
                if d.vertex.kind == "module":
                    assert all(inside) or any(outside)
        for a, b in combinations(scene.frames, 2):
            assert (a.left, a.lower) != (b.left, b.lower)


def test_a_depth_without_modules_is_refused():
    for detail, depth in (("ops", 1), ("variables", 0), ("modules", -1)):
        with pytest.raises(DrawError, match="depth"):
            draw.circuit(nested(), detail=detail, depth=depth)
