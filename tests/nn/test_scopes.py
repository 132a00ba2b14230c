"""Where a node was made: module paths in messages and graphs, and what is freed."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, ops
from tinyseq.errors import (
    ShapeError,
)


def test_errors_name_the_path_of_the_module_and_the_step():
    class Language(nn.Module):
        def __init__(self) -> None:
            self.rnn = nn.RNN(3, 4, num_layers=2)
            self.readout = nn.Linear(5, 2)

        def __call__(self, x: Any) -> Any:
            ys, _ = self.rnn(x)
            return self.readout(ys)

    class Program(nn.Module):
        def __init__(self) -> None:
            self.lm = Language()

        def __call__(self, x: Any) -> Any:
            return self.lm(x)

    with pytest.raises(ShapeError, match=r"linear in Program\.lm\.readout: x has shape \(6, 1, 4"):
        Program()(np.zeros((6, 1, 3), "f4"))
    program = Program()
    program.lm.rnn.cells[1].weight_ih = nn.Parameter(np.zeros((4, 9), "f4"))
    with pytest.raises(ShapeError, match=r"linear in Program\.lm\.rnn\.layer1\.\S* at step 1: x"):
        program(np.zeros((6, 1, 3), "f4"))
    with pytest.raises(ShapeError, match=r"in Program\.lm\.rnn of shape \(6, 1, 2\); wanted"):
        Program()(np.zeros((6, 1, 2), "f4"))


def test_a_step_that_fails_later_is_named():
    class Growing(nn.Cell):
        hidden_size = 2

        def __call__(self, x: Any, h: Any) -> tuple[Any, Any]:
            wrong = np.ones((2, 3 if x.data[0, 0] == 2 else 2))
            h = ops.linear(h + x, wrong)
            return h, h

    xs = np.arange(4.0)[:, None, None] * np.ones((4, 1, 2))
    with pytest.raises(ShapeError, match="linear in Growing at step 3"):
        ts.unroll(Growing(), xs)


def test_a_module_called_through_super_has_one_scope():
    class Plain(nn.Module):
        def __call__(self, x: Any) -> Any:
            return ops.linear(x, np.ones((1, 2)))

    class More(Plain):
        def __call__(self, x: Any) -> Any:
            return super().__call__(x)

    with pytest.raises(ShapeError, match="linear in More: x"):
        More()(np.ones((1, 3)))


def test_the_scope_is_left_when_a_module_or_a_step_fails():
    layer = nn.RNN(3, 4, num_layers=2, dropout=0.5)
    for wrong in (np.zeros((6, 1, 2)), np.zeros((6, 1, 3))):
        state = np.zeros((2, 2, 4)) if wrong.shape[-1] == 3 else None
        with pytest.raises(ShapeError):
            layer(wrong, state)
    with pytest.raises(ShapeError, match="^linear: x"):
        ops.linear(np.ones((1, 3)), np.ones((1, 2)))


def test_nodes_know_their_module_and_step():
    net = nn.Module()
    net.rnn = nn.RNN(3, 4, seed=0)
    ys, _ = net.rnn(np.zeros((2, 1, 3), "f4"))
    last = ys.node.parents[1]
    assert str(last.scope).endswith("at step 2") and str(last.scope).startswith("rnn.layer0")


def test_a_module_and_its_graphs_go_when_the_last_handle_goes():
    layer = nn.LSTM(3, 4)
    ys = layer(np.zeros((5, 1, 3), "f4"))[0]
    gone = [weakref.ref(layer), weakref.ref(layer.cells[0].weight_hh), weakref.ref(ys)]
    gc.disable()  # without the collector of cycles: there are none
    try:
        del layer, ys
        assert [ref() for ref in gone] == [None, None, None]
    finally:
        gc.enable()
