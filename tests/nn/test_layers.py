"""Dropout, Linear, Embedding, and the recurrent layers given what they should refuse."""

from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import (
    ConfigError,
    DTypeError,
    ShapeError,
)


def test_dropout_keeps_the_mean_and_is_off_in_evaluation(xp: Any):
    layer = nn.Dropout(0.3, seed=0)
    x = xp.ones((100, 200), dtype="f4")
    host = strict_cupy.to_host(layer(x))
    assert host.dtype == np.float32
    assert set(np.unique(host)) == {0, np.float32(1 / 0.7)}
    assert abs((host == 0).mean() - 0.3) < 4 * (0.21 / host.size) ** 0.5
    layer.eval()
    assert layer(x) is x
    for wrong in (-0.1, 1.0, 1.5):
        with pytest.raises(ConfigError, match="Dropout"):
            nn.Dropout(wrong)


def test_the_gradient_of_dropout_is_its_mask():
    layer = nn.Dropout(0.5, seed=0)
    x = ts.tensor(np.ones(50), requires_grad=True)
    y = layer(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)


def test_manual_seed_reaches_what_was_made_before():
    layer = nn.Dropout(0.5)
    x = np.ones(100)
    ts.manual_seed(1)
    first = layer(x)
    ts.manual_seed(1)
    np.testing.assert_array_equal(layer(x), first)
    ts.manual_seed(2)
    assert (layer(x) != first).any()
    ts.manual_seed(1)
    np.testing.assert_array_equal(nn.Linear(3, 3).weight.data, _seeded(1).weight.data)


def _seeded(seed: int) -> nn.Linear:
    ts.manual_seed(seed)
    return nn.Linear(3, 3)


def test_linear_and_embedding():
    layer = nn.Linear(3, 2, seed=0)
    x = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("f4")
    np.testing.assert_allclose(
        layer(x).data, x @ layer.weight.data.T + layer.bias.data, rtol=1e-5, atol=1e-6
    )
    assert nn.Linear(3, 2, bias=False).bias is None
    table = nn.Embedding(7, 3, seed=0)
    ids = np.array([[1, 1], [6, 0]])
    np.testing.assert_array_equal(table(ids).data, table.weight.data[ids])
    table(ids).sum().backward()
    np.testing.assert_array_equal(table.weight.grad[:, 0], [1, 2, 0, 0, 0, 0, 1])
    for wrong in ((0, 2), (2, 0), (-1, 2)):
        with pytest.raises(ConfigError):
            nn.Linear(*wrong)
        with pytest.raises(ConfigError):
            nn.Embedding(*wrong)


@pytest.mark.parametrize("bad", [np.array([7]), np.array([-8]), np.array([1.0])])
def test_an_embedding_refuses_what_is_no_token(bad: Any):
    with pytest.raises((ShapeError, DTypeError), match="in Embedding"):
        nn.Embedding(7, 3)(bad)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize(
    "x", [np.zeros((5, 2, 4)), np.zeros((5, 4)), np.zeros(5), np.zeros((1, 5, 2, 3)), [[1.0, 2.0]]]
)
def test_layers_refuse_inputs_of_another_shape(kind: Any, x: Any):
    with pytest.raises(ShapeError, match=f"in {kind.__name__} of shape .* wanted .* 3"):
        kind(3, 4)(x)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_layers_refuse_states_that_do_not_fit(kind: Any):
    x = np.zeros((5, 2, 3), "f4")
    layer = kind(3, 4, num_layers=2)
    right = np.zeros((2, 2, 4), "f4")
    pair = (right, right)
    with pytest.raises(TypeError, match=r"initial state in \w+ is"):
        layer(x, right if kind is nn.LSTM else pair)
    with pytest.raises(TypeError, match=r"initial state in \w+ is"):
        layer(x, (right, right, right))
    for shape in ((1, 2, 4), (2, 1, 4), (2, 2, 3), (2, 4)):
        wrong = np.zeros(shape, "f4")
        with pytest.raises(ShapeError, match=r"initial state in \w+ of shape .* wanted \(2, 2, 4"):
            layer(x, (wrong, wrong) if kind is nn.LSTM else wrong)


def test_layers_refuse_lengths_without_a_batch_and_wrong_settings():
    layer = nn.LSTM(3, 4)
    with pytest.raises(ValueError, match="lengths go with a batch"):
        layer(np.zeros((5, 3), "f4"), lengths=[3])
    with pytest.raises(ValueError, match="0 to 5"):
        layer(np.zeros((5, 2, 3), "f4"), lengths=[3, 6])
    with pytest.raises(ConfigError, match="num_layers"):
        nn.GRU(3, 4, num_layers=0)


def test_a_layer_of_any_cell():
    """``Recurrent`` is not only for the three that PyTorch has."""
    layer = nn.Recurrent(
        lambda size, rng: nn.GRUCell(size, 4, reset="before", seed=rng), 3, 4, 2, bidirectional=True
    )
    y, h = layer(np.zeros((5, 2, 3), "f4"))
    assert y.shape == (5, 2, 8) and h.shape == (4, 2, 4)
    again, _ = layer(np.zeros((5, 2, 3), "f4"), h)
    assert again.shape == y.shape
