"""LanguageModel: the probability of a text, sampling, and what it refuses."""

from itertools import product
from typing import Any

import numpy as np
import pytest

import strict_cupy
import tinyseq as ts
from tinyseq.errors import ConfigError, DataError
from tinyseq.models import LanguageModel
from tinyseq.models.language_model import CELLS
from tinyseq.recurrence import argmax, sampler

K = 3


def model(cell: str = "lstm", **settings: Any) -> LanguageModel:
    made = LanguageModel(K, 5, cell, seed=0, **settings).to(np.float64)
    rng = np.random.default_rng(1)
    for parameter in made.parameters():  # far from the uniform distribution
        parameter.assign(rng.normal(size=parameter.shape))
    return made


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("num_layers", [1, 2])
def test_the_probabilities_of_all_texts_sum_to_one(cell: str, num_layers: int):
    """Book, eq. 10.31: P(y(1) ... y(T)) = prod P(y(t) | y(1) ... y(t-1)); 81 texts of 4 tokens."""
    made = model(cell, num_layers=num_layers)
    texts = np.array(list(product(range(K), repeat=4))).T
    first = np.zeros((1, texts.shape[1]), int)  # a start symbol
    inputs = np.concatenate([first, texts[:-1]])
    logits, _ = made(inputs)
    nll = ts.nn.cross_entropy(logits, texts, "none").data.sum(axis=0)
    assert np.exp(-nll).sum() == pytest.approx(1, abs=1e-12)
    loss, _ = made.loss(inputs, texts)
    assert loss.item() == pytest.approx(nll.sum(), rel=1e-12)


def test_parameters_do_not_depend_on_the_length():
    made = model()
    assert made.loss(np.zeros((2, 1), int), np.zeros((2, 1), int))
    before = [p.shape for p in made.parameters()]
    made.loss(np.zeros((50, 1), int), np.zeros((50, 1), int))
    assert [p.shape for p in made.parameters()] == before


@pytest.mark.parametrize("prompt", [[0], [2, 1, 0, 2]])
def test_generating_is_drawing_one_token_after_the_other(prompt: list[int]):
    made = model()
    found = made.generate(prompt, 12, seed=3)
    draw, tokens = sampler(seed=3), list(prompt)
    for _ in range(12):
        logits, _ = made(np.array(tokens)[:, None])
        tokens.append(int(draw(logits[-1])[0]))
    np.testing.assert_array_equal(found, tokens[len(prompt) :])
    assert found.dtype.kind == "i" and found.shape == (12,)


def test_temperature_zero_takes_the_most_probable_token():
    made = model()
    found = made.generate([1], 8, temperature=0)
    tokens = [1]
    for _ in range(8):
        tokens.append(int(argmax(made(np.array(tokens)[:, None])[0].data[-1])[0]))
    np.testing.assert_array_equal(found, tokens[1:])
    np.testing.assert_array_equal(made.generate([1], 30, temperature=1e-9, seed=0)[:8], found)


def test_sampled_texts_have_the_models_probabilities():
    """20,000 texts of two tokens: chi-square over the nine of them, 8 degrees of freedom."""
    made, runs = model(), 20_000
    draw = sampler(seed=0)
    x = np.zeros((1, runs), int)
    first = draw(made(x)[0].data[0])
    second = draw(made(np.stack([x[0], first]))[0].data[1])
    counts = np.bincount(first * K + second, minlength=K * K)
    texts = np.array(list(product(range(K), repeat=2))).T
    inputs = np.concatenate([np.zeros((1, 9), int), texts[:1]])
    p = np.exp(-ts.nn.cross_entropy(made(inputs)[0], texts, "none").data.sum(0))
    assert ((counts - runs * p) ** 2 / (runs * p)).sum() < 26.1  # exceeded once in a thousand


def test_generating_changes_nothing():
    made = model(num_layers=2, dropout=0.5)
    made.readout.eval()
    made.generate([0], 3, seed=0)
    assert made.training and made.cell.training and not made.readout.training
    again = made.generate([0], 20, seed=0)
    np.testing.assert_array_equal(made.generate([0], 20, seed=0), again)  # no dropout in it
    assert all(p.grad is None for p in made.parameters())


def test_the_mode_is_restored_after_an_error(monkeypatch: pytest.MonkeyPatch):
    made = model()

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(type(made.cell), "__call__", fail)
    with pytest.raises(RuntimeError):
        made.generate([0], 3)
    assert made.training


def test_the_same_text_in_every_array_library(xp: Any):
    made = model().to("numpy" if xp is np else "cupy")
    expected = model().generate([0, 1], 10, seed=5)
    np.testing.assert_array_equal(made.generate([0, 1], 10, seed=5), expected)
    np.testing.assert_array_equal(made.generate(xp.asarray([0, 1]), 10, seed=5), expected)


def test_on_the_gpu_a_loss_waits_only_for_the_checks_of_its_indices(monkeypatch: Any):
    xp = strict_cupy.install(monkeypatch)
    made = model().to("cupy")
    x = xp.asarray(np.random.default_rng(0).integers(K, size=(20, 4)))
    with strict_cupy.count_syncs() as syncs:
        loss, _ = made.loss(x, x, literal=False)
        loss.backward()
    assert len(syncs) <= 3  # of tokens and targets, once for all steps


@pytest.mark.parametrize("prompt", [[], [K], [-1], [0.5], [[0, 1]], "ab", [True]])
def test_a_prompt_is_tokens(prompt: Any):
    with pytest.raises(DataError, match="at least one token"):
        model().generate(prompt, 3)


def test_nothing_may_be_generated_but_not_less():
    assert model().generate([0], 0).shape == (0,)
    with pytest.raises(DataError, match="length=-1"):
        model().generate([0], -1)
    with pytest.raises(ConfigError, match="temperature"):
        model().generate([0], 3, temperature=-1)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"cell": "rnn"}, "elman, relu, lstm, gru"),
        ({"num_layers": 0}, "num_layers"),
        ({"vocabulary_size": 0}, "positive"),
        ({"hidden_size": 0}, "positive"),
        ({"num_layers": 2, "dropout": 1.0}, "Dropout"),
    ],
)
def test_settings_that_make_no_model(settings: Any, words: str):
    with pytest.raises(ConfigError, match=words):
        LanguageModel(**({"vocabulary_size": K, "hidden_size": 4} | settings))


def test_sizes():
    made = LanguageModel(7, 5, num_layers=2, embedding_size=3)
    assert made.embed.weight.shape == (7, 3)
    assert [c.weight_ih.shape for c in made.cell.cells] == [(20, 3), (20, 5)]
    assert made.readout.weight.shape == (7, 5)
    forget = np.split(made.cell.cells[0].bias_ih.data + made.cell.cells[0].bias_hh.data, 4)[1]
    np.testing.assert_array_equal(forget, 1)
