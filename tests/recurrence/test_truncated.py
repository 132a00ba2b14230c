"""TBPTT(k1, k2): which pairs of loss and step count, and what is kept in memory."""

import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, structure
from tinyseq.errors import ConfigError

T, N, I, H = 9, 2, 3, 4  # noqa: E741


class Job(NamedTuple):
    """A cell, its inputs, an initial state, and the loss of a step."""

    cell: Any
    xs: np.ndarray
    state: Any
    loss: Any


def job(kind: str = "lstm", seed: int = 0) -> Job:
    make = {"lstm": nn.LSTMCell, "elman": nn.ElmanCell, "gru": nn.GRUCell}[kind]
    cell = make(I, H, seed=seed).to(np.float64)
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(T, N, H))
    state = structure.map(lambda a: rng.normal(size=a.shape), cell.init_state(N))
    xs = rng.normal(size=(T, N, I))
    return Job(cell, xs, state, lambda t, y: nn.mse(y, targets[t - 1]))


def truncated(j: Job, k1: int, k2: int) -> tuple[dict[str, np.ndarray], float, Any]:
    j.cell.zero_grad()
    total, state = ts.truncated_bptt(j.cell, j.xs, j.state, j.loss, k1, k2)
    return {n: p.grad for n, p in j.cell.named_parameters()}, total, state


def allowed_pairs(k1: int, k2: int) -> list[tuple[int, int]]:
    """(t, s): the loss at t reaches step s. The pass of t's group ends at e and goes back k2."""
    pairs = []
    for t in range(1, T + 1):
        e = min(-(-t // k1) * k1, T)
        pairs += [(t, s) for s in range(1, t + 1) if s > e - k2]
    return pairs


def by_pairs(j: Job, k1: int, k2: int) -> dict[str, np.ndarray]:
    """The sum over the allowed pairs, each pair's part found by autograd alone.

    d L(t) / d theta through step s: only in step s is the parameter one that is differentiated.
    """
    names = [n for n, _ in j.cell.named_parameters()]
    values = j.cell.state_dict()
    total = {n: np.zeros_like(values[n]) for n in names}
    frozen, live = nn_copy(j.cell), nn_copy(j.cell)
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    pairs = allowed_pairs(k1, k2)
    for s in range(1, T + 1):
        state, losses = j.state, []
        for t in range(1, T + 1):
            cell = live if t == s else frozen
            y, state = cell(j.xs[t - 1], state)
            if (t, s) in pairs:
                losses.append(j.loss(t, y))
        if losses:
            found = ts.grad(losses, live.parameters())
            for name, g in zip(names, found, strict=True):
                total[name] += g
    return total


def nn_copy(cell: Any) -> Any:
    other = type(cell)(I, H).to(np.float64)
    other.load_state_dict(cell.state_dict())
    return other


def assert_close(found: dict[str, Any], expected: dict[str, Any], within: float = 1e-12) -> None:
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=within, atol=within)


def full(j: Job) -> dict[str, np.ndarray]:
    """Back-propagation through everything."""
    state, losses = j.state, []
    for t in range(1, T + 1):
        y, state = j.cell(j.xs[t - 1], state)
        losses.append(j.loss(t, y))
    names = [n for n, _ in j.cell.named_parameters()]
    return dict(zip(names, ts.grad(losses, j.cell.parameters()), strict=True))


@pytest.mark.parametrize("kind", ["lstm", "elman", "gru"])
@pytest.mark.parametrize("k1, k2", [(1, T), (3, T), (T, T), (2, T + 5), (100, 100)])
def test_going_back_over_everything_is_full_back_propagation(kind: str, k1: int, k2: int):
    j = job(kind)
    found, _, _ = truncated(j, k1, k2)
    assert_close(found, full(j))


@pytest.mark.parametrize("kind", ["lstm", "elman"])
@pytest.mark.parametrize("k1, k2", [(1, 1), (1, 3), (2, 2), (2, 5), (3, 4), (4, 4), (5, 7), (7, 8)])
def test_the_gradient_is_the_sum_over_the_allowed_pairs(kind: str, k1: int, k2: int):
    """Williams and Peng 1990; each pair of loss t and step s by itself."""
    j = job(kind)
    found, _, _ = truncated(j, k1, k2)
    assert_close(found, by_pairs(j, k1, k2))
    assert max(abs(found[n] - g).max() for n, g in full(j).items()) > 1e-4


def test_all_pairs_together_are_the_full_gradient():
    """The reference itself: nothing is counted twice and nothing left out."""
    j = job()
    assert len(allowed_pairs(1, T)) == T * (T + 1) // 2
    assert_close(by_pairs(j, 1, T), full(j))


@pytest.mark.parametrize("k", [1, 3, 9])
def test_equal_steps_that_divide_the_length_are_detach_every(k: int):
    j = job()
    found, total, state = truncated(j, k, k)
    ys, last = ts.unroll(j.cell, j.xs, j.state, detach_every=k)
    losses = [j.loss(t, ys[t - 1]) for t in range(1, T + 1)]
    names = [n for n, _ in j.cell.named_parameters()]
    expected = dict(zip(names, ts.grad(losses, j.cell.parameters()), strict=True))
    assert_close(found, expected)
    assert total == pytest.approx(sum(loss.item() for loss in losses), rel=1e-12)
    for a, b in zip(structure.leaves(state), structure.leaves(last), strict=True):
        np.testing.assert_array_equal(a, b.data)


@pytest.mark.parametrize("k1, k2", [(1, 1), (2, 4), (4, 4)])
def test_the_state_is_carried_as_in_one_long_pass(k1: int, k2: int):
    j = job()
    _, total, state = truncated(j, k1, k2)
    carried, parts = j.state, 0.0
    for chunk in (slice(0, 4), slice(4, 8), slice(8, T)):
        part, carried = ts.truncated_bptt(
            j.cell, j.xs[chunk], carried, lambda t, y, c=chunk: j.loss(t + c.start, y), k1, k2
        )
        parts += part
    assert parts == pytest.approx(total, rel=1e-12)
    ys, last = ts.unroll(j.cell, j.xs, j.state)
    for a, b, c in zip(*map(structure.leaves, (state, carried, last)), strict=True):
        np.testing.assert_array_equal(a, c.data)
        np.testing.assert_array_equal(b, c.data)
        assert isinstance(a, np.ndarray)  # detached


def test_gradients_are_added_to_what_is_there():
    j = job()
    once, _, _ = truncated(j, 2, 4)
    once = {n: g.copy() for n, g in once.items()}
    ts.truncated_bptt(j.cell, j.xs, j.state, j.loss, 2, 4)
    assert_close(
        {n: p.grad for n, p in j.cell.named_parameters()}, {n: 2 * g for n, g in once.items()}
    )


def test_inputs_with_a_graph_of_their_own_have_gradients_too():
    """An embedding before the recurrence, computed for all steps at once."""
    j = job()
    for k1, k2 in ((1, T), (2, 4)):
        x = ts.tensor(j.xs, requires_grad=True)
        scale = ts.tensor(np.array(1.5), requires_grad=True)
        ts.truncated_bptt(j.cell, x * scale, j.state, j.loss, k1, k2)
        if k2 == T:
            y, state, losses = None, j.state, []
            z, again = ts.tensor(j.xs, requires_grad=True), ts.tensor(np.array(1.5), True)
            for t in range(1, T + 1):
                y, state = j.cell((z * again)[t - 1], state)
                losses.append(j.loss(t, y))
            expected = ts.grad(losses, [z, again])
            np.testing.assert_allclose(x.grad, expected[0], rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(scale.grad, expected[1], rtol=1e-10)
        else:
            assert x.grad.shape == x.shape and scale.grad != 0


def test_losses_may_be_missing_in_most_steps():
    """As in a many-to-one task: only the last output counts."""
    j = job()
    only_last = j._replace(loss=lambda t, y: j.loss(t, y) * (1.0 if t == T else 0.0))
    found, total, _ = truncated(only_last, T, T)
    y, state = None, j.state
    for t in range(1, T + 1):
        y, state = j.cell(j.xs[t - 1], state)
    expected = ts.grad(j.loss(T, y), j.cell.parameters())
    names = [n for n, _ in j.cell.named_parameters()]
    assert_close(found, dict(zip(names, expected, strict=True)))
    constant, _ = ts.truncated_bptt(
        j.cell, j.xs, j.state, lambda t, y: ts.tensor(np.array(1.0)), 2, 4
    )
    assert constant == T


@pytest.mark.parametrize("k1, k2", [(0, 3), (3, 2), (-1, 4), (1, 0)])
def test_k2_below_k1_is_refused(k1: int, k2: int):
    j = job()
    with pytest.raises(ConfigError, match="1 <= k1 <= k2"):
        ts.truncated_bptt(j.cell, j.xs, j.state, j.loss, k1, k2)


def test_no_initial_state_means_the_cells_own():
    j = job()
    expected = truncated(j._replace(state=j.cell.init_state(N)), 2, 4)
    found = truncated(j._replace(state=None), 2, 4)
    assert_close(found[0], expected[0])
    assert found[1] == expected[1]


@pytest.mark.parametrize("k1, k2", [(1, 1), (1, 4), (3, 5)])
def test_only_the_last_k2_steps_are_kept(k1: int, k2: int):
    alive: list[weakref.ref] = []
    most = 0

    def loss(t: int, y: Any) -> Any:
        nonlocal most
        alive.append(weakref.ref(y))
        most = max(most, sum(ref() is not None for ref in alive))
        return (y * y).sum()

    cell = nn.ElmanCell(I, H, seed=0)
    ts.truncated_bptt(cell, np.ones((60, N, I), "f4"), cell.init_state(N), loss, k1, k2)
    assert most <= k2 + 1  # the step that is being made, beside those that are kept
    assert not any(ref() is not None for ref in alive)
