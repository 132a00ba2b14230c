"""Text as data: read a corpus, map its characters to ids and back, split it.

    corpus = load_text()                        # English prose that ships with Python, or a file
    vocabulary = Vocabulary.from_text(corpus.text)
    train, held_out = split(vocabulary.encode(corpus.text), (0.9, 0.1))

A text is kept as it is: no lower-casing, no change of line ends, no normalisation of Unicode.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tinyseq.data.checks import symbol_ids, whole_number
from tinyseq.errors import ConfigError, DataError, DTypeError

SHORTEST_TEXT = 100

_Sliceable = TypeVar("_Sliceable", str, np.ndarray)


@dataclass(frozen=True)
class Corpus:
    """A text with the name of where it came from.

    ``sha256`` identifies the text itself: quote it with every number measured on it. Printing a
    corpus shows name, length, number of different characters and the start of the hash.
    """

    name: str
    text: str

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    def __str__(self) -> str:
        return (
            f"{self.name}: {len(self.text):,} characters, {len(set(self.text))} different, "
            f"sha256 {self.sha256[:12]}"
        )

    def __repr__(self) -> str:
        return f"Corpus({self})"


def load_text(path: str | Path | None = None, limit: int | None = None) -> Corpus:
    """Read a UTF-8 file or, without ``path``, the prose that ships with every Python.

    The default is the standard library's ``pydoc_data.topics``: the language reference in some 80
    topics, joined by a newline in the order of their names, about 465,000 characters. It differs
    between versions of Python (see :attr:`Corpus.sha256`). Line ends of a file are kept as they
    are; a byte order mark is not part of the text.

    ``limit`` keeps only the first characters.

    Raises DataError for a file that cannot be read, that is not UTF-8, that is empty, or that has
    fewer than 100 characters, too few to learn anything from.
    """
    corpus = _python_topics() if path is None else _file(Path(path))
    if limit is not None:
        kept = corpus.text[: whole_number("limit", limit, 1)]
        if len(kept) < len(corpus.text):
            corpus = Corpus(f"{corpus.name} (first {len(kept):,} characters)", kept)
    if not corpus.text:
        raise DataError(f"{corpus.name} is empty; give a text to learn from.")
    if len(corpus.text) < SHORTEST_TEXT:
        raise DataError(
            f"{corpus.name} has only {len(corpus.text)} characters; "
            f"give a text of at least {SHORTEST_TEXT}."
        )
    return corpus


def _python_topics() -> Corpus:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            "this Python was installed without pydoc_data.topics, the default text; "
            "give the path of a text file."
        ) from None
    name = f"pydoc_data.topics of Python {platform.python_version()}"
    return Corpus(name, "\n".join(topics[topic] for topic in sorted(topics)))


def _file(path: Path) -> Corpus:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the text {path}: {error.strerror}.") from None
    try:
        return Corpus(path.name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start} "
            f"(line {line}) cannot be decoded; convert the file to UTF-8."
        ) from None


def split(text: _Sliceable, fractions: Sequence[float] = (0.9, 0.1)) -> tuple[_Sliceable, ...]:
    """Cut a text or an array of ids into contiguous parts of the given fractions of its length.

    The parts follow each other without gap or overlap: training text first, held-out text after.
    Raises ConfigError for fractions that are not positive or do not sum to 1, and DataError when
    a part would be empty.
    """
    if not fractions or any(not fraction > 0 for fraction in fractions):
        raise ConfigError(f"fractions must be positive, but are {tuple(fractions)}.")
    if abs(sum(fractions) - 1) > 1e-9:
        raise ConfigError(
            f"fractions must sum to 1, but {tuple(fractions)} sum to {sum(fractions):g}."
        )
    shares = np.array([0.0, *fractions]).cumsum()
    cuts = (len(text) * shares).round().astype(int).tolist()
    parts = tuple(text[start:stop] for start, stop in zip(cuts, cuts[1:], strict=False))
    if any(len(part) == 0 for part in parts):
        raise DataError(
            f"a text of length {len(text)} is too short to split into {tuple(fractions)}: "
            "a part would be empty."
        )
    return parts


@dataclass(frozen=True)
class Vocabulary:
    """Characters and their ids: the id of a character is its place in ``symbols``.

    ``unknown``, one of the symbols, stands for every character that is not in the vocabulary;
    without it such a character is an error. Raises DataError for no symbols, a repeated symbol,
    or an ``unknown`` that is not one of them.
    """

    symbols: str
    unknown: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.symbols, str):
            raise DTypeError(f"symbols must be a str, but are {type(self.symbols).__name__}.")
        if not self.symbols:
            raise DataError("a vocabulary needs at least one symbol.")
        repeated = [c for i, c in enumerate(self.symbols) if c in self.symbols[:i]]
        if repeated:
            raise DataError(f"{_name(repeated[0])} is twice among the symbols.")
        if self.unknown is not None and (
            len(self.unknown) != 1 or self.unknown not in self.symbols
        ):
            raise DataError(f"the unknown symbol {self.unknown!r} is not one of the symbols.")

    @classmethod
    def from_text(cls, text: str, unknown: str | None = None) -> Vocabulary:
        """The characters of ``text``, and ``unknown``, in the order of their code points."""
        return cls("".join(sorted(set(text) | set(unknown or ""))), unknown)

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, character: str) -> bool:
        return len(character) == 1 and character in self.symbols

    def encode(self, text: str) -> np.ndarray:
        """The ids (T,) int64 of a text of T characters.

        Raises DataError, with the character and its position, for one that is not in the
        vocabulary, unless there is an ``unknown`` symbol.
        """
        points = _code_points(text)
        ids = self._id_of_code_point[np.minimum(points, len(self._id_of_code_point) - 1)]
        missing = ids < 0
        if not missing.any():
            return ids
        if self.unknown is not None:
            return np.where(missing, self.symbols.index(self.unknown), ids)
        position = int(missing.argmax())
        line = text.count("\n", 0, position) + 1
        raise DataError(
            f"{_name(text[position])} at position {position} (line {line}) is not in the "
            f"vocabulary of {len(self)} symbols; build the vocabulary from a text that has it, "
            "or give the vocabulary an unknown symbol."
        )

    def decode(self, ids: Any) -> str:
        """The text of ids (T,). Raises DataError for an id that no symbol has."""
        return "".join(self.symbols[i] for i in symbol_ids(ids, len(self)).tolist())

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`from_dict` needs, in types that JSON has."""
        return {"symbols": self.symbols, "unknown": self.unknown}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Vocabulary:
        """The vocabulary that :meth:`to_dict` described; DataError for another dictionary."""
        if not isinstance(data, dict) or set(data) != {"symbols", "unknown"}:
            found = sorted(data) if isinstance(data, dict) else type(data).__name__
            raise DataError(
                f"a saved vocabulary has the keys symbols and unknown, but this has {found}."
            )
        return cls(**data)

    @cached_property
    def _id_of_code_point(self) -> np.ndarray:
        points = _code_points(self.symbols)
        # One place more than the largest code point: whatever is larger is looked up there.
        table = np.full(int(points.max()) + 2, -1, dtype=np.int64)
        table[points] = np.arange(len(points))
        return table


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _name(character: str) -> str:
    return f"character {character!r} (U+{ord(character):04X})"
