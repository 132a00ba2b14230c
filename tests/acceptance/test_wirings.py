"""One to many, many to one, many to many: shapes, masks, and what padding may not change."""

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.recurrence import FreeRunning, argmax

T, N, I, H, K = 6, 4, 3, 5, 7  # noqa: E741
LENGTHS = np.array([6, 3, 1, 4])


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def tokens(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(K, size=shape)


def decoder() -> nn.SequenceModel:
    return nn.SequenceModel(
        nn.GRUCell(I, H, seed=0), nn.Linear(H, K, seed=1), embed=nn.Embedding(K, I, seed=2)
    ).to(np.float64)


def test_one_to_many():
    """A vector as the initial state, then the model's own outputs (a caption from an image)."""
    model, vector = decoder(), numbers(N, H)
    begin = np.zeros((T, N), int)
    outputs, state = model(begin, np.tanh(vector), feed=FreeRunning(argmax))
    assert outputs.shape == (T, N, K) and state.shape == (N, H)
    for n in range(N):  # each depends on its own vector, and on it alone
        alone, _ = model(begin[:, :1], np.tanh(vector[n : n + 1]), feed=FreeRunning(argmax))
        np.testing.assert_allclose(alone.data[:, 0], outputs.data[:, n], rtol=1e-12, atol=1e-13)
    start = ts.tensor(np.tanh(vector), requires_grad=True)
    outputs, _ = model(begin, start, feed=FreeRunning(argmax))
    g = ts.grad((outputs[:, 0] * 1.0).sum(), start)
    assert g[0].any() and not g[1:].any()


def test_many_to_one():
    """The state after each sequence's own last element decides (a sentiment)."""
    cell, readout = nn.LSTMCell(I, H, seed=0).to(float), nn.Linear(H, 2, seed=1).to(float)
    xs = numbers(T, N, I)
    _, state = ts.unroll(cell, xs, lengths=LENGTHS)
    logits = readout(state.h)
    assert logits.shape == (N, 2)
    for n, length in enumerate(LENGTHS):
        _, alone = ts.unroll(cell, xs[:length, n : n + 1])
        np.testing.assert_allclose(readout(alone.h).data[0], logits.data[n], rtol=1e-12, atol=1e-14)
    _, unmasked = ts.unroll(cell, xs)
    assert abs(readout(unmasked.h).data - logits.data)[LENGTHS < T].max() > 1e-2
    # as a mask over the losses of all steps: the same
    model = nn.SequenceModel(cell, readout)
    labels = np.broadcast_to(np.array([0, 1, 1, 0]), (T, N))
    last = np.arange(T)[:, None] == LENGTHS - 1
    loss, _ = model.loss(xs, labels, mask=last)
    assert loss.item() == pytest.approx(nn.cross_entropy(logits, labels[0]).item(), rel=1e-12)


@pytest.mark.parametrize("literal", [False, True])
def test_many_to_many_in_step(literal: bool):
    """An output for every element (tagging); the padding has no part in loss and gradients."""
    inside = np.arange(T)[:, None] < LENGTHS
    results = []
    for padding in (0, 5):
        model, xs, ys = decoder(), tokens(T, N), tokens(T, N)
        xs[~inside] = padding
        ys[~inside] = padding
        loss, _ = model.loss(xs, ys, mask=inside, literal=literal)
        loss.backward()
        results.append([loss.data, *(p.grad for p in model.parameters())])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    model, xs, ys = decoder(), tokens(T, N), tokens(T, N)
    total = 0.0
    for n, length in enumerate(LENGTHS):
        part, _ = model.loss(xs[:length, n : n + 1], ys[:length, n : n + 1])
        total += part.item()
    assert results[0][0] == pytest.approx(total, rel=1e-12)
    everything, _ = model.loss(xs, ys, literal=literal)
    assert abs(everything.item() - total) > 1


def test_many_to_many_later():
    """Encoder and decoder of different lengths: the whole input is read before the first output."""
    encoder, model = nn.GRUCell(I, H, seed=5).to(float), decoder()
    x = ts.tensor(numbers(T, N, I), requires_grad=True)
    _, context = ts.unroll(encoder, x, lengths=LENGTHS)
    outputs, _ = model(tokens(9, N), context)
    assert outputs.shape == (9, N, K)
    first = ts.grad((outputs[0] * 1.0).sum(), x, retain_graph=True)
    inside = np.arange(T)[:, None] < LENGTHS
    np.testing.assert_array_equal(first.any(axis=-1), inside)
    for n, length in enumerate(LENGTHS):
        _, alone = ts.unroll(encoder, x.data[:length, n : n + 1])
        single, _ = model(tokens(9, N)[:, n : n + 1], alone)
        np.testing.assert_allclose(single.data[:, 0], outputs.data[:, n], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_both_directions_over_padded_sequences(kind: Any):
    """The backward direction starts at each sequence's own end, not in its padding."""
    layer = kind(I, H, num_layers=2, bidirectional=True, seed=0).to(float)
    xs = numbers(T, N, I)
    ys, _ = layer(xs, lengths=LENGTHS)
    for n, length in enumerate(LENGTHS):
        alone, _ = layer(xs[:length, n : n + 1])
        np.testing.assert_allclose(alone.data[:, 0], ys.data[:length, n], rtol=1e-12, atol=1e-13)
    unmasked, _ = layer(xs)
    assert abs(unmasked.data[0, 2] - ys.data[0, 2]).max() > 1e-3
