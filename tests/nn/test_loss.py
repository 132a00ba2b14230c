"""The losses: against PyTorch, and against what the book says they are."""

from math import log, pi
from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import ConfigError, DTypeError, ShapeError

T, N, K = 4, 3, 5
REDUCTIONS = ["sum", "mean", "none"]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def classes(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(K, size=shape)


def compare(ours: Any, theirs: Any, x: Any, y: Any) -> None:
    """Values and gradients of a loss and of PyTorch's."""
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-12, atol=1e-12)
    weights = numbers(*ours.shape, seed=5)
    import torch

    (ours * weights).sum().backward()
    (theirs * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-12, atol=1e-12)


def pair(a: np.ndarray) -> tuple[Any, Any]:
    import torch

    return ts.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)


@pytest.mark.oracle
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(N,), (T, N)])
@pytest.mark.parametrize("ignored", [None, -100, 2])
def test_cross_entropy(reduction: str, shape: tuple[int, ...], ignored: int | None):
    torch = pytest.importorskip("torch")
    targets = classes(*shape)
    if ignored == -100:
        targets[0] = ignored
    x, y = pair(3 * numbers(*shape, K))
    ours = nn.cross_entropy(x, targets, reduction, ignored)
    settings = {} if ignored is None else {"ignore_index": ignored}
    theirs = torch.nn.functional.cross_entropy(
        torch.movedim(y, -1, 1), torch.tensor(targets), reduction=reduction, **settings
    )
    compare(ours, theirs, x, y)


@pytest.mark.oracle
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_binary_cross_entropy_with_logits(reduction: str, scale: float):
    torch = pytest.importorskip("torch")
    targets = np.random.default_rng(1).uniform(size=(T, N))
    x, y = pair(scale * numbers(T, N))
    ours = nn.binary_cross_entropy_with_logits(x, targets, reduction)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        y, torch.tensor(targets), reduction=reduction
    )
    compare(ours, theirs, x, y)


@pytest.mark.oracle
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_mse(reduction: str):
    torch = pytest.importorskip("torch")
    targets = numbers(T, N, 2, seed=3)
    x, y = pair(numbers(T, N, 2))
    theirs = torch.nn.functional.mse_loss(y, torch.tensor(targets), reduction=reduction)
    compare(nn.mse(x, targets, reduction), theirs, x, y)


@pytest.mark.oracle
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gaussian_nll(reduction: str):
    torch = pytest.importorskip("torch")
    targets = numbers(T, N, 2, seed=3)
    x, y = pair(numbers(T, N, 2))
    theirs = torch.nn.functional.gaussian_nll_loss(
        y, torch.tensor(targets), torch.ones_like(y.detach()), full=True, reduction=reduction
    )
    compare(nn.gaussian_nll(x, targets, reduction), theirs, x, y)


def test_squared_error_is_the_negative_log_likelihood_of_a_unit_gaussian():
    """NLL = SSE / 2 + n log(2 pi) / 2 (book, section 10.2.2)."""
    o, y = numbers(T, N, 2), numbers(T, N, 2, seed=3)
    expected = 0.5 * ((o - y) ** 2).sum() + 0.5 * o.size * log(2 * pi)
    np.testing.assert_allclose(nn.gaussian_nll(o, y), expected, rtol=1e-14)
    np.testing.assert_allclose(nn.mse(o, y), ((o - y) ** 2).sum(), rtol=1e-14)


@pytest.mark.parametrize(
    "loss", [nn.cross_entropy, nn.binary_cross_entropy_with_logits, nn.mse, nn.gaussian_nll]
)
def test_the_sum_is_the_default_and_the_mean_is_the_sum_by_the_count(loss: Any):
    """The book sums over time (eq. 10.12): gradients grow with T, clipping thresholds with them."""
    o = numbers(T, N, K)
    y = (
        classes(T, N)
        if loss is nn.cross_entropy
        else np.random.default_rng(2).uniform(size=o.shape)
    )
    each = loss(o, y, "none")
    np.testing.assert_allclose(loss(o, y), each.sum(), rtol=1e-13)
    np.testing.assert_allclose(loss(o, y, "mean"), each.mean(), rtol=1e-13)
    twice = loss(np.concatenate([o, o]), np.concatenate([y, y]))
    np.testing.assert_allclose(twice, 2 * each.sum(), rtol=1e-13)
    with pytest.raises(ConfigError, match="average"):
        loss(o, y, "average")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("targets", [np.ones((N,), int), np.ones((N,), bool), [1.0, 0.0, 1.0]])
def test_the_targets_do_not_decide_the_dtype(dtype: Any, targets: Any):
    o = ts.tensor(numbers(N).astype(dtype), requires_grad=True)
    for loss in (nn.binary_cross_entropy_with_logits, nn.mse, nn.gaussian_nll):
        given = np.asarray(targets, dtype) if isinstance(targets, list) else targets
        result = loss(o, given)
        assert result.dtype == dtype
        assert ts.grad(result, o).dtype == dtype
    logits = ts.tensor(numbers(N, K).astype(dtype), requires_grad=True)
    assert nn.cross_entropy(logits, classes(N), "mean").dtype == dtype


def test_ignored_targets_have_no_gradient():
    o = ts.tensor(numbers(N, K), requires_grad=True)
    nn.cross_entropy(o, np.array([1, -100, 2]), ignore_index=-100).backward()
    assert not o.grad[1].any() and o.grad[0].all() and o.grad[2].all()


def test_a_mean_over_nothing_is_refused():
    o = numbers(N, K)
    with pytest.raises(ShapeError, match="no elements"):
        nn.cross_entropy(o, np.full(N, -100), "mean", ignore_index=-100)
    with pytest.raises(ShapeError, match="no elements"):
        nn.mse(np.zeros((0, 2)), np.zeros((0, 2)), "mean")
    assert nn.mse(np.zeros((0, 2)), np.zeros((0, 2))) == 0


@pytest.mark.parametrize(
    "targets, error, words",
    [
        (np.zeros(N), DTypeError, "integers"),
        (np.zeros((N, 1), int), ShapeError, r"\(3,\)"),
        (np.full(N, K), ShapeError, "target 5 is too large for 5 classes, which are 0 to 4"),
        (np.full(N, -1), ShapeError, "negative"),
        (np.full(N, -100), ShapeError, "negative"),
        (np.array([0, 9, 1]), ShapeError, "target 9 is too large"),
    ],
)
@pytest.mark.parametrize("kind", ["numpy", "tensor"])
def test_cross_entropy_refuses_wrong_targets(targets: Any, error: Any, words: str, kind: str):
    with pytest.raises(error, match=words):
        nn.cross_entropy(numbers(N, K), ts.tensor(targets) if kind == "tensor" else targets)


def test_cross_entropy_refuses_wrong_targets_on_the_gpu(xp: Any):
    for wrong in (K, -1):
        with pytest.raises(ShapeError):
            nn.cross_entropy(xp.asarray(numbers(N, K)), xp.asarray(np.full(N, wrong)))


@pytest.mark.parametrize("loss", [nn.binary_cross_entropy_with_logits, nn.mse, nn.gaussian_nll])
@pytest.mark.parametrize("shape", [(N,), (N, 1), (1, N), (2, N)])
def test_nothing_is_broadcast(loss: Any, shape: tuple[int, ...]):
    """(N,) against (N, 1) would be an (N, N) error in silence."""
    with pytest.raises(ShapeError, match="nothing is broadcast"):
        loss(numbers(N, 2), numbers(*shape))


def test_losses_know_where_they_are():
    with ts.scope("step", 4), pytest.raises(ShapeError, match="mse at step 4"):
        nn.mse(numbers(N), numbers(N, 2))


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_losses_are_the_same_in_every_array_library(xp: Any, reduction: str):
    o, y, ids = numbers(T, N, K), numbers(T, N, K, seed=1), classes(T, N)
    for loss, targets in ((nn.mse, y), (nn.gaussian_nll, y), (nn.cross_entropy, ids)):
        x = ts.tensor(xp.asarray(o), requires_grad=True)
        found = loss(x, xp.asarray(targets), reduction)
        found.sum().backward()
        host = ts.tensor(o, requires_grad=True)
        expected = loss(host, targets, reduction)
        expected.sum().backward()
        np.testing.assert_allclose(strict_cupy.to_host(found.data), expected.data, rtol=1e-12)
        np.testing.assert_allclose(strict_cupy.to_host(x.grad), host.grad, rtol=1e-12)


def test_real_targets_never_wait_for_the_gpu(monkeypatch: pytest.MonkeyPatch):
    xp = strict_cupy.install(monkeypatch)
    o, y = xp.asarray(numbers(T, N)), xp.asarray(numbers(T, N, seed=1))
    x = ts.tensor(o, requires_grad=True)
    with strict_cupy.count_syncs() as syncs:
        for loss in (nn.mse, nn.gaussian_nll, nn.binary_cross_entropy_with_logits):
            loss(x, y, "mean").backward()
    assert syncs == []
