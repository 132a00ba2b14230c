"""Parameters: assignment, freezing, and what graphs from before it give."""

from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import (
    BackendError,
    DTypeError,
    GraphError,
    ShapeError,
)


def parameter(*shape: int, seed: int = 0) -> nn.Parameter:
    return nn.Parameter(np.random.default_rng(seed).normal(size=shape))


def test_a_parameter_is_read_only_but_for_assign():
    p = parameter(3)
    with pytest.raises(ValueError, match="read-only"):
        p.data[0] = 1
    with pytest.raises(GraphError, match="assign"):
        p[0] = 1
    p.assign([1, 2, 3])
    np.testing.assert_array_equal(p.data, [1, 2, 3])
    with pytest.raises(ValueError, match="read-only"):
        p.data += 1


def test_a_parameter_keeps_its_own_copy():
    values = np.zeros(3)
    p = nn.Parameter(values)
    values[0] = 1
    assert not p.data.any()
    p.assign(values)
    values[1] = 1
    np.testing.assert_array_equal(p.data, [1, 0, 0])


def test_assign_keeps_dtype_gradient_name_letter_and_label():
    net = nn.Linear(2, 3)
    w = ts.label(net.weight, "w")
    net(np.ones((1, 2), "f4")).sum().backward()
    w.assign(np.ones((3, 2)))
    assert (w.dtype, w.name, w.symbol, w.label) == (np.float32, "weight", "V", "w")
    assert w.grad is not None and w.requires_grad


@pytest.mark.parametrize(
    "values, error",
    [
        (np.ones(4), ShapeError),
        (np.ones((3, 1)), ShapeError),
        (1.0, ShapeError),
        (np.ones(3) * 1j, DTypeError),
        (np.array(["a", "b", "c"]), DTypeError),
        (None, DTypeError),
    ],
)
def test_assign_refuses_what_does_not_fit_by_name(values: Any, error: Any):
    net = nn.Module()
    net.p = parameter(3)
    with pytest.raises(error, match="assign to p" if values is not None else "None"):
        net.p.assign(values)


def test_assign_does_not_mix_array_libraries(monkeypatch: pytest.MonkeyPatch):
    cupy = strict_cupy.install(monkeypatch)
    p = parameter(3)
    with pytest.raises(BackendError):
        p.assign(cupy.ones(3))
    p.move(cupy.asarray(p.data))
    with pytest.raises(BackendError):
        p.assign(np.ones(3))


def test_a_graph_from_before_an_update_is_refused_by_name():
    net = nn.Module()
    net.layer = nn.Linear(2, 1)
    x = ts.tensor(np.ones((1, 2), "f4"), requires_grad=True)
    loss = net.layer(x).sum()
    net.layer.weight.assign(np.zeros((1, 2)))
    with pytest.raises(GraphError, match=r"layer\.weight was changed"):
        loss.backward()
    with pytest.raises(GraphError, match=r"layer\.weight was changed"):
        ts.grad(loss, x)
    assert net.layer.weight.grad is None


def test_a_graph_that_does_not_use_the_parameter_is_not_stale():
    first, second = parameter(2), parameter(2)
    loss = (first * first).sum()
    second.assign(np.zeros(2))
    loss.backward()
    np.testing.assert_allclose(first.grad, 2 * first.data)


def test_a_graph_of_a_frozen_parameter_keeps_the_values_of_its_time():
    """A frozen leaf is not walked to, so nobody would notice that it had changed."""
    layer = nn.Linear(2, 1)
    layer.weight.requires_grad_(False)
    x = ts.tensor(np.ones((1, 2), "f4"), requires_grad=True)
    loss, before = layer(x).sum(), layer.weight.data.copy()
    layer.weight.assign(np.full((1, 2), 7.0))
    np.testing.assert_array_equal(ts.grad(loss, x), before)


def test_a_detached_parameter_keeps_the_values_of_its_time():
    p, x = parameter(2), ts.tensor(np.ones(2), requires_grad=True)
    before = p.data.copy()
    loss = (x * p.detach()).sum()
    p.assign(np.full(2, 7.0))
    np.testing.assert_array_equal(ts.grad(loss, x), before)


def test_freezing_and_thawing():
    layer = nn.Linear(2, 1)
    x = np.ones((1, 2), "f4")
    layer(x).sum().backward()
    grad = layer.weight.grad
    assert layer.weight.requires_grad_(True) is layer.weight
    assert layer.weight.grad is grad  # nothing changed
    layer.weight.requires_grad_(False)
    assert not layer.weight.requires_grad and layer.weight.grad is None
    layer.zero_grad()
    layer(x).sum().backward()
    assert layer.weight.grad is None and layer.bias.grad is not None
    layer.weight.requires_grad_()
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert (layer.weight.name, layer.weight.symbol) == ("weight", "V")


def test_zero_grad():
    layer = nn.Linear(2, 1)
    layer(np.ones((1, 2), "f4")).sum().backward()
    layer.zero_grad()
    assert all(p.grad is None for p in layer.parameters())


@pytest.mark.parametrize("values", [[1, 2], [True], np.ones(2, int)])
def test_a_parameter_is_floating_point(values: Any):
    with pytest.raises(DTypeError, match="floating point"):
        nn.Parameter(values)


def test_parameters_can_be_members_of_sets_and_keys():
    p, q = parameter(2), parameter(2)
    assert len({p, q, p}) == 2
