"""The recursive cell: against its equation, a recursion in torch, and the Elman cell."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, ops
from tinyseq.errors import ConfigError, ShapeError, StructureError
from tinyseq.recurrence import balanced_tree, chain_tree, forest, nested_tree, unroll_tree

I, H, N = 3, 4, 2  # noqa: E741
NESTED = ((0, (1, 2)), (3, ((4, 5), 6)))


def cell(seed: int = 0) -> nn.RecursiveCell:
    return nn.RecursiveCell(I, H, seed).to(np.float64)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape)


@pytest.mark.oracle
def test_is_a_recursion_in_torch_with_its_gradients():
    import torch

    c, xs = cell(), numbers(7, N, I)
    weights = {k: torch.tensor(v, requires_grad=True) for k, v in c.state_dict().items()}
    x = torch.tensor(xs, requires_grad=True)

    def run(nested: Any) -> Any:
        if not isinstance(nested, tuple):
            return x[nested] @ weights["weight_leaf"].T
        left, right = map(run, nested)
        a = left @ weights["weight_left"].T + right @ weights["weight_right"].T
        return torch.tanh(a + weights["bias"])

    expected = run(NESTED)
    (expected**2).sum().backward()
    for by_level in (False, True):
        given = ts.tensor(xs, requires_grad=True)
        _, h = unroll_tree(c, NESTED, given, by_level=by_level)
        np.testing.assert_allclose(h.data, expected.detach().numpy(), rtol=1e-12)
        found = ts.grad((h * h).sum(), [given, *c.parameters()])
        wanted = [x.grad, *(weights[name].grad for name, _ in c.named_parameters())]
        for g, w in zip(found, wanted, strict=True):
            np.testing.assert_allclose(g, w.numpy(), rtol=1e-10, atol=1e-13)


def test_derivatives_are_right():
    c = cell()

    def run(x: Any) -> Any:
        return unroll_tree(c, NESTED, x)[0]

    ts.check_grads(run, (numbers(7, 1, I),), order=2)


def test_on_a_right_branching_chain_it_is_the_recurrent_net():
    """With leaves on the left and the state so far on the right, from the last input to the first.

    h(t) = tanh(b + U V x(t) + W h(t+1)), and the last leaf is the initial state.
    """
    c, xs = cell(), numbers(6, N, I)
    elman = nn.ElmanCell(I, H).to(np.float64)
    values = {
        "weight_ih": c.weight_left.data @ c.weight_leaf.data,
        "weight_hh": c.weight_right.data,
        "bias_ih": c.bias.data,
        "bias_hh": np.zeros(H),
    }
    elman.load_state_dict(values)
    start = xs[-1] @ c.weight_leaf.data.T
    expected, last = ts.unroll(elman, xs[:-1], start, reverse=True)
    tree = chain_tree(6, "right")
    outputs, root = unroll_tree(c, tree, xs)
    np.testing.assert_allclose(root.data, last.data, rtol=1e-12)
    inner = [outputs.data[k] for k in tree.order if tree.children[k]]
    np.testing.assert_allclose(inner, expected.data[::-1], rtol=1e-12)


def test_left_and_right_are_told_apart():
    c, xs = cell(), numbers(2, N, I)
    one, other = (unroll_tree(c, nested, xs)[1].data for nested in ((0, 1), (1, 0)))
    assert np.abs(one - other).max() > 0.01


def test_a_batch_of_different_trees_trains():
    """Which of two marked leaves comes first: a bag of leaves cannot tell."""
    rng = np.random.default_rng(0)
    c, readout = nn.RecursiveCell(3, 8, 0), nn.Linear(8, 2, seed=1)
    parameters = [*c.parameters(), *readout.parameters()]
    optimizer = ts.optim.Adam(parameters, lr=0.01)
    wrong = []
    for _ in range(120):
        sizes = rng.integers(2, 9, size=32)
        trees = forest(balanced_tree(n) for n in sizes)
        labels = rng.integers(2, size=32)
        rows = []
        for n, first in zip(sizes, labels, strict=True):
            kinds = np.zeros(n, int)
            kinds[sorted(rng.choice(n, 2, replace=False))] = (1, 2) if first else (2, 1)
            rows.append(np.eye(3, dtype=np.float32)[kinds])
        _, roots = unroll_tree(c, trees, np.concatenate(rows)[:, None], by_level=True)
        o = readout(roots)
        loss = nn.cross_entropy(o, labels)
        for p in parameters:
            p.grad = None
        loss.backward()
        optimizer.step()
        wrong.append(float((o.data.argmax(-1) != labels).mean()))
    assert np.mean(wrong[:10]) > 0.3 and np.mean(wrong[-20:]) < 0.02


def test_through_a_balanced_tree_the_gradient_has_a_shorter_way():
    """Book, section 10.6: of 256 leaves the first is 255 steps away on a chain, 8 in a tree."""
    xs = numbers(256, 1, I)

    def far(tree: Any) -> float:
        x = ts.tensor(xs, requires_grad=True)
        _, root = unroll_tree(cell(), tree, x, by_level=True)
        return float(np.linalg.norm(ts.grad(root.sum(), [x])[0][0]))

    assert far(chain_tree(256)) < 1e-15 and far(balanced_tree(256)) > 1e-5


def test_what_is_refused():
    c = cell()
    with pytest.raises(ShapeError, match=r"at step \(1\): x should have shape \(batch, 3\), but"):
        unroll_tree(c, (0, 1), numbers(2, N, I + 1))
    with pytest.raises(ShapeError, match="but it is NoneType"):
        c(None, ())
    with pytest.raises(StructureError, match="a node with 3 children; a parent has two"):
        unroll_tree(c, nested_tree((0, 1, 2)), numbers(3, N, I))
    h = ops.linear(numbers(N, I), c.weight_leaf)
    with pytest.raises(ShapeError, match="only leaves read x"):
        c(numbers(N, I), (h, h))
    with pytest.raises(ConfigError, match="RecursiveCell: sizes are positive integers"):
        nn.RecursiveCell(0, H)
