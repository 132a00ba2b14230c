"""Deep in a step: depth gates, deep transitions and outputs; and a cell of one's own."""

from collections import deque
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
    by_state,
    filled,
    force,
    numbers,
    put,
    sigmoid,
)
from nn.registry import H, I
from tinyseq import nn, structure
from tinyseq.errors import ConfigError, ShapeError

# -- the depth-gated LSTM -------------------------------------------------------------------------


def depth_gated(layers: int = 3) -> Any:
    return nn.DepthGatedLSTMCell(I, H, layers, seed=0).to(float)


def layer_step(layer: Any, x: Any, h: Any, c: Any, c_below: Any) -> Any:
    """One layer, by the equations of Yao et al. 2015; the lowest has no c_below."""
    p = layer.state_dict()
    U, W = blocks(layer, "weight_ih", "ifgo"), blocks(layer, "weight_hh", "ifgo")
    b = {
        k: v + blocks(layer, "bias_hh", "ifgo")[k]
        for k, v in blocks(layer, "bias_ih", "ifgo").items()
    }
    a = {k: x @ U[k].T + h @ W[k].T + b[k] for k in "ifgo"}
    i, f = sigmoid(a["i"] + p["weight_ci"] * c), sigmoid(a["f"] + p["weight_cf"] * c)
    new = f * c + i * np.tanh(a["g"])
    if c_below is not None:
        d = x @ p["weight_xd"].T + p["bias_d"] + p["weight_cd"] * c + p["weight_ld"] * c_below
        new = new + sigmoid(d) * c_below
    return sigmoid(a["o"] + p["weight_co"] * new) * np.tanh(new), new


def test_the_depth_gated_lstm_is_its_equations():
    cell = depth_gated()

    def step(x: Any, *states: Any) -> Any:
        new, below = [], None
        for k, layer in enumerate(cell.layers):
            x, below = layer_step(layer, x, *states[2 * k : 2 * k + 2], below)
            new += [x, below]
        return x, *new

    assert_is(cell, step, I)


def test_with_its_depth_gates_closed_it_is_a_stack_of_peephole_lstms():
    cell = depth_gated()
    for layer in cell.layers[1:]:
        put(layer, weight_xd=0, weight_cd=0, weight_ld=0, bias_d=-1000)
    stack = nn.Stacked([nn.PeepholeLSTMCell(size, H) for size in (I, H, H)]).to(float)
    for layer, plain in zip(cell.layers, stack.cells, strict=True):
        state = layer.state_dict()
        plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    assert_same_function(cell, stack, I)


def test_one_layer_has_no_depth_gate():
    cell, plain = depth_gated(1), nn.PeepholeLSTMCell(I, H).to(float)
    plain.load_state_dict({k.removeprefix("layers.0."): v for k, v in cell.state_dict().items()})
    xs = numbers(T, N, I)
    np.testing.assert_array_equal(ts.unroll(cell, xs)[0].data, ts.unroll(plain, xs)[0].data)


def test_an_open_depth_gate_hands_the_cell_up_as_it_is():
    """With all other gates of the upper layers closed, c of the top is c of the lowest layer."""
    cell = depth_gated()
    for layer in cell.layers[1:]:
        put(layer, weight_xd=0, weight_cd=0, weight_ld=0, bias_d=1000)
        force(layer, "ifgo", "i", -1000)
        force(layer, "ifgo", "f", -1000)
    c = [ts.tensor(numbers(N, H, seed=k), requires_grad=True) for k in range(3)]
    state = tuple(nn.LSTMState(np.zeros((N, H)), one) for one in c)
    _, last = cell(numbers(N, I), state)
    np.testing.assert_array_equal(last[2].c.data, last[0].c.data)
    top, bottom = (
        ts.grad(last[k].c.sum(), c, allow_unused=True, retain_graph=True) for k in (2, 0)
    )
    np.testing.assert_array_equal(top[0], bottom[0])
    assert not top[1].any() and not top[2].any()  # through closed gates


def test_the_depth_gate_sees_both_cells():
    """From zeros, one step: w_l sees the new cell below, w_c the old one of its own layer."""
    cell = depth_gated(2)
    y, _ = cell(numbers(N, I), cell.init_state(N))
    upper = cell.layers[1]
    old, below = ts.grad(y.sum(), [upper.weight_cd, upper.weight_ld])
    assert not old.any() and below.all()


# -- deep transitions and outputs -----------------------------------------------------------------


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_a_deep_transition_is_its_equations(skip: bool, name: str):
    cell = nn.DeepTransitionCell(I, H, 3, skip, 5, name, seed=0).to(float)
    p = cell.state_dict()
    act = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}[name]

    def step(x: Any, h: Any) -> Any:
        z = act(x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias_ih"])
        z = act(z @ p["layers.0.weight"].T + p["layers.0.bias"])
        a = z @ p["layers.1.weight"].T + p["layers.1.bias"]
        h = act(a + h @ p["weight_skip"].T if skip else a)
        return h, h

    assert_is(cell, step, I)
    assert p["weight_ih"].shape == (5, I) and p["layers.1.weight"].shape == (H, 5)


def test_a_transition_of_depth_one_is_the_elman_cell():
    deep, elman = nn.DeepTransitionCell(I, H, 1, seed=0).to(float), nn.ElmanCell(I, H).to(float)
    elman.load_state_dict(deep.state_dict() | {"bias_hh": np.zeros(H)})
    assert_same_function(deep, elman, I)
    shortcut = nn.DeepTransitionCell(I, H, 3, skip=True, seed=0).to(float)
    shortcut.layers[-1].weight.assign(np.zeros((H, H)))  # all that is left is the skip connection
    bias = shortcut.layers[-1].bias.data
    put(elman, weight_ih=0, weight_hh=shortcut.weight_skip.data, bias_ih=bias)
    assert_same_function(shortcut, elman, I)


def layers_between(target: ts.Tensor, source: ts.Tensor) -> int | None:
    """The fewest nonlinear layers on a way from source to target; None if there is no way."""
    best, left = {target.node: 0}, deque([target.node])
    while left:  # 0-1 breadth first: a tanh costs one, anything else nothing
        node = left.popleft()
        if node is source.node:
            return best[node]
        cost = best[node] + (node.name == "tanh")
        for parent in node.parents:
            if parent is not None and cost < best.get(parent, cost + 1):
                best[parent] = cost
                left.append(parent) if node.name == "tanh" else left.appendleft(parent)
    return None


def through_steps(cell: nn.Cell, steps: int) -> tuple[ts.Tensor, list[ts.Tensor], list[ts.Tensor]]:
    """The output after some steps, the states before them and the inputs of each."""
    start = [ts.tensor(a, requires_grad=True) for a in structure.leaves(cell.init_state(1))]
    state = filled(cell.init_state(1), start)
    inputs = [ts.tensor(numbers(1, I), requires_grad=True) for _ in range(steps)]
    for x in inputs:
        y, state = cell(x, state)
    return y, start, inputs


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_a_skip_connection_makes_a_step_one_layer_long(depth: int):
    """Without it, three steps of a transition of depth k are 3 k layers; with it, they are 3."""
    for skip, layers in ((False, depth), (True, 1)):
        cell = nn.DeepTransitionCell(I, H, depth, skip, seed=0)
        y, (start,), (_, x, _) = through_steps(cell, 3)
        assert layers_between(y, start) == 3 * layers
        assert layers_between(y, x) == depth + layers  # the skip is from hidden to hidden


def test_a_stack_is_long_from_its_input_and_short_within_a_layer():
    """sRNN: k layers from the bottom's past, one from the top's own."""
    cell = nn.Stacked([nn.ElmanCell(size, H, seed=0) for size in (I, H, H)])
    y, start, _ = through_steps(cell, 1)
    assert [layers_between(y, h) for h in start] == [3, 2, 1]


def test_deep_outputs_make_the_way_out_longer_but_not_the_way_through_time():
    for skip, out in ((False, 2), (True, 0)):
        transition = nn.DeepTransitionCell(I, H, 2, skip=True, seed=0)
        cell = nn.DeepOutputCell(transition, nn.MLP((H, 5, 5, 2), skip, seed=0))
        y, (start,), _ = through_steps(cell, 3)
        assert y.shape == (1, 2)
        assert layers_between(y, start) == 3 + out


def test_the_gradient_of_a_deep_transition_without_skip_is_a_longer_product():
    """At h = 0, where the slopes are 1: (W_3 W_2 W_1)^t, and with a skip (W_3 W_2 W_1 + S)^t."""
    for skip in (False, True):
        cell = nn.DeepTransitionCell(0, H, 3, skip, seed=0).to(float)
        put(cell, bias_ih=0)
        for layer in cell.layers:
            put(layer, bias=0)
        W = cell.weight_hh.data
        for layer in cell.layers:
            W = layer.weight.data @ W
        if skip:
            W = W + cell.weight_skip.data
        start = ts.tensor(np.zeros((1, H)))
        J = ts.jacobian(lambda h, c=cell: ts.unroll(c, None, h, length=4)[1], start).reshape(H, H)
        np.testing.assert_allclose(J, np.linalg.matrix_power(W, 4), rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("skip", [False, True])
def test_an_mlp_is_its_equation(skip: bool):
    mlp = nn.MLP((I, 5, 2), skip, "tanh", seed=0).to(float)
    p, x = mlp.state_dict(), numbers(T, N, I)
    z = np.tanh(x @ p["layers.0.weight"].T + p["layers.0.bias"])
    expected = z @ p["layers.1.weight"].T + p["layers.1.bias"]
    if skip:
        expected = expected + x @ p["skip.weight"].T
    np.testing.assert_allclose(mlp(x).data, expected, rtol=1e-12, atol=1e-14)
    relu = nn.MLP((I, 5, 2), nonlinearity="relu", seed=0).to(float)
    z = np.maximum(x @ p["layers.0.weight"].T + p["layers.0.bias"], 0)
    expected = z @ p["layers.1.weight"].T + p["layers.1.bias"]
    np.testing.assert_allclose(relu(x).data, expected, rtol=1e-12, atol=1e-14)


def test_a_deep_output_is_a_deep_readout_of_a_sequence_model():
    cell, mlp = nn.ElmanCell(5, H, seed=0), nn.MLP((H, 5, 2), seed=1)
    embed, xs = nn.MLP((I, 6, 5), seed=2), numbers(T, N, I).astype("f4")
    model = nn.SequenceModel(cell, mlp, embed=embed)  # deep input, deep output
    expected, _ = ts.unroll(nn.DeepOutputCell(cell, mlp), embed(xs).data)
    np.testing.assert_allclose(model(xs)[0].data, expected.data, rtol=1e-6, atol=1e-7)
    y = np.zeros((T, N), int)
    literal, at_once = (model.loss(xs, y, literal=way)[0].item() for way in (True, False))
    assert literal == pytest.approx(at_once, rel=1e-5)


# -- a cell of one's own --------------------------------------------------------------------------


def test_multiplicative_integration_is_its_equation():
    cell = nn.MultiplicativeCell(I, H, seed=0).to(float)
    put(cell, alpha=numbers(H), beta_1=numbers(H, seed=1), beta_2=numbers(H, seed=2))
    p = cell.state_dict()

    def step(x: Any, h: Any) -> Any:
        u, w = x @ p["weight_ih"].T, h @ p["weight_hh"].T
        h = np.tanh(p["alpha"] * u * w + p["beta_1"] * w + p["beta_2"] * u + p["bias"])
        return h, h

    assert_is(cell, step, I)


def test_without_the_product_it_is_the_elman_cell():
    cell, elman = nn.MultiplicativeCell(I, H, seed=0).to(float), nn.ElmanCell(I, H).to(float)
    put(cell, alpha=0)
    put(elman, bias_ih=0, bias_hh=0, weight_ih=cell.weight_ih.data, weight_hh=cell.weight_hh.data)
    assert_same_function(cell, elman, I)


def test_with_the_product_alone_the_input_gates_the_gradient():
    """beta = 0: no input, no way through; dh'/dh = diag(slope) diag(U x) W."""
    cell = nn.MultiplicativeCell(I, H, seed=0).to(float)
    put(cell, beta_1=0, beta_2=0)
    x = numbers(1, 1, I)
    U, W = cell.weight_ih.data, cell.weight_hh.data
    h = numbers(1, H, seed=1)  # where by_state takes the derivative
    u = (x[0] @ U.T)[0]
    slope = 1 - np.tanh(u * (h @ W.T)[0]) ** 2
    np.testing.assert_allclose(by_state(cell, x, 1), (slope * u)[:, None] * W, rtol=1e-12)
    assert not by_state(cell, 0 * x, 1).any()


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.DeepTransitionCell(I, H, 0), "positive"),
        (lambda: nn.DeepTransitionCell(I, H, 2, transition_size=0), "positive"),
        (lambda: nn.DeepTransitionCell(I, H, nonlinearity="gelu"), "'tanh' or 'relu'"),
        (lambda: nn.DepthGatedLSTMCell(I, H, 0), "positive"),
        (lambda: nn.MLP((3,)), "at least"),
        (lambda: nn.MLP((3, 2), nonlinearity="gelu"), "'tanh' or 'relu'"),
        (lambda: nn.MLP((3, 0)), "positive"),
        (lambda: nn.MultiplicativeCell(0, H), "positive"),
    ],
)
def test_what_cannot_be_built(make: Any, text: str):
    with pytest.raises(ConfigError, match=text):
        make()


def test_errors_in_upper_layers_name_the_layer():
    cell = depth_gated()
    state = list(cell.init_state(2))
    state[1] = nn.LSTMState(np.zeros((3, H)), np.zeros((3, H)))
    with pytest.raises(ShapeError, match="layers.1"):
        cell(np.zeros((2, I)), tuple(state))
