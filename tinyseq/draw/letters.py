"""The letters of parameters, so that one letter is one parameter.

Where several parameters have the same symbol (the W of an encoder and of its decoder, the U of two
layers), each has what it helps to compute as a subscript: W_h and W_s, or U_1 and U_2 for the
layers h1 and h2. Where that does not tell them apart, they are numbered.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tinyseq.draw.text import parts


def letters_of(
    symbols: Mapping[int, str | None],
    sources: Sequence[Collection[int]],
    names: Sequence[str | None],
) -> dict[int, str | None]:
    """The letter of every parameter of a run; None for one that has neither symbol nor name.

    Args:
        symbols: what each parameter is called by itself, by the number of its role.
        sources: for every role the roles that it is computed from, in order of computation.
        names: for every role the variable that it is, or None.
    """
    found = dict(symbols)
    alike: dict[Any, list[int]] = defaultdict(list)
    for parameter in sorted(found):
        alike[_looks(found[parameter])].append(parameter)
    several = [group for look, group in alike.items() if look and len(group) > 1]
    leads = _leads_to({k for group in several for k in group}, sources, names)
    for group in several:
        symbol = found[group[0]] or ""
        marks = _marks([leads.get(k) for k in group])
        taken = {_looks(letter) for letter in found.values()}
        written = [_marked(symbol, mark) for mark in marks]
        while any(_looks(letter) in taken for letter in written):
            symbol = f"{parts(symbol)[0]}′_{parts(symbol)[1]}".removesuffix("_")
            written = [_marked(symbol, mark) for mark in marks]
        found.update(zip(group, written, strict=True))
    return found


def _looks(letter: str | None) -> tuple[str, str] | None:
    """What is seen of a letter: U1 and U_1 look the same."""
    return None if letter is None else parts(letter)


def _leads_to(
    parameters: set[int], sources: Sequence[Collection[int]], names: Sequence[str | None]
) -> dict[int, str]:
    """For each of some parameters the last of the variables computed with it.

    That of an LSTM is h, not c; what is computed from a variable is not computed with what the
    variable was.
    """
    found: dict[int, str] = {}
    behind: dict[int, frozenset[int]] = {k: frozenset([k]) for k in parameters}
    for k, (read, name) in enumerate(zip(sources, names, strict=True)):
        met = [behind[s] for s in read if s in behind]
        if not met:
            continue
        here = met[0].union(*met[1:])
        if name is None:
            behind[k] = here
        else:
            found.update(dict.fromkeys(here, name))
    return found


def _marks(leads: Sequence[str | None]) -> list[str]:
    """What to tell parameters apart by: where they lead, else numbers."""
    if len(set(leads)) < len(leads) or not all(re.fullmatch(r"\w+", name or "") for name in leads):
        return [str(k) for k in range(1, len(leads) + 1)]
    split = [parts(name or "") for name in leads]
    if len({base for base, _ in split}) == 1 and all(number for _, number in split):
        return [number for _, number in split]
    return [name or "" for name in leads]


def _marked(symbol: str, mark: str) -> str:
    base, subscript = parts(symbol)
    return f"{base}_{subscript}{mark}"
