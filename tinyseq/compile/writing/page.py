"""page: what the text of a function is put together with."""

from __future__ import annotations

import re
from textwrap import fill

from tinyseq.compile.writing.slots import UFUNCS

FROM_NUMPY = {
    *UFUNCS.values(), "dot", "matmul", "empty", "array", "concatenate", "broadcast_to"
}  # fmt: skip


def words(lines: list[str]) -> set[str]:
    """The names that lines of code mention; those of attributes aside."""
    code = [line.partition("  # ")[0] for line in lines]
    return set(re.findall(r"(?<![.\w])[^\W\d]\w*", "\n".join(code)))


def indented(lines: list[str]) -> list[str]:
    """Lines, as they stand in a block."""
    split = [part for line in lines for part in line.split("\n")]
    return [f"    {line}" if line else "" for line in split]


def as_tuple(names: list[str]) -> str:
    """A tuple as it is written; in several lines if it is long."""
    shown = ", ".join(names)
    if len(shown) > 80:
        shown = "\n    " + fill(shown, 80, subsequent_indent="    ", break_long_words=False) + "\n"
    return f"({shown}{',' * (len(names) == 1)})"
