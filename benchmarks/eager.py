"""The tape itself: a chain of tiny operations, and an LSTM unrolled operation by operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinyseq as ts
from benchmarks.measure import Row, installed, race
from tinyseq import nn

NODES = 10_000


def chain(rounds: int) -> Row:
    """10,000 elementwise operations on 8 numbers, forward and backward, against torch eager."""
    start, half = np.ones(8, np.float32), np.full(8, 0.5, np.float32)

    def ours() -> Any:
        a, b = ts.tensor(start, requires_grad=True), ts.tensor(half, requires_grad=True)
        y = a
        for _ in range(NODES // 4):
            y = ts.ops.tanh(y * b + a) - b
        y.sum().backward()
        return a.grad

    contenders: dict[str, Callable[[], Any]] = {"tinyseq": ours}
    if installed("torch"):
        import torch

        def theirs() -> Any:
            a = torch.tensor(start, requires_grad=True)
            b = torch.tensor(half, requires_grad=True)
            y = a
            for _ in range(NODES // 4):
                y = torch.tanh(y * b + a) - b
            y.sum().backward()
            return a.grad.numpy()

        contenders["torch eager"] = theirs
        np.testing.assert_allclose(ours(), theirs(), rtol=1e-4)
    return Row(f"chain of {NODES:,} nodes", "torch eager", 0.6, race(contenders, rounds))


def unrolled_lstm(steps: int, batch: int, size: int, limit: float, rounds: int) -> Row:
    """``ts.unroll`` of an LSTMCell, with all gradients, against the same loop written in torch."""
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((steps, batch, size)).astype(np.float32)
    cell = nn.LSTMCell(size, size, seed=0)
    weights = cell.state_dict()

    def ours() -> list[Any]:
        cell.zero_grad()
        outputs, _ = ts.unroll(cell, xs)
        (outputs * outputs).sum().backward()
        return [p.grad for p in cell.parameters()]

    contenders: dict[str, Callable[[], Any]] = {"tinyseq": ours}
    if installed("torch"):
        import torch
        from torch.nn.functional import linear

        inputs = torch.tensor(xs)
        w_ih, w_hh, b_ih, b_hh = (
            torch.tensor(value, requires_grad=True) for value in weights.values()
        )

        def theirs() -> list[Any]:
            for weight in (w_ih, w_hh, b_ih, b_hh):
                weight.grad = None
            h = c = torch.zeros(batch, size)
            outputs = []
            for x in inputs:
                i, f, g, o = (linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)).chunk(4, -1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                outputs.append(h)
            (torch.stack(outputs) ** 2).sum().backward()
            return [weight.grad.numpy() for weight in (w_ih, w_hh, b_ih, b_hh)]

        contenders["torch, loop by hand"] = theirs
        for a, b in zip(ours(), theirs(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * np.abs(b).max())
    name = f"LSTM, op by op, T{steps} B{batch} H{size}"
    return Row(name, "torch, loop by hand", limit, race(contenders, rounds))


def rows(quick: bool) -> list[Row]:
    """All workloads of this file."""
    rounds = 5 if quick else 25
    return [
        chain(rounds),
        unrolled_lstm(100, 32, 128, 1.3, rounds),
        unrolled_lstm(100, 1, 32, 0.55, 2 * rounds),
    ]
