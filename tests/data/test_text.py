"""Corpora, vocabularies and splits."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyseq.data import Corpus, Vocabulary, load_text, split
from tinyseq.errors import ConfigError, DataError, DTypeError

PROSE = "It was the best of times, it was the worst of times, it was the age of wisdom.\n" * 3


# ---------------------------------------------------------------- load_text


def test_default_text_is_the_topics_of_pydoc_in_order():
    from pydoc_data.topics import topics

    corpus = load_text()
    assert corpus.text.split("\n", 1)[0] == topics[min(topics)].split("\n", 1)[0]
    assert len(corpus.text) == sum(map(len, topics.values())) + len(topics) - 1
    assert 300_000 < len(corpus.text) < 1_000_000
    assert "pydoc_data.topics of Python 3." in corpus.name


def test_a_corpus_prints_name_length_symbols_and_hash():
    # The SHA-256 of "abc" is the test vector of FIPS 180-2.
    corpus = Corpus("three letters", "abc")
    assert corpus.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert str(corpus) == "three letters: 3 characters, 3 different, sha256 ba7816bf8f01"


def test_a_file_is_read_as_it_is(tmp_path):
    path = tmp_path / "prose.txt"
    path.write_bytes(b"\xef\xbb\xbf" + ("naïve\r\n" + PROSE).encode())
    corpus = load_text(path)
    assert corpus.text == "naïve\r\n" + PROSE
    assert corpus.name == "prose.txt"


def test_limit_keeps_the_first_characters_and_says_so(tmp_path):
    path = tmp_path / "prose.txt"
    path.write_text(PROSE)
    assert load_text(path, limit=120).text == PROSE[:120]
    assert "first 120 characters" in load_text(path, limit=120).name
    assert load_text(path, limit=10**9) == load_text(path)
    with pytest.raises(ConfigError, match="limit must be at least 1, but is 0"):
        load_text(path, limit=0)


def test_a_file_that_is_not_utf8_says_where(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"first line\nna\xefve\n" * 20)
    with pytest.raises(DataError, match=r"not UTF-8: byte 0xef at offset 13 \(line 2\)"):
        load_text(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("too short", "has only 9 characters")],
)
def test_a_text_without_enough_characters(tmp_path, content, message):
    path = tmp_path / "small.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        load_text(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot read the text .*nowhere.txt: No such file"):
        load_text(tmp_path / "nowhere.txt")
    with pytest.raises(DataError, match="cannot read the text .*: Is a directory"):
        load_text(tmp_path)


# ---------------------------------------------------------------- split


def test_split_is_contiguous_training_text_first():
    assert split("abcdefghij", (0.7, 0.2, 0.1)) == ("abcdefg", "hi", "j")
    train, held_out = split(np.arange(20))
    assert train.tolist() == list(range(18))
    assert held_out.tolist() == [18, 19]


@given(st.integers(20, 500), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_split_loses_nothing(length, weights):
    fractions = [weight / sum(weights) for weight in weights]
    ids = np.arange(length)
    try:
        parts = split(ids, fractions)
    except DataError:
        assert min(fractions) * length <= 1
        return
    assert np.array_equal(np.concatenate(parts), ids)
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - fraction * length) <= 1


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ((0.9, 0.2), "sum to 1.1"),
        ((1.1, -0.1), "must be positive"),
        ((), "must be positive"),
        ((0.5, float("nan")), "must be positive"),
    ],
)
def test_split_refuses_other_fractions(fractions, message):
    with pytest.raises(ConfigError, match=message):
        split(PROSE, fractions)


def test_split_refuses_an_empty_part():
    with pytest.raises(DataError, match="a text of length 4 is too short to split"):
        split("abcd", (0.9, 0.1))


# ---------------------------------------------------------------- Vocabulary


@given(st.text(min_size=1))
def test_decode_undoes_encode(text):
    vocabulary = Vocabulary.from_text(text)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int64
    assert vocabulary.decode(ids) == text
    assert sorted(set(ids.tolist())) == list(range(len(vocabulary)))


def test_an_id_is_the_place_of_the_character_whatever_the_order():
    vocabulary = Vocabulary("zaé")
    assert vocabulary.encode("aéz").tolist() == [1, 2, 0]
    assert "é" in vocabulary and "b" not in vocabulary and "za" not in vocabulary
    assert vocabulary.encode("").shape == (0,)


def test_from_text_orders_by_code_point():
    assert Vocabulary.from_text("banana\n").symbols == "\nabn"


@given(st.text(min_size=1), st.sampled_from([None, "?", "\ufffd"]))
def test_a_vocabulary_survives_json(text, unknown):
    vocabulary = Vocabulary.from_text(text, unknown)
    assert Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict()))) == vocabulary


@pytest.mark.parametrize("character", ["\t", "ß", "\U0001f600"])
def test_an_unknown_character_is_shown_with_its_position(character):
    vocabulary = Vocabulary.from_text("abc\n")
    with pytest.raises(DataError) as error:
        vocabulary.encode(f"ab\nc{character}a{character}")
    message = str(error.value)
    assert f"{character!r} (U+{ord(character):04X}) at position 4 (line 2)" in message
    assert "vocabulary of 4 symbols" in message


def test_the_unknown_symbol_stands_for_other_characters():
    vocabulary = Vocabulary.from_text("abc", unknown="?")
    assert vocabulary.symbols == "?abc"
    assert vocabulary.decode(vocabulary.encode("a☃b\U0001f600")) == "a?b?"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("",), DataError, "at least one symbol"),
        (("aba",), DataError, r"'a' \(U\+0061\) is twice"),
        (("ab", "c"), DataError, "the unknown symbol 'c' is not one of the symbols"),
        (("ab", "ab"), DataError, "the unknown symbol 'ab' is not one of the symbols"),
        ((["a", "b"],), DTypeError, "symbols must be a str, but are list"),
    ],
)
def test_a_vocabulary_that_makes_no_sense(arguments, error, message):
    with pytest.raises(error, match=message):
        Vocabulary(*arguments)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([0, 3], DataError, "id 3 at position 1 is out of range: an id is 0 to 2"),
        ([-1], DataError, "id -1 at position 0 is out of range"),
        ([0.0], DTypeError, "ids must be integers, but are float64"),
        ([[0]], Exception, r"one dimension, but have shape \(1, 1\)"),
    ],
)
def test_decode_refuses_ids_that_no_symbol_has(ids, error, message):
    with pytest.raises(error, match=message):
        Vocabulary("abc").decode(ids)


@pytest.mark.parametrize("data", [{"symbols": "abc"}, ["abc"], {"symbols": "a", "unk": None}])
def test_from_dict_refuses_another_dictionary(data):
    with pytest.raises(DataError, match="has the keys symbols and unknown, but this has"):
        Vocabulary.from_dict(data)
