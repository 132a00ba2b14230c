"""The LSTMs of 1997, with peepholes and with coupled gates: equations, and what they reduce to."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from nn.numeric import (
    N,
    T,
    assert_is,
    assert_same_function,
    blocks,
    force,
    numbers,
    put,
    sigmoid,
)
from nn.registry import H, I
from tinyseq import nn
from tinyseq.errors import ConfigError


def preactivations(cell: Any, gates: str, x: Any, h: Any) -> dict[str, np.ndarray]:
    """U x + W h + b of every gate."""
    U, W = blocks(cell, "weight_ih", gates), blocks(cell, "weight_hh", gates)
    b, c = blocks(cell, "bias_ih", gates), blocks(cell, "bias_hh", gates)
    return {k: x @ U[k].T + b[k] + h @ W[k].T + c[k] for k in gates}


# -- 1997 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("squash", ["tanh", "1997"])
def test_the_original_lstm_is_its_equations(squash: str):
    cell = nn.OriginalLSTMCell(I, H, squash=squash, seed=0).to(float)

    def step(x: Any, h: Any, c: Any) -> Any:
        a = preactivations(cell, "igo", x, h)
        if squash == "tanh":
            c = c + sigmoid(a["i"]) * np.tanh(a["g"])
            h = sigmoid(a["o"]) * np.tanh(c)
        else:  # the paper's g has the range [-2, 2], its h has [-1, 1]
            c = c + sigmoid(a["i"]) * (4 * sigmoid(a["g"]) - 2)
            h = sigmoid(a["o"]) * (2 * sigmoid(c) - 1)
        return h, h, c

    assert_is(cell, step, I)


def without(values: np.ndarray, gate: int) -> np.ndarray:
    """The rows of all gates but one."""
    return np.concatenate([part for k, part in enumerate(np.split(values, 4)) if k != gate])


def test_the_original_lstm_is_the_lstm_that_never_forgets():
    lstm, original = nn.LSTMCell(I, H, seed=0).to(float), nn.OriginalLSTMCell(I, H).to(float)
    force(lstm, "ifgo", "f", 1000)
    original.load_state_dict({k: without(v, 1) for k, v in lstm.state_dict().items()})
    assert_same_function(lstm, original, I)


def test_the_carousel_keeps_an_error_as_it_is():
    """With the input gate closed dc(T) / dc(0) is 1, to the bit, after a thousand steps."""
    steps = 1000
    cells = nn.OriginalLSTMCell(I, H, seed=0), nn.LSTMCell(I, H, forget_bias=1.0, seed=0)
    gradients = []
    for cell, gates in zip(cells, ("igo", "ifgo"), strict=True):
        force(cell, gates, "i", -1000)
        c = ts.tensor(numbers(1, H).astype("f4"), requires_grad=True)
        state = nn.LSTMState(np.zeros((1, H), "f4"), c)
        _, last = ts.unroll(cell, numbers(steps, 1, I).astype("f4"), state)
        gradients += ts.grad(last.c.sum(), [c])
    np.testing.assert_array_equal(gradients[0], np.ones((1, H)))
    assert gradients[1].max() < 1e-30  # what a forget gate does to it


def test_without_a_forget_gate_a_stream_makes_the_cell_grow():
    """A constant input adds i * g to the cell at every step; a forget gate bounds it."""
    steps, xs = 400, np.ones((400, 1, I))
    cells = nn.OriginalLSTMCell(I, H, seed=0).to(float), nn.LSTMCell(I, H, seed=0).to(float)
    put(cells[0], weight_hh=0)
    put(cells[1], weight_hh=0)
    (_, grown), (_, bounded) = (ts.unroll(cell, xs) for cell in cells)
    a = preactivations(cells[0], "igo", xs[0], np.zeros(H))
    np.testing.assert_allclose(grown.c.data, steps * sigmoid(a["i"]) * np.tanh(a["g"]), rtol=1e-10)
    f = sigmoid(preactivations(cells[1], "ifgo", xs[0], np.zeros(H))["f"])
    assert (abs(bounded.c.data) < 1 / (1 - f)).all()
    assert abs(grown.c.data).max() > 20 > 5 > abs(bounded.c.data).max()


# -- peepholes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("peepholes", ["diagonal", "full"])
def test_peepholes_are_their_equations(peepholes: str):
    cell = nn.PeepholeLSTMCell(I, H, peepholes=peepholes, seed=0).to(float)
    p = {gate: getattr(cell, f"weight_c{gate}").data for gate in "ifo"}

    def peep(gate: str, c: Any) -> Any:
        return p[gate] * c if peepholes == "diagonal" else c @ p[gate].T

    def step(x: Any, h: Any, c: Any) -> Any:
        a = preactivations(cell, "ifgo", x, h)
        i, f = sigmoid(a["i"] + peep("i", c)), sigmoid(a["f"] + peep("f", c))
        c = f * c + i * np.tanh(a["g"])
        h = sigmoid(a["o"] + peep("o", c)) * np.tanh(c)
        return h, h, c

    assert_is(cell, step, I)


@pytest.mark.parametrize("peepholes", ["diagonal", "full"])
def test_without_peepholes_it_is_the_lstm(peepholes: str):
    cell = nn.PeepholeLSTMCell(I, H, peepholes=peepholes, seed=0).to(float)
    lstm = nn.LSTMCell(I, H).to(float)
    own = cell.state_dict()
    lstm.load_state_dict({name: own[name] for name in lstm.state_dict()})
    put(cell, weight_ci=0, weight_cf=0, weight_co=0)
    assert_same_function(cell, lstm, I)


def test_diagonal_peepholes_are_full_ones_with_diagonal_matrices():
    diagonal = nn.PeepholeLSTMCell(I, H, seed=0).to(float)
    full = nn.PeepholeLSTMCell(I, H, peepholes="full").to(float)
    state = diagonal.state_dict()
    full.load_state_dict({k: np.diag(v) if k[:8] == "weight_c" else v for k, v in state.items()})
    assert_same_function(diagonal, full, I)


def test_the_output_gate_sees_the_cell_of_its_own_step():
    """From a cell of zeros, one step: the output's peephole matters already, the others' do not."""
    cell = nn.PeepholeLSTMCell(I, H, seed=0).to(float)
    y, _ = cell(numbers(N, I), cell.init_state(N))
    i, f, o = ts.grad(y.sum(), [cell.weight_ci, cell.weight_cf, cell.weight_co])
    assert not i.any() and not f.any()
    assert o.all()


# -- coupled gates --------------------------------------------------------------------------------


@pytest.mark.parametrize("learned", ["forget", "input"])
def test_coupled_gates_are_an_lstm_with_tied_ones(learned: str):
    """sigmoid(-a) = 1 - sigmoid(a): the other gate has the same weights with the sign changed."""
    coupled = nn.CoupledLSTMCell(I, H, learned=learned, seed=0).to(float)
    lstm = nn.LSTMCell(I, H).to(float)
    tied = {}
    for name, values in coupled.state_dict().items():
        gate, g, o = np.split(values, 3)
        i, f = (-gate, gate) if learned == "forget" else (gate, -gate)
        tied[name] = np.concatenate([i, f, g, o])
    lstm.load_state_dict(tied)
    assert_same_function(coupled, lstm, I)


def test_which_gate_is_learned_is_a_matter_of_sign():
    forget = nn.CoupledLSTMCell(I, H, seed=0).to(float)
    taken = nn.CoupledLSTMCell(I, H, learned="input").to(float)
    state = forget.state_dict()
    for values in state.values():
        values[:H] *= -1
    taken.load_state_dict(state)
    assert_same_function(forget, taken, I)


def test_a_coupled_cell_is_an_average():
    """What is taken up is what is forgotten: from within [-1, 1] the cell never leaves it."""
    cell = nn.CoupledLSTMCell(I, H, seed=0).to(float)
    _, state = ts.unroll(cell, 100 * numbers(50, N, I))
    assert 0.5 < abs(state.c.data).max() <= 1


# -- biases and mistakes --------------------------------------------------------------------------


def test_a_forget_bias_is_put_into_one_of_the_two_biases():
    for cell, gate, value in (
        (nn.PeepholeLSTMCell(I, H, forget_bias=1.5, seed=0), 1, 1.5),
        (nn.CoupledLSTMCell(I, H, forget_bias=1.5, seed=0), 0, 1.5),
        (nn.CoupledLSTMCell(I, H, learned="input", forget_bias=1.5, seed=0), 0, -1.5),
        (nn.OdysseyLSTMCell(I, H, "V", forget_bias=1.5, seed=0), 1, 1.5),
        (nn.OdysseyLSTMCell(I, H, "NIG", forget_bias=1.5, seed=0), 0, 1.5),
        (nn.OdysseyLSTMCell(I, H, "CIFG", forget_bias=1.5, seed=0), 0, -1.5),
    ):
        rows = slice(gate * H, (gate + 1) * H)
        np.testing.assert_array_equal(cell.bias_ih.data[rows], np.full(H, value))
        assert not cell.bias_hh.data[rows].any()
        assert cell.bias_hh.data[: gate * H].all() and cell.bias_hh.data[(gate + 1) * H :].all()


def test_a_coupled_forget_bias_forgets_as_much_as_the_usual_one():
    """A step without input from c = 1: c' is sigmoid(bias), whichever gate is learned."""
    for learned in ("forget", "input"):
        cell = nn.CoupledLSTMCell(I, H, learned=learned, forget_bias=2.0).to(float)
        put(cell, weight_ih=0, weight_hh=0)
        force(cell, "ago", "g", 0)
        _, state = cell(np.zeros((1, I)), nn.LSTMState(np.zeros((1, H)), np.ones((1, H))))
        np.testing.assert_allclose(state.c.data, sigmoid(2.0), rtol=1e-12)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.OriginalLSTMCell(I, 0), "sizes are positive"),
        (lambda: nn.OriginalLSTMCell(I, H, squash="relu"), "'tanh' or '1997'"),
        (lambda: nn.PeepholeLSTMCell(I, H, peepholes="half"), "'diagonal' or 'full'"),
        (lambda: nn.PeepholeLSTMCell(I, H, bias=False, forget_bias=1.0), "without biases"),
        (lambda: nn.CoupledLSTMCell(I, H, learned="output"), "'forget' or 'input'"),
        (lambda: nn.OdysseyLSTMCell(I, H, "NAF"), "NIAF, NOAF"),
        (lambda: nn.OdysseyLSTMCell(I, H, "NFG", forget_bias=1.0), "without a forget gate"),
        (lambda: nn.OdysseyLSTMCell(I, -1), "sizes are positive"),
    ],
)
def test_what_no_lstm_is_made_of(make: Any, text: str):
    with pytest.raises(ConfigError, match=text):
        make()


# -- the search-space study -----------------------------------------------------------------------


def odyssey(variant: str) -> Any:
    return nn.OdysseyLSTMCell(I, H, variant, seed=0).to(float)


def vanilla_from(cell: Any) -> Any:
    """A vanilla cell with the parameters of a variant, and of its own where that has none."""
    vanilla = nn.OdysseyLSTMCell(I, H, seed=1).to(float)
    state = vanilla.state_dict()
    for name, values in cell.state_dict().items():
        if values.shape == state[name].shape:
            state[name] = values
        else:
            parts = blocks(vanilla, name, "ifgo") | blocks(cell, name, cell.gates)
            state[name] = np.concatenate([parts[gate] for gate in "ifgo"])
    vanilla.load_state_dict(state)
    return vanilla


def test_vanilla_has_peepholes_and_without_them_is_the_lstm():
    vanilla, peephole = odyssey("V"), nn.PeepholeLSTMCell(I, H).to(float)
    peephole.load_state_dict(vanilla.state_dict())
    assert_same_function(vanilla, peephole, I)
    bare, lstm = odyssey("NP"), nn.LSTMCell(I, H).to(float)
    lstm.load_state_dict(bare.state_dict())
    assert_same_function(bare, lstm, I)


@pytest.mark.parametrize("variant, gate", [("NIG", "i"), ("NFG", "f"), ("NOG", "o")])
def test_without_a_gate_it_is_vanilla_with_that_gate_wide_open(variant: str, gate: str):
    cell = odyssey(variant)
    assert gate not in cell.gates and not hasattr(cell, f"weight_c{gate}")
    vanilla = vanilla_from(cell)
    force(vanilla, "ifgo", gate, 1000)
    assert_same_function(cell, vanilla, I)


def test_without_peepholes_it_is_vanilla_with_none():
    cell = odyssey("NP")
    assert not [name for name in cell.state_dict() if name.startswith("weight_c")]
    vanilla = vanilla_from(cell)
    put(vanilla, weight_ci=0, weight_cf=0, weight_co=0)
    assert_same_function(cell, vanilla, I)


def test_coupled_it_is_vanilla_with_the_gates_tied():
    cell = odyssey("CIFG")
    vanilla = vanilla_from(cell)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        parts = blocks(vanilla, name, "ifgo")
        parts["f"] = -parts["i"]
        put(vanilla, **{name: np.concatenate(list(parts.values()))})
    put(vanilla, weight_cf=-vanilla.weight_ci.data)
    assert_same_function(cell, vanilla, I)


@pytest.mark.parametrize("variant", ["V", "NIAF", "NOAF", "FGR"])
def test_activations_and_gate_recurrence_are_their_equations(variant: str):
    cell = odyssey(variant)
    p = {gate: getattr(cell, f"weight_c{gate}").data for gate in "ifo"}
    before = ("i", "f", "o")

    def step(x: Any, h: Any, c: Any, *gates: Any) -> Any:
        a = preactivations(cell, "ifgo", x, h)
        if variant == "FGR":  # R[to][from], nine matrices
            R = [np.split(row, 3, axis=1) for row in np.split(cell.weight_gates.data, 3)]
            for to, matrices in zip(before, R, strict=True):
                for matrix, old in zip(matrices, gates, strict=True):
                    a[to] = a[to] + old @ matrix.T
        i, f = sigmoid(a["i"] + p["i"] * c), sigmoid(a["f"] + p["f"] * c)
        c = f * c + i * (a["g"] if variant == "NIAF" else np.tanh(a["g"]))
        o = sigmoid(a["o"] + p["o"] * c)
        h = o * (c if variant == "NOAF" else np.tanh(c))
        return (h, h, c, i, f, o) if variant == "FGR" else (h, h, c)

    assert_is(cell, step, I)


def test_full_gate_recurrence_adds_nine_matrices_and_without_them_is_vanilla():
    cell, vanilla = odyssey("FGR"), odyssey("V")
    extra = set(cell.state_dict()) - set(vanilla.state_dict())
    assert extra == {"weight_gates"} and cell.weight_gates.size == 9 * H * H
    vanilla.load_state_dict({k: v for k, v in cell.state_dict().items() if k not in extra})
    put(cell, weight_gates=0)
    assert_same_function(cell, vanilla, I)


@pytest.mark.parametrize("variant", ["NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG"])
def test_a_variant_is_not_vanilla(variant: str):
    """The other half of the tests above: an element that is not removed makes a difference."""
    cell = odyssey(variant)
    xs = numbers(T, N, I)
    found, expected = (ts.unroll(c, xs)[0].data for c in (cell, vanilla_from(cell)))
    assert abs(found - expected).max() > 1e-3
