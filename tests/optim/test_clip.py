"""Clipping by joint norm, by array, by element; and gradients that are not finite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strict_cupy import count_syncs, to_host
from tinyseq.autograd.tensor import tensor
from tinyseq.errors import ConfigError, NonFiniteError
from tinyseq.nn import Linear, Parameter
from tinyseq.ops import sigmoid
from tinyseq.optim import SGD, clip_grad_norm, clip_grad_norm_each, clip_grad_value, grad_norm

SHAPES = [(4, 3), (5,), ()]
CLIPS = [clip_grad_norm, clip_grad_norm_each, clip_grad_value]


def with_gradients(gradients, xp=np):
    params = [Parameter(xp.zeros(g.shape, g.dtype)) for g in gradients]
    for parameter, g in zip(params, gradients, strict=True):
        parameter.grad = xp.asarray(g)
    return params


def draw(seed, scale=1.0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [(scale * rng.standard_normal(shape)).astype(dtype) for shape in SHAPES]


def joined(params):
    return np.concatenate([to_host(p.grad).ravel() for p in params])


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-4, 0.1, 1.0, 1e4])
def test_agrees_with_torch(scale, dtype):
    import torch

    def theirs():
        params = [torch.zeros(shape, requires_grad=True) for shape in SHAPES]
        params = [p.detach().to(getattr(torch, dtype.__name__)) for p in params]
        for parameter, g in zip(params, draw(0, scale, dtype), strict=True):
            parameter.grad = torch.tensor(g)
        return params

    # PyTorch adds 1e-6 to the norm before it divides.
    params, reference = with_gradients(draw(0, scale, dtype)), theirs()
    norm = torch.nn.utils.clip_grad_norm_(reference, 1.0)
    assert clip_grad_norm(params, 1.0) == pytest.approx(float(norm), rel=1e-6)
    for p, q in zip(params, reference, strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-5)

    params, reference = with_gradients(draw(0, scale, dtype)), theirs()
    torch.nn.utils.clip_grad_value_(reference, 0.05)
    clip_grad_value(params, 0.05)
    for p, q in zip(params, reference, strict=True):
        assert p.grad.dtype == dtype
        np.testing.assert_array_equal(p.grad, q.grad.numpy())


@given(st.integers(0, 10_000), st.floats(-6, 6), st.floats(0.01, 100))
def test_the_joint_norm_keeps_the_direction(seed, exponent, max_norm):
    params = with_gradients(draw(seed, 10.0**exponent, np.float64))
    before = joined(params)
    norm = clip_grad_norm(params, max_norm)
    after = joined(params)
    assert norm == pytest.approx(np.linalg.norm(before), rel=1e-12)
    assert np.linalg.norm(after) == pytest.approx(min(norm, max_norm), rel=1e-9)
    assert after @ before == pytest.approx(np.linalg.norm(after) * norm, rel=1e-9)  # cos = 1
    if norm <= max_norm:
        assert np.array_equal(before, after)


def test_by_element_and_by_array_change_the_direction():
    g = [np.array([3.0, 0.5]), np.array([4.0])]
    params = with_gradients(g)
    assert clip_grad_value(params, 1.0) == pytest.approx(np.sqrt(25.25))
    assert joined(params).tolist() == [1, 0.5, 1]
    params = with_gradients([*g, np.array([0.1])])
    params.append(Parameter(np.ones(2)))
    norms = clip_grad_norm_each(params, 1.0)
    assert norms == pytest.approx([np.sqrt(9.25), 4, 0.1, 0])
    np.testing.assert_allclose(params[0].grad, g[0] / np.sqrt(9.25))
    assert params[1].grad.tolist() == [1] and params[2].grad.tolist() == [0.1]
    assert params[3].grad is None


@pytest.mark.parametrize("clip", CLIPS)
def test_every_array_library_with_one_wait(clip, xp):
    expected = with_gradients(draw(3))
    params = with_gradients(draw(3), xp)
    with count_syncs() as syncs:
        found = clip(params, 0.5)
    assert len(syncs) <= 1
    assert found == pytest.approx(clip(expected, 0.5), rel=1e-6)
    for p, q in zip(params, expected, strict=True):
        np.testing.assert_allclose(to_host(p.grad), q.grad, rtol=1e-6)


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("bad", [None, np.nan, np.inf])
@pytest.mark.parametrize("nonfinite", ["skip", "random"])
def test_the_arrays_themselves_are_never_changed(clip, bad, nonfinite):
    held = draw(4)
    if bad is not None:
        held[0][1, 2] = bad
    copies = [g.copy() for g in held]
    clip(with_gradients(held), 0.1, nonfinite)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(held, copies, strict=True))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", ["huge", "tiny", "zero"])
def test_norms_where_squares_overflow_or_vanish(dtype, size, xp):
    limits = np.finfo(dtype)
    value = {"huge": float(limits.max) / 4, "tiny": float(limits.tiny) * 4, "zero": 0.0}[size]
    params = with_gradients([np.full(3, value, dtype), np.full((2, 2), -value, dtype)], xp)
    assert grad_norm(params) == pytest.approx(value * np.sqrt(7), rel=1e-3)
    clip_grad_norm(params, 1.0)
    assert np.linalg.norm(joined(params).astype(float)) == pytest.approx(
        min(1.0, value * np.sqrt(7)), rel=1e-3
    )


# ---------------------------------------------------------------- gradients that are not finite


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_error_names_the_parameters(clip, bad, xp):
    model = Linear(3, 2, seed=0)
    if xp is not np:
        for parameter in model.parameters():
            parameter.move(xp.asarray(parameter.data))
    for value, parameter in zip([0.0, bad], [model.weight, model.bias], strict=True):
        parameter.grad = xp.full(parameter.shape, value, np.float32)
    assert not np.isfinite(grad_norm(model.parameters()))
    with pytest.raises(NonFiniteError, match="in the gradient of bias. .*nonfinite='skip'"):
        clip(model.parameters(), 1.0)
    assert to_host(model.weight.grad).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("clip", CLIPS)
def test_skip_drops_all_gradients_so_that_nothing_is_updated(clip):
    params = with_gradients([*draw(0), np.array([np.nan])])
    clip(params, 1.0, nonfinite="skip")
    assert [p.grad for p in params] == [None] * 4
    SGD(params, lr=1.0).step()
    assert all((p.data == 0).all() for p in params)


def test_random_takes_a_step_of_the_largest_size(xp):
    params = with_gradients([*draw(0), np.array([np.inf], np.float32)], xp)
    norm = clip_grad_norm(params, 2.5, nonfinite="random", seed=0)
    first = joined(params)
    assert not np.isfinite(norm) and first.dtype == np.float32
    assert np.linalg.norm(first) == pytest.approx(2.5, rel=1e-6)
    params[0].grad = xp.full((4, 3), np.nan, np.float32)
    clip_grad_norm(params, 2.5, nonfinite="random", seed=1)
    assert abs(joined(params) @ first) < 0.9 * 2.5**2  # another direction

    clip_grad_norm_each(params, 2.5, nonfinite="random", seed=0)
    params[0].grad = xp.full((4, 3), np.nan, np.float32)
    clip_grad_norm_each(params, 2.5, nonfinite="random", seed=0)
    assert [np.linalg.norm(to_host(p.grad)) for p in params] == pytest.approx([2.5] * 4, rel=1e-6)

    params[0].grad = xp.full((4, 3), np.nan, np.float32)
    clip_grad_value(params, 0.5, nonfinite="random", seed=0)
    assert np.abs(joined(params)).max() <= 0.5 and np.ptp(joined(params)) > 0.5


def test_random_directions_come_from_the_seeded_generator():
    steps = []
    for _ in range(2):
        params = with_gradients([np.array([np.nan, 1.0])])
        clip_grad_norm(params, 1.0, nonfinite="random", seed=np.random.default_rng(5))
        steps.append(params[0].grad)
    assert np.array_equal(*steps)


@pytest.mark.parametrize("clip", CLIPS)
def test_refuses(clip):
    params = with_gradients(draw(0))
    for limit in (0, -1.0, np.nan, np.inf):
        with pytest.raises(ConfigError, match="threshold is a positive number"):
            clip(params, limit)
    with pytest.raises(ConfigError, match="nonfinite is 'error', 'skip' or 'random', not 'ignore'"):
        clip(params, 1.0, "ignore")


def test_no_gradients_at_all():
    params = [Parameter(np.ones(2))]
    assert grad_norm(params) == clip_grad_norm(params, 1.0) == clip_grad_value(params, 1.0) == 0
    assert clip_grad_norm_each(params, 1.0) == [0]
    assert params[0].grad is None


# ---------------------------------------------------------------- the cliff


def cliff_loss(w, b, steps=50):
    """(h(50) - 0.7)^2 of h(t) = w sigmoid(h(t-1)) + b, h(0) = 0.5 (Pascanu et al. 2013)."""
    h = tensor(np.array(0.5))
    for _ in range(steps):
        h = w * sigmoid(h) + b
    return (h - 0.7) * (h - 0.7)


def descend(clip, steps=600, start=(5.0, -2.6122), lr=0.1):
    w, b = Parameter(np.array(start[0])), Parameter(np.array(start[1]))
    optimizer = SGD([w, b], lr=lr)
    losses, reach = [], 0.0
    for _ in range(steps):
        loss = cliff_loss(w, b)
        loss.backward()
        if clip:
            clip_grad_norm([w, b], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        reach = max(reach, abs(float(w.data)), abs(float(b.data)))
    return losses, reach


def test_clipping_by_norm_survives_the_cliff():
    """Next to the cliff one plain step leaps far away; clipped ones go down the valley."""
    losses, reach = descend(clip=False)
    assert losses[1] > 10 * losses[0] and reach > 100
    losses, reach = descend(clip=True)
    assert losses[-1] < 1e-3 and reach < 6
