"""A recurrence and its unfolded graph are one function (book, eqs. 10.1 to 10.11, section 10.2)."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, ops, structure
from tinyseq.autograd.node import Leaf, Node
from tinyseq.autograd.walk import reachable

I, H, O, N = 3, 4, 2, 2  # noqa: E741
CELLS = [nn.ElmanCell, nn.LSTMCell, nn.GRUCell]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def unfolded(kind: Any, steps: int) -> tuple[Any, Any, Any]:
    """A cell, its input, and the sum of squares of its outputs."""
    cell = kind(I, H, seed=0).to(np.float64)
    x = ts.tensor(numbers(steps, N, I), requires_grad=True)
    ys, _ = ts.unroll(cell, x, start(cell))
    return cell, x, (ys * ys).sum()


def start(cell: Any) -> Any:
    """An initial state that is not zero."""
    return structure.map(lambda a: numbers(*a.shape, seed=3), cell.init_state(N))


@pytest.mark.parametrize("steps", range(1, 13))
@pytest.mark.parametrize("kind", CELLS)
def test_unrolling_is_composing_the_step_with_itself(kind: Any, steps: int):
    """s(tau) = f(f(... f(s(0)))), value and gradients, by functions nested by hand."""
    cell, x, loss = unfolded(kind, steps)
    y = ts.tensor(x.data, requires_grad=True)

    def composed(t: int) -> tuple[list[Any], Any]:
        """The outputs up to step t, and the state after it."""
        if t == 0:
            return [], start(cell)
        before, state = composed(t - 1)
        out, state = cell(y[t - 1], state)
        return [*before, out], state

    outputs, _ = composed(steps)
    expected = sum((o * o).sum() for o in outputs)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    found = ts.grad(loss, [x, *cell.parameters()])
    by_hand = ts.grad(expected, [y, *cell.parameters()])
    for a, b in zip(found, by_hand, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", CELLS)
def test_every_step_adds_the_same_operations_and_no_parameter(kind: Any):
    """Eq. 10.5: the parameters are shared; the graph grows by one copy of the step."""

    def census(steps: int) -> tuple[Counter, int]:
        _, _, loss = unfolded(kind, steps)
        nodes = reachable([loss.node])
        inner = [n for n in nodes if n.scope is not None and n.primitive is not None]
        leaves = {n for n in nodes if isinstance(n, Leaf)}
        return Counter(n.name for n in inner), len(leaves)

    one, leaves = census(1)
    two, _ = census(2)
    a_step = two - one  # the first step has no state with a gradient, and so a node or two less
    assert sum(a_step.values()) > 3
    for steps in range(3, 13):
        operations, found = census(steps)
        expected = Counter({name: one[name] + (steps - 1) * a_step[name] for name in two})
        assert operations == expected
        assert found == leaves == 1 + len(kind(I, H).parameters())


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_gradient_of_a_shared_weight_is_the_sum_over_its_copies(kind: Any, steps: int):
    """Keeping w1 = w2 takes dw1 = dw2, the sum of both derivatives (Hinton's lecture 7)."""
    cell, x, loss = unfolded(kind, steps)
    shared = ts.grad(loss, cell.parameters())
    copies, state, total = [], start(cell), 0.0
    for t in range(steps):
        copies.append(kind(I, H).to(np.float64))
        copies[-1].load_state_dict(cell.state_dict())
        y, state = copies[-1](x.data[t], state)
        total = total + (y * y).sum()
    separate = [ts.grad(total, copy.parameters(), retain_graph=True) for copy in copies]
    for k, g in enumerate(shared):
        np.testing.assert_allclose(g, sum(of[k] for of in separate), rtol=1e-12, atol=1e-13)
        if steps > 1:  # one copy's alone would be wrong
            assert abs(g - separate[-1][k]).max() > 1e-3


# -- an output in every step, or one in the end ---------------------------------------------------


def by_the_book(p: dict[str, Any], xs: Any, h: Any, ys: Any, only_last: bool) -> Any:
    """Eqs. 10.8 to 10.14 in torch: a = b + W h + U x, h = tanh(a), o = c + V h, softmax."""
    import torch

    loss = torch.zeros((), dtype=torch.float64)
    for t in range(len(xs)):
        h = torch.tanh(p["b"] + h @ p["W"].T + xs[t] @ p["U"].T)
        if not only_last or t == len(xs) - 1:
            o = p["c"] + h @ p["V"].T
            picked = torch.log_softmax(o, -1)[torch.arange(len(o)), ys[t]]
            loss = loss - picked.sum()
    return loss


@pytest.mark.oracle
@pytest.mark.parametrize("only_last", [False, True])
@pytest.mark.parametrize("steps, batch", [(1, 1), (5, 3), (20, 2)])
@pytest.mark.parametrize("mistake", [False, True])
def test_the_books_network(only_last: bool, steps: int, batch: int, mistake: bool):
    """Figures 10.3 and 10.5, in float64, to 1e-10; with W transposed nothing agrees."""
    torch = pytest.importorskip("torch")
    cell = nn.ElmanCell(I, H, seed=0).to(np.float64)
    cell.bias_hh.assign(np.zeros(H))  # the book has one bias
    model = nn.SequenceModel(cell, nn.Linear(H, O, seed=1)).to(np.float64)
    xs, h = numbers(steps, batch, I), numbers(batch, H, seed=1)
    ys = np.random.default_rng(2).integers(O, size=(steps, batch))
    mask = np.arange(steps) == steps - 1 if only_last else None
    state = ts.tensor(h, requires_grad=True)
    x = ts.tensor(xs, requires_grad=True)
    loss, _ = model.loss(x, ys, state, mask=mask)
    loss.backward()
    letters = {"U": cell.weight_ih, "W": cell.weight_hh, "b": cell.bias_ih}
    letters |= {"V": model.readout.weight, "c": model.readout.bias}
    assert {name: p.symbol for name, p in letters.items()} == {name: name for name in letters}
    given = {n: p.data.T.copy() if mistake and n == "W" else p.data for n, p in letters.items()}
    p = {n: torch.tensor(a, requires_grad=True) for n, a in given.items()}
    tx, th = torch.tensor(xs, requires_grad=True), torch.tensor(h, requires_grad=True)
    expected = by_the_book(p, tx, th, ys, only_last)
    expected.backward()
    off = [abs(loss.item() - expected.item())]
    off += [abs(letters[n].grad - p[n].grad.numpy()).max() for n in letters]
    off += [abs(x.grad - tx.grad.numpy()).max(), abs(state.grad - th.grad.numpy()).max()]
    assert max(off) > 1e-3 if mistake else max(off) < 1e-10


# -- what it costs --------------------------------------------------------------------------------


def saved_arrays(loss: Any) -> int:
    """Different arrays that the graph keeps for the backward pass, but for the leaves' own."""
    nodes = reachable([loss.node])
    own = {id(a) for n in nodes if isinstance(n, Leaf) for a in saved(n)}
    kept: set[int] = set()
    for node in nodes:
        kept |= {address(a) for a in saved(node)}
    return len(kept - own)


def saved(node: Node) -> list[np.ndarray]:
    found = node.saved if isinstance(node.saved, tuple) else (node.saved,)
    return [a for a in found if isinstance(a, np.ndarray) and a.ndim == 2 and a.shape[0] == N]


def address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


@pytest.mark.parametrize("kind", CELLS)
def test_memory_grows_by_a_fixed_number_of_arrays_a_step(kind: Any):
    """Section 10.2: O(tau) memory, as every state is kept for the backward pass."""
    counts = {steps: saved_arrays(unfolded(kind, steps)[2]) for steps in (50, 51, 100, 400, 1600)}
    a_step = counts[51] - counts[50]
    assert a_step >= 1
    for steps, count in counts.items():
        assert count == counts[50] + (steps - 50) * a_step


def checkpointed(cell: Any, xs: np.ndarray, chunk: int) -> tuple[list[np.ndarray], int]:
    """The gradient of the sum of squares, from the states at the ends of chunks alone.

    A first pass keeps one state a chunk. Then, from the last chunk to the first, each is run again
    and differentiated, with the cotangent of the state behind it. Also says how many arrays were
    kept at most.
    """
    starts, most = [start(cell)], 0
    with ts.no_grad():
        for first in range(0, len(xs), chunk):
            starts.append(ts.unroll(cell, xs[first : first + chunk], starts[-1])[1].data)
    cell.zero_grad()
    carried = np.zeros((N, H))
    for k in reversed(range(len(starts) - 1)):
        state = ts.tensor(starts[k], requires_grad=True)
        ys, last = ts.unroll(cell, xs[k * chunk : (k + 1) * chunk], state)
        loss = (ys * ys).sum() + (last * carried).sum()
        most = max(most, saved_arrays(loss) + k + 1)
        loss.backward()
        carried = state.grad
    return [p.grad for p in cell.parameters()], most


@pytest.mark.parametrize("steps", [64, 400, 1600])
def test_recomputing_from_checkpoints_needs_the_square_root_of_the_memory(steps: int):
    """The same gradients from O(sqrt(tau)) arrays (Chen et al. 2016), built from unroll alone."""
    cell, x, loss = unfolded(nn.ElmanCell, steps)
    everything = saved_arrays(loss)
    expected = ts.grad(loss, cell.parameters())
    found, most = checkpointed(cell, x.data, chunk=int(steps**0.5))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert most <= 4 * steps**0.5
    assert everything > steps


def test_an_unfolded_graph_names_its_variables():
    """x(t), h(t) and o(t) are nodes of the graph, in the scope of their step."""
    cell, readout = nn.ElmanCell(I, H, seed=0), nn.Linear(H, O, seed=1)
    outputs, _ = nn.SequenceModel(cell, readout)(np.zeros((3, N, I), "f4"))
    nodes = reachable([ops.sum(outputs).node], for_pictures=True)
    steps = {(n.label, n.scope.index) for n in nodes if n.label and n.scope.index is not None}
    assert {("x", t) for t in (1, 2, 3)} <= steps
    assert ("h", 0) in steps
