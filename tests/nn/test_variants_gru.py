"""MGU and MUT1 to MUT3: direct transcriptions in NumPy, and what they reduce to."""

from typing import Any

import numpy as np
import pytest

from nn.numeric import N, assert_is, assert_same_function, blocks, numbers, sigmoid
from nn.registry import H, I
from tinyseq import nn
from tinyseq.errors import ConfigError


def test_the_minimal_gated_unit_is_its_equations():
    cell = nn.MGUCell(I, H, seed=0).to(float)
    U, W = blocks(cell, "weight_ih", "fn"), blocks(cell, "weight_hh", "fn")
    b, c = blocks(cell, "bias_ih", "fn"), blocks(cell, "bias_hh", "fn")

    def step(x: Any, h: Any) -> Any:
        f = sigmoid(x @ U["f"].T + b["f"] + h @ W["f"].T + c["f"])
        n = np.tanh(x @ U["n"].T + b["n"] + (f * h) @ W["n"].T + c["n"])
        h = (1 - f) * h + f * n
        return h, h

    assert_is(cell, step, I)


def test_the_minimal_gated_unit_is_the_gru_whose_gates_are_one():
    mgu = nn.MGUCell(I, H, seed=0).to(float)
    gru = nn.GRUCell(I, H, reset="before", update="new").to(float)
    tied = {}
    for name, values in mgu.state_dict().items():
        f, n = np.split(values, 2)
        tied[name] = np.concatenate([f, f, n])
    gru.load_state_dict(tied)
    assert_same_function(mgu, gru, I)


def mut_step(kind: int, cell: Any, project: bool) -> Any:
    """The equations of Jozefowicz et al. 2015 for the step from h(t) to h(t+1).

    MUT1: z = sigm(W_xz x + b_z)
          r = sigm(W_xr x + W_hr h + b_r)
          h' = tanh(W_hh (r*h) + tanh(x) + b_h) * z + h * (1 - z)
    MUT2: z = sigm(W_xz x + W_hz h + b_z)
          r = sigm(x + W_hr h + b_r)
          h' = tanh(W_hh (r*h) + W_xh x + b_h) * z + h * (1 - z)
    MUT3: z = sigm(W_xz x + W_hz tanh(h) + b_z)
          r = sigm(W_xr x + W_hr h + b_r)
          h' = tanh(W_hh (r*h) + W_xh x + b_h) * z + h * (1 - z)
    """
    from_x = {1: "rzn" if project else "rz", 2: "rzn" if project else "zn", 3: "rzn"}[kind]
    from_h = {1: "rn", 2: "rzn", 3: "rzn"}[kind]
    W_x, b_x = blocks(cell, "weight_ih", from_x), blocks(cell, "bias_ih", from_x)
    W_h, b_h = blocks(cell, "weight_hh", from_h), blocks(cell, "bias_hh", from_h)

    def step(x: Any, h: Any) -> Any:
        def see(gate: str) -> Any:  # what x brings; x itself where there is no matrix for it
            return x @ W_x[gate].T + b_x[gate] if gate in W_x else x

        r = sigmoid(see("r") + h @ W_h["r"].T + b_h["r"])
        if kind == 1:
            z = sigmoid(see("z"))
            new = np.tanh((r * h) @ W_h["n"].T + np.tanh(see("n")) + b_h["n"])
        else:
            seen = h if kind == 2 else np.tanh(h)
            z = sigmoid(see("z") + seen @ W_h["z"].T + b_h["z"])
            new = np.tanh((r * h) @ W_h["n"].T + see("n") + b_h["n"])
        h = new * z + h * (1 - z)
        return h, h

    return step


@pytest.mark.parametrize("project", [True, False])
@pytest.mark.parametrize("kind, make", [(1, nn.MUT1Cell), (2, nn.MUT2Cell)])
def test_mut1_and_mut2_are_their_equations(kind: int, make: Any, project: bool):
    """Without projection, as in the paper, the input has the size of the hidden units."""
    cell = make(I if project else H, H, project_input=project, seed=0).to(float)
    assert_is(cell, mut_step(kind, cell, project), I if project else H)


def test_mut3_is_its_equations():
    cell = nn.MUT3Cell(I, H, seed=0).to(float)
    assert_is(cell, mut_step(3, cell, True), I)


def test_a_projection_by_the_identity_is_none():
    for make, block in ((nn.MUT1Cell, 2), (nn.MUT2Cell, 0)):
        plain = make(H, H, project_input=False, seed=0).to(float)
        projected = make(H, H).to(float)
        state = plain.state_dict()
        for name, extra in (("weight_ih", np.eye(H)), ("bias_ih", np.zeros(H))):
            state[name] = np.insert(state[name], block * H, extra, axis=0)
        projected.load_state_dict(state)
        assert_same_function(plain, projected, H)


def test_mut3_is_the_gru_but_for_a_tanh():
    """tanh(h) is h - h^3 / 3 ...: what sets MUT3 apart from the GRU is of third order in h."""
    mut = nn.MUT3Cell(I, H, seed=0).to(float)
    gru = nn.GRUCell(I, H, reset="before", update="new").to(float)
    gru.load_state_dict(mut.state_dict())
    x, h = numbers(N, I), numbers(N, H, seed=1)

    def difference(scale: float) -> float:
        return abs(mut(x, scale * h)[0].data - gru(x, scale * h)[0].data).max()

    assert difference(1.0) > 1e-2
    assert 950 < difference(1e-2) / difference(1e-3) < 1050
    assert difference(0.0) == 0


def test_without_a_projection_the_sizes_have_to_agree():
    for make in (nn.MUT1Cell, nn.MUT2Cell):
        with pytest.raises(ConfigError, match="input_size 3 would have to be hidden_size 4"):
            make(3, 4, project_input=False)
    for make in (nn.MUT1Cell, nn.MUT2Cell, nn.MUT3Cell, nn.MGUCell):
        with pytest.raises(ConfigError, match="positive"):
            make(0, 4)
