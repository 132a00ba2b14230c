"""scale: from numbers to colours that tell them apart without their hue.

Norms and other positive numbers get darker as they grow, on a logarithmic scale where they span
more than two orders of magnitude. Numbers of both signs are blue below zero and orange above it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import log10

from tinyseq.draw.text import MINUS

# From nothing to the largest; each darker than the one before, so hue does not matter.
RAMP = ("#fffbe0", "#fee795", "#fdc24d", "#f59228", "#db6012", "#a83c07", "#5f1f06")
BELOW = ("#f7f7f7", "#c6dbef", "#7fb1d8", "#3a7fb8", "#174f87", "#082c55")
ABOVE = ("#f7f7f7", "#fddbb4", "#fbb25e", "#e67f17", "#a84f04", "#5f2a02")
_LOGARITHMIC = 100.0  # from this ratio of the largest to the smallest


@dataclass(frozen=True)
class Scale:
    """What colour a number has.

    Attributes:
        kind: "linear" from ``low`` to ``high``, "log" (the two are positive), or "signed": from
            ``low`` = -``high`` to ``high``.
    """

    kind: str
    low: float
    high: float

    def place(self, value: float) -> float:
        """Where a number stands between the lowest, 0, and the highest, 1."""
        if self.kind == "log":
            if value <= 0:
                return 0.0
            width = log10(self.high / self.low)
            return 1.0 if width < 1e-9 else log10(value / self.low) / width
        return 0.0 if self.high <= self.low else (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """The number at a place."""
        if self.kind == "log":
            return self.low * (self.high / self.low) ** place
        return self.low + place * (self.high - self.low)

    def colour(self, value: float) -> str:
        """The colour of a number."""
        place = self.place(value)
        if self.kind != "signed":
            return shade(place)
        return shade(1 - 2 * place, BELOW) if place < 0.5 else shade(2 * place - 1, ABOVE)


def scale_of(numbers: Collection[float], logarithmic: bool | None = None) -> Scale:
    """The scale on which some numbers are told apart."""
    lowest, highest = min(numbers), max(numbers)
    if lowest < 0:
        return Scale("signed", -max(-lowest, highest), max(-lowest, highest))
    positive = [number for number in numbers if number > 0]
    spread = highest / min(positive) if positive else 1.0
    if positive and (spread > _LOGARITHMIC if logarithmic is None else logarithmic):
        return Scale("log", min(positive), highest)
    return Scale("linear", 0.0, highest)


def shade(strength: float, ramp: tuple[str, ...] = RAMP) -> str:
    """A colour of a ramp, for a number from 0 to 1."""
    place = min(max(strength, 0.0), 1.0) * (len(ramp) - 1)
    k = min(int(place), len(ramp) - 2)
    pairs = zip(_channels(ramp[k]), _channels(ramp[k + 1]), strict=True)
    return "#" + "".join(f"{round(a + (place - k) * (b - a)):02x}" for a, b in pairs)


def luminance(colour: str) -> float:
    """How light a colour is, from 0 to 1."""
    red, green, blue = ((c / 255) ** 2.2 for c in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> list[int]:
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def written(number: float) -> str:
    """A number in little space: 0.03, 1.2, 4e-5."""
    if number == 0 or 0.01 <= abs(number) < 1000:
        return f"{number:.2g}".replace("-", MINUS) if abs(number) < 100 else f"{number:.0f}"
    mantissa, exponent = f"{number:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
