"""The Witten-Bell model against its definition, spelt out on small texts."""

import math
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyseq.data import Vocabulary, WittenBell, load_text, ngram_table, split
from tinyseq.errors import ConfigError, DataError, DTypeError

TEXTS = st.integers(1, 4).flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.lists(st.integers(0, size - 1), min_size=1, max_size=40),
        st.lists(st.integers(0, size - 1), max_size=12),
    )
)


def literal(train, symbol, context, size):
    """p(symbol | context) by the recursion of Witten and Bell, counting afresh at every call."""
    shorter = literal(train, symbol, context[1:], size) if context else 1 / size
    followers = Counter(
        train[i + len(context)]
        for i in range(len(train) - len(context))
        if train[i : i + len(context)] == context
    )
    if not followers:
        return shorter
    distinct = len(followers)
    return (followers[symbol] + distinct * shorter) / (followers.total() + distinct)


@given(TEXTS, st.integers(1, 5))
def test_equals_the_literal_definition(texts, order):
    size, train, text = texts
    model = WittenBell(order).fit(train, size)
    expected = [
        literal(train, text[i], text[max(0, i - order + 1) : i], size) for i in range(len(text))
    ]
    np.testing.assert_allclose(model.probabilities(text), expected, rtol=1e-12)
    context = text[len(text) - order + 1 :] if len(text) >= order else text
    np.testing.assert_allclose(
        model.distribution(text),
        [literal(train, symbol, context if order > 1 else [], size) for symbol in range(size)],
        rtol=1e-12,
    )


@given(TEXTS, st.integers(1, 6))
def test_a_distribution_sums_to_one_whether_the_context_was_seen_or_not(texts, order):
    size, train, text = texts
    model = WittenBell(order).fit(train, size + 1)  # with a symbol that is never seen
    for context in ([], text, [*text, size], [size, *text], train):
        p = model.distribution(context)
        assert p.shape == (size + 1,)
        assert (p > 0).all()
        assert abs(p.sum() - 1) < 1e-12


@given(TEXTS)
def test_a_text_is_predicted_by_the_distributions_of_its_contexts(texts):
    size, train, text = texts
    model = WittenBell(3).fit(train, size)
    expected = [model.distribution(text[:i])[text[i]] for i in range(len(text))]
    np.testing.assert_allclose(model.probabilities(text), expected, rtol=1e-12)


@given(TEXTS, st.integers(1, 4))
def test_one_fit_has_the_models_of_all_lower_orders(texts, order):
    size, train, text = texts
    np.testing.assert_array_equal(
        WittenBell(4).fit(train, size).probabilities(text, order),
        WittenBell(order).fit(train, size).probabilities(text),
    )


def test_abracadabra_by_hand():
    # c(a) = 5 of 11, 5 different letters; of the 4 letters after "a", 3 are different.
    vocabulary = Vocabulary.from_text("abracadabra")
    model = WittenBell(2).fit(vocabulary.encode("abracadabra"), 5)
    p_b = (2 + 5 / 5) / (11 + 5)
    assert model.distribution()[1] == pytest.approx(p_b)
    assert model.distribution([0])[1] == pytest.approx((2 + 3 * p_b) / (4 + 3))


def test_bits_and_nats_are_the_same_number():
    model = WittenBell(3).fit([0, 1, 2, 0, 1, 2, 0], 3)
    text = [0, 1, 2, 2]
    assert model.nll(text) == pytest.approx(-sum(map(math.log, model.probabilities(text))))
    assert model.bits_per_character(text) * 4 * math.log(2) == pytest.approx(model.nll(text))


def test_a_source_of_known_entropy():
    # A Markov chain with stay probability 0.9: 0.469 bits, which no model can beat and the
    # bigram model comes near to; the unigram model sees a fair coin.
    moves = np.random.default_rng(0).random(60_000) < 0.1
    ids = moves.cumsum() % 2
    train, held_out = split(ids, (0.5, 0.5))
    entropy = -(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1))
    standard_error = math.log2(9) * math.sqrt(0.09 / len(held_out))
    unigram, bigram = ngram_table(train, held_out, (1, 2))
    assert abs(bigram.bits - entropy) < 4 * standard_error
    assert unigram.bits == pytest.approx(1, abs=0.01)
    assert (unigram.ngrams, bigram.ngrams) == (2, 4)


@pytest.fixture(scope="module")
def english():
    """The first 450,000 characters of the default text: training and held-out ids, V, hash."""
    corpus = load_text(limit=450_000)
    vocabulary = Vocabulary.from_text(corpus.text)
    return *split(vocabulary.encode(corpus.text), (0.9, 0.1)), len(vocabulary), corpus.sha256


def test_english_has_a_best_order_and_is_counted_fast(english):
    train, held_out, size, _ = english
    start = time.process_time()
    rows = ngram_table(train, held_out, range(1, 9), size)
    assert time.process_time() - start < 5
    bits = [row.bits for row in rows]
    # More context helps up to five characters; beyond that the counts are too thin.
    assert min(bits) == bits[4]
    assert bits[0] > bits[1] > bits[2] > bits[3] > bits[4] < bits[5] < bits[6] < bits[7]
    assert [row.ngrams for row in rows] == sorted(row.ngrams for row in rows)


def test_english_by_the_numbers(english):
    train, held_out, size, sha256 = english
    if not sha256.startswith("cfceb889d5a5"):
        pytest.skip("the numbers belong to the topics of Python 3.11.7; this Python has others")
    rows = ngram_table(train, held_out, (3, 5, 6, 8), size)
    # Measured by another implementation.
    assert [round(row.bits, 2) for row in rows] == [2.66, 2.15, 2.21, 2.42]


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: WittenBell(0), ConfigError, "order must be at least 1, but is 0"),
        (lambda: WittenBell(2).fit([], 3), DataError, "cannot be fitted to an empty text"),
        (lambda: WittenBell(2).fit([0, 3], 3), DataError, "id 3 at position 1 is out of range"),
        (lambda: WittenBell(2).fit([0.5], 3), DTypeError, "ids must be integers"),
        (lambda: WittenBell(2).fit([0], 0), ConfigError, "vocabulary_size must be at least 1"),
        (lambda: WittenBell(2).distribution([0]), DataError, "no counts yet; call fit"),
        (lambda: fitted().probabilities([0, 2]), DataError, "id 2 at position 1"),
        (lambda: fitted().distribution([2]), DataError, "id 2 at position 0"),
        (lambda: fitted().nll([0], order=3), ConfigError, "has order 2, so not order 3"),
        (lambda: fitted().bits_per_character([]), DataError, "empty text has no bits"),
        (lambda: ngram_table([0, 1], [0], ()), ConfigError, "orders is empty"),
    ],
)
def test_errors(act, error, message):
    with pytest.raises(error, match=message):
        act()


def fitted():
    return WittenBell(2).fit([0, 1, 0], 2)
