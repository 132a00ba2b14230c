"""Text in pictures: what a name looks like, how wide it is, and how to make any text harmless.

Labels come from users and from data. Everything that reaches a picture goes through ``clean``, and
through ``html.escape`` where it is put into Graphviz's HTML-like labels.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from html import escape

LONGEST = 24  # characters of a name that are shown
MINUS = "−"
_LONGEST_LINE = 48
_SPACE = 0.18  # between the parts of a line

# Widths of Times at size 1, in the italic that names are set in; the rest is taken for average.
_WIDTHS = {
    **dict.fromkeys("fijlt()[]{}|!.,;:·' `", 0.3),
    **dict.fromkeys("rs-I", 0.4),
    **dict.fromkeys("mwMWU@%⏎␣" + MINUS, 0.8),
    **dict.fromkeys("ABCDEFGHKLNOPQRSTVXYZ&", 0.68),
}
_VISIBLE = {" ": "␣", "\n": "⏎", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True)
class Name:
    """A name as it is set: ``h1`` at time 3 is h with the subscript 1 and the superscript (3).

    ``rest`` is what follows in the same line, as in U x + W h.
    """

    base: str
    subscript: str = ""
    superscript: str = ""
    bold: bool = True
    size: float = 15.0
    italic: bool = True
    rest: tuple[Name, ...] = ()

    @property
    def width(self) -> float:
        """The width in points, about."""
        small = max(
            width(self.subscript, 0.62 * self.size), width(self.superscript, 0.57 * self.size)
        )
        following = sum(name.width + _SPACE * self.size for name in self.rest)
        return width(self.base, self.size) + small + following

    @property
    def plain(self) -> str:
        """The name without setting: ``h1(3)``."""
        first = self.base + self.subscript + self.superscript
        return " ".join([first, *(name.plain for name in self.rest)])


def name(text: str, time: object = None, bold: bool = True, size: float = 15.0) -> Name:
    """Set a name: trailing digits, or what follows an underscore, become a subscript."""
    base, subscript = parts(text)
    superscript = "" if time is None else f"({time_text(time)})".replace("-", MINUS)
    return Name(base, subscript, superscript, bold, size)


@lru_cache(1000)
def listed(texts: tuple[str, ...], size: float = 15.0) -> Name:
    """Set several names in one line, with commas between them."""
    first, *others = (name(text, size=size) for text in texts)
    if not any(one.subscript for one in (first, *others)):
        return replace(first, base=", ".join(one.base for one in (first, *others)))
    comma = Name(",", size=size, italic=False)
    return replace(first, rest=tuple(part for other in others for part in (comma, other)))


def time_text(time: object) -> str:
    """A time in words: ``3``, or ``2,1`` for a step inside a step."""
    return ",".join(map(str, time)) if isinstance(time, tuple) else str(time)


def formula(text: str, bold: bool = True, size: float = 13.0) -> Name:
    """Set a line of names and signs, such as ``U_1 x + W_1 h``."""
    words = []
    for word in clean(text, _LONGEST_LINE).split():
        base, subscript = parts(word)
        letters = base[:1].isalpha()
        words.append(Name(base, subscript, "", bold and letters, size, len(base) == 1 and letters))
    return replace(words[0], rest=tuple(words[1:]))


@lru_cache(1000)
def parts(text: str) -> tuple[str, str]:
    """What stands in the line, and the subscript: trailing digits, or what follows a ``_``."""
    shown = clean(text)
    match = re.fullmatch(r"(.*?[^\d_.])(?:_(\w+(?:,\w+)*)|(\d[\d_]*))", shown)
    return (match[1], match[2] or match[3]) if match else (shown, "")


def clean(text: str, longest: int = LONGEST) -> str:
    """The text without control characters and the like, shortened; never empty."""
    kept = "".join(c for c in text[: 20 * longest] if unicodedata.category(c)[0] != "C")
    kept = " ".join(kept.split())
    return (kept[: longest - 1] + "…" if len(kept) > longest else kept) or "?"


def visible(text: str, longest: int = LONGEST) -> str:
    """A character or word of data, with space and control characters made visible."""
    shown = [
        _VISIBLE.get(c) or (c if unicodedata.category(c)[0] != "C" else f"\\x{ord(c):02x}")
        for c in text[:longest]
    ]
    return "".join(shown) + ("…" if len(text) > longest else "")


@lru_cache(10_000)
def width(text: str, size: float) -> float:
    """The width of a text in points, about."""
    return size * sum(
        _WIDTHS.get(c, 1.0 if unicodedata.east_asian_width(c) in "WF" else 0.5) for c in text
    )


def rich(name: Name, ink: str = "black") -> str:
    """A name as a Graphviz label: an HTML-like table, since <SUP> is not raised everywhere."""
    if not name.rest:
        return f"<{_set(name, ink)}>"
    parts = [replace(name, rest=()), *name.rest]
    cells = "".join(f"<TD>{_set(part, ink)}</TD>" for part in parts)
    space = round(_SPACE * name.size)
    table = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="{space}" CELLPADDING="0">'
    return f"<{table}<TR>{cells}</TR></TABLE>>"


def _set(name: Name, ink: str) -> str:
    base = _font(name.base, name.size, name.bold, name.italic, ink)
    if not name.subscript and not name.superscript:
        return base
    above = _font(name.superscript, 0.57 * name.size, False, name.italic, ink)
    below = _font(name.subscript, 0.62 * name.size, name.bold, name.italic, ink)
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
    high = f'<TD ALIGN="LEFT" HEIGHT="{0.6 * name.size:.0f}">{above}</TD>'
    low = f'<TD ALIGN="LEFT" HEIGHT="{0.5 * name.size:.0f}">{below}</TD>'
    return f'{table}<TR><TD ROWSPAN="2">{base}</TD>{high}</TR><TR>{low}</TR></TABLE>'


def _font(text: str, size: float, bold: bool, italic: bool, ink: str) -> str:
    if not text:
        return ""
    inner = escape(text).replace("\\", "\\\\")  # or \N would become the node's name
    inner = f"<I>{inner}</I>" if italic else inner
    inner = f"<B>{inner}</B>" if bold else inner
    return f'<FONT POINT-SIZE="{size:.1f}" COLOR="{ink}">{inner}</FONT>'
