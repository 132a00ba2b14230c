"""Cells against the torchrecurrent package (0.2.5), an independent implementation.

Its formulas are compared by what its code computes: the text about MUT3 leaves out a tanh. Its gate
orders are i, f, c, o and z, r, h.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from nn.numeric import N, T, blocks, numbers
from nn.registry import H, I
from tinyseq import nn, structure

pytestmark = pytest.mark.oracle("torchrecurrent")


def theirs(name: str, parameters: dict[str, np.ndarray]) -> Any:
    """Their cell in float64 with the given parameters."""
    torch, cells = pytest.importorskip("torch"), pytest.importorskip("torchrecurrent")
    cell = getattr(cells, name)(I, H, dtype=torch.float64)
    own = dict(cell.named_parameters())
    with torch.no_grad():
        for key, value in parameters.items():
            assert own[key].shape == np.shape(value), key
            own[key].copy_(torch.as_tensor(value))
    return cell


def ordered(cell: nn.Cell, name: str, ours: str, wanted: str) -> np.ndarray:
    parts = blocks(cell, name, ours)
    return np.concatenate([parts[gate] for gate in wanted])


def assert_agree(
    cell: nn.Cell, other: Any, names: Sequence[str], orders: dict[str, tuple[str, str]]
) -> None:
    """Outputs over T steps, and the gradients of a loss by input, state and all weights."""
    torch = pytest.importorskip("torch")
    xs = numbers(T, N, I)
    starts = [numbers(N, H, seed=k + 1) for k in range(len(structure.leaves(cell.init_state(N))))]
    x = ts.tensor(xs, requires_grad=True)
    start = [ts.tensor(a, requires_grad=True) for a in starts]
    state = nn.LSTMState(*start) if len(start) == 2 else start[0]
    ys, _ = ts.unroll(cell, x, state)
    (ys * ys * ys).sum().backward()

    other_x = torch.tensor(xs, requires_grad=True)
    other_start = [torch.tensor(a, requires_grad=True) for a in starts]
    now = tuple(other_start) if len(start) == 2 else other_start[0]
    found = []
    for t in range(T):
        now = other(other_x[t], now)
        found.append(now[0] if isinstance(now, tuple) else now)
    (torch.stack(found) ** 3).sum().backward()

    np.testing.assert_allclose(ys.data, torch.stack(found).detach().numpy(), atol=1e-12)
    for mine, other_one in zip([x, *start], [other_x, *other_start], strict=True):
        np.testing.assert_allclose(mine.grad, other_one.grad.numpy(), rtol=1e-9, atol=1e-10)
    for name in names:
        ours, wanted = orders[name]
        gradient = dict(zip(ours, np.split(getattr(cell, name).grad, len(ours)), strict=True))
        expected = getattr(other, name).grad.numpy()
        joined = np.concatenate([gradient[gate] for gate in wanted])
        np.testing.assert_allclose(joined, expected, rtol=1e-9, atol=1e-10)


NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def compare(cell: nn.Cell, name: str, ours: Any, wanted: Any, **more: np.ndarray) -> None:
    """With the gates' orders, which may be one for what comes from x and one for h."""
    orders = {}
    for key in NAMES:
        k = 1 if key.endswith("hh") else 0
        orders[key] = tuple(o if isinstance(o, str) else o[k] for o in (ours, wanted))
    parameters = {key: ordered(cell, key, *orders[key]) for key in NAMES}
    assert_agree(cell, theirs(name, parameters | more), NAMES, orders)


def test_the_original_lstm():
    cell = nn.OriginalLSTMCell(I, H, seed=0).to(float)
    compare(cell, "OriginalLSTMCell", "igo", "igo")


def test_the_peephole_lstm():
    cell = nn.PeepholeLSTMCell(I, H, seed=0).to(float)
    peepholes = [getattr(cell, f"weight_c{gate}").data for gate in "ifo"]
    compare(cell, "PeepholeLSTMCell", "ifgo", "ifgo", weight_ph=np.concatenate(peepholes))


def test_the_minimal_gated_unit():
    compare(nn.MGUCell(I, H, seed=0).to(float), "MGUCell", "fn", "fn")


def test_mut1_with_projected_input():
    cell = nn.MUT1Cell(I, H, seed=0).to(float)
    compare(cell, "MUT1Cell", ("rzn", "rn"), ("zrn", "rn"))


def test_mut2_with_projected_input():
    compare(nn.MUT2Cell(I, H, seed=0).to(float), "MUT2Cell", "rzn", "zrn")


def test_mut3():
    compare(nn.MUT3Cell(I, H, seed=0).to(float), "MUT3Cell", "rzn", "zrn")


def test_one_step_of_the_scrn():
    """Theirs feeds its output back, so one step; with an identity as readout it shows tanh(h).

    It holds alpha in float32, where three quarters is exact.
    """
    torch = pytest.importorskip("torch")
    cell = nn.SCRNCell(I, H, H, alpha=0.75, seed=0).to(float)
    p, zero = cell.state_dict(), np.zeros((H, H))
    other = theirs(
        "SCRNCell",
        {
            "weight_ih": np.concatenate([p["weight_is"], p["weight_ih"]]),
            "weight_hh": np.concatenate([p["weight_hh"], np.eye(H)]),
            "weight_ch": np.concatenate([p["weight_sh"], zero]),
            "alpha": np.array(0.75),
            **{f"bias_{k}": np.zeros(2 * H) for k in ("ih", "hh", "ch")},
        },
    )
    x, h, s = numbers(N, I), numbers(N, H, seed=1), numbers(N, H, seed=2)
    _, state = cell(x, nn.SCRNState(h, s))
    shown, context = other(torch.tensor(x), (torch.tensor(h), torch.tensor(s)))
    np.testing.assert_allclose(np.tanh(state.h.data), shown.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(state.s.data, context.detach().numpy(), atol=1e-12)
