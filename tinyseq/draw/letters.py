"""The letters of parameters, so that one letter is one parameter.

Where several parameters have the same symbol (the W of an encoder and of its decoder, the U of two
layers), each has what it helps to compute as a subscript: W_h and W_s, or U_1 and U_2 for the
layers h1 and h2. Where that does not tell them apart, they are numbered.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinyseq.autograd.node import Leaf, Node
from tinyseq.draw.text import parts


def letters_of(
    nodes: Iterable[Node], parameters: Iterable[Node], names: Mapping[Node, str]
) -> dict[Node, str | None]:
    """The letter of every parameter of a run; None for one that has neither symbol nor name.

    Args:
        nodes: of the run, in order of creation.
        parameters: those of the nodes that are learned.
        names: of the variables among the nodes.
    """
    found = {node: _symbol(node) for node in parameters}
    alike: dict[Any, dict[Node, None]] = defaultdict(dict)
    for node in nodes:  # as parameters are known in no order
        if node in found:
            alike[_looks(found[node])][node] = None
    several = [list(group) for look, group in alike.items() if look and len(group) > 1]
    leads = _leads_to(nodes, {node for group in several for node in group}, names)
    for group in several:
        symbol = found[group[0]] or ""
        marks = _marks([leads.get(node) for node in group])
        taken = {_looks(letter) for letter in found.values()}
        written = [_marked(symbol, mark) for mark in marks]
        while any(_looks(letter) in taken for letter in written):
            symbol = f"{parts(symbol)[0]}′_{parts(symbol)[1]}".removesuffix("_")
            written = [_marked(symbol, mark) for mark in marks]
        found.update(zip(group, written, strict=True))
    return found


def _symbol(leaf: Any) -> str | None:
    """What a parameter is called by itself: its symbol, or the last part of its name."""
    assert isinstance(leaf, Leaf)
    return leaf.symbol or (leaf.parameter_name or "").rpartition(".")[2] or leaf.label


def _looks(letter: str | None) -> tuple[str, str] | None:
    """What is seen of a letter: U1 and U_1 look the same."""
    return None if letter is None else parts(letter)


def _leads_to(
    nodes: Iterable[Node], parameters: set[Node], names: Mapping[Node, str]
) -> dict[Node, str]:
    """For each of some parameters the last of the variables computed with it.

    That of an LSTM is h, not c; what is computed from a variable is not computed with what the
    variable was.
    """
    found: dict[Node, str] = {}
    behind: dict[Node, frozenset[Node]] = {node: frozenset([node]) for node in parameters}
    for node in nodes if parameters else ():
        met = [behind[p] for p in node.parents if p in behind]
        if not met:
            continue
        here = met[0].union(*met[1:])
        if node in names:
            found.update(dict.fromkeys(here, names[node]))
        else:
            behind[node] = here
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
