"""Every operation alone in a step: before the loop, in it, and after it."""

import pytest

from compile.checks import assert_compiles
from compile.written_cells import (
    BINARY,
    FEATURES,
    GATES,
    HALVES,
    OTHERS,
    PAIRS,
    SQUASHED,
    UNARY,
    WEIGHED,
    WrittenCell,
    filled,
)

EVERYTHING = [*UNARY, *BINARY, *SQUASHED, *FEATURES, *HALVES, *PAIRS, *WEIGHED, *OTHERS, *GATES]
X0, X1, S0 = (4,), (2,), (2,)
WEIGHTS = {"W": (2, 2), "V": (2, 4), "B": (2,), "M": (2, 2), "R": (2,), "R1": (1, 2), "S": (),
           "U": (4, 2), "G": (4, 4), "C": (4,), "D": (4,)}  # fmt: skip
WORDS = {word: f"p{k}" for k, word in enumerate(WEIGHTS)}


def step_with(text: str, place: str) -> WrittenCell:
    """A step whose state depends on the operation's result, but for an operation put after it."""
    words = {**WORDS, "ROWF": "ROW2", "MASKF": "MASK2", "FS": "2", "HALF": "1"}
    a, b = ("x1", "x2") if place == "before" else ("s0", "x1")
    words |= {"a": a, "b": b, "f": a, "g": "x0"}
    if place == "after":
        words |= {"a": "s0", "f": "s0"}
    lines = [f"v0 = {filled(text, words)}", "v1 = tanh(0.5 * s0 + x1)"]
    if place != "after":
        lines[1] = (
            "v1 = tanh(0.5 * s0 + (v0 if v0.shape[:1] != (n,) else reshape(v0, n, -1)).sum())"
        )
    return WrittenCell(lines, [X0, X1, X1], [S0], list(WEIGHTS.values()), ["v0"], ["v1"])


@pytest.mark.parametrize("place", ["before", "loop", "after"])
@pytest.mark.parametrize("text", EVERYTHING)
def test_it_compiles(text: str, place: str):
    cell = step_with(text, place)
    for batch in (1, 3):
        assert_compiles(cell, *cell.data(4, batch))
