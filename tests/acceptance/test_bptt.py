"""Back-propagation through time in closed form (book, eqs. 10.17 to 10.28).

Eq. 10.21 is printed with its factors in an order that does not fit column vectors. What is meant:

    grad_h(t) L = W^T diag(1 - h(t+1)^2) grad_h(t+1) L + V^T grad_o(t) L
"""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn

I, H, K = 3, 5, 4  # noqa: E741


class Net:
    """The network of figure 10.3 for one sequence, with the book's letters, in float64."""

    def __init__(self, steps: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.steps = steps
        self.p = {
            "U": rng.normal(size=(H, I)),
            "W": rng.normal(size=(H, H)) * 0.7,
            "b": rng.normal(size=H),
            "V": rng.normal(size=(K, H)),
            "c": rng.normal(size=K),
            "h0": rng.normal(size=H),
        }
        self.xs = rng.normal(size=(steps, I))
        self.ys = rng.integers(K, size=steps)

    def forward(self, p: dict[str, Any]) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        """The loss, h(0) ... h(tau), and the softmax outputs y^(1) ... y^(tau)."""
        hs, outputs, loss = [p["h0"]], [], 0.0
        for x, y in zip(self.xs, self.ys, strict=True):
            hs.append(np.tanh(p["b"] + p["W"] @ hs[-1] + p["U"] @ x))
            o = p["c"] + p["V"] @ hs[-1]
            outputs.append(np.exp(o) / np.exp(o).sum())
            loss -= np.log(outputs[-1][y])
        return loss, hs, outputs

    def closed_form(self, later: bool = True) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """The gradients, and grad_h(t) L for t = 0 ... tau; not ``later``: without later losses."""
        p = self.p
        _, hs, outputs = self.forward(p)
        grad = {name: np.zeros_like(a) for name, a in p.items()}
        grad_h: list[Any] = [None] * (self.steps + 1)
        carried = np.zeros(H)  # W^T diag(1 - h(t+1)^2) grad_h(t+1) L
        for t in range(self.steps, 0, -1):
            grad_o = outputs[t - 1].copy()
            grad_o[self.ys[t - 1]] -= 1  # 10.18
            grad_h[t] = p["V"].T @ grad_o + (carried if later else 0)  # 10.19 and 10.21
            inner = (1 - hs[t] ** 2) * grad_h[t]
            grad["c"] += grad_o  # 10.22
            grad["b"] += inner  # 10.23
            grad["V"] += np.outer(grad_o, hs[t])  # 10.24
            grad["W"] += np.outer(inner, hs[t - 1])  # 10.26
            grad["U"] += np.outer(inner, self.xs[t - 1])  # 10.28
            carried = p["W"].T @ inner
        grad["h0"] = grad_h[0] = carried
        return grad, grad_h

    def by_autograd(self) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """The same from the recorded run of an ElmanCell and a readout, by one backward pass."""
        cell, readout = nn.ElmanCell(I, H), nn.Linear(H, K)
        p = self.p
        cell.to(np.float64).load_state_dict(
            {
                "weight_ih": p["U"], "weight_hh": p["W"], "bias_ih": p["b"],
                "bias_hh": np.zeros(H),
            }
        )  # fmt: skip
        readout.to(np.float64).load_state_dict({"weight": p["V"], "bias": p["c"]})
        model = nn.SequenceModel(cell, readout)
        h0 = ts.tensor(p["h0"][None], requires_grad=True)
        loss, _ = model.loss(self.xs[:, None], self.ys[:, None], h0)
        seen: dict[int, np.ndarray] = {}

        def watch(node: Any, g: Any) -> None:
            if node.label == "h":
                scope = node.scope
                while scope.index is None:
                    scope = scope.parent
                seen[scope.index] = g[0]

        assert loss.item() == pytest.approx(self.forward(p)[0], rel=1e-12)
        loss.backward(observe=watch)
        grad = {
            "U": cell.weight_ih.grad, "W": cell.weight_hh.grad, "b": cell.bias_ih.grad,
            "V": readout.weight.grad, "c": readout.bias.grad, "h0": h0.grad[0],
        }  # fmt: skip
        return grad, [seen[t] for t in range(self.steps + 1)]

    def by_differences(self, step: float = 1e-20) -> dict[str, np.ndarray]:
        """Im L(theta + i h) / h: central differences across the imaginary axis.

        (L(theta + i h) - L(theta - i h)) / 2 i h, where the second value is the first's conjugate:
        nothing cancels, so the step can be so small that the quotient is exact.
        """
        grad = {name: np.zeros_like(a) for name, a in self.p.items()}
        for name, a in grad.items():
            for place in np.ndindex(a.shape):
                moved = {n: b.astype(complex) for n, b in self.p.items()}
                moved[name][place] += 1j * step
                a[place] = self.forward(moved)[0].imag / step
        return grad


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 20])
def test_the_closed_form_is_what_autograd_computes(steps: int):
    """For U, W, V, b, c, h(0), and the gradient of every h(t), to a relative 1e-10."""
    net = Net(steps)
    (grad, by_time), (found, found_by_time) = net.closed_form(), net.by_autograd()
    for name in grad:
        assert relative(found[name], grad[name]) < 1e-10, name
    for t in range(steps + 1):
        assert relative(found_by_time[t], by_time[t]) < 1e-10, t


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_the_closed_form_is_what_differences_say(steps: int):
    net = Net(steps)
    grad, by_differences = net.closed_form()[0], net.by_differences()
    for name in grad:
        assert relative(by_differences[name], grad[name]) < 1e-10, name


@pytest.mark.parametrize("steps", [2, 5, 20])
def test_forgetting_the_later_losses_is_another_gradient(steps: int):
    """dL(t)/dh(t) in place of dL/dh(t), as some lecture notes write it, is not the gradient."""
    wrong, by_time = Net(steps).closed_form(later=False)
    right, right_by_time = Net(steps).closed_form()
    for name in ("U", "W", "b"):
        assert relative(wrong[name], right[name]) > 1e-3
    for name in ("V", "c"):  # these do not go through time
        np.testing.assert_array_equal(wrong[name], right[name])
    assert relative(by_time[1], right_by_time[1]) > 1e-3
    np.testing.assert_array_equal(by_time[steps], right_by_time[steps])


@pytest.mark.oracle
@pytest.mark.parametrize("steps", [1, 7, 20])
def test_the_closed_form_is_what_torch_computes(steps: int):
    torch = pytest.importorskip("torch")
    net = Net(steps)
    p = {name: torch.tensor(a, requires_grad=True) for name, a in net.p.items()}
    h, loss = p["h0"], torch.zeros((), dtype=torch.float64)
    for x, y in zip(torch.tensor(net.xs), net.ys, strict=True):
        h = torch.tanh(p["b"] + p["W"] @ h + p["U"] @ x)
        loss = loss - torch.log_softmax(p["c"] + p["V"] @ h, 0)[y]
    loss.backward()
    grad, _ = net.closed_form()
    for name in grad:
        assert relative(p[name].grad.numpy(), grad[name]) < 1e-10, name
