"""In which column everything stands in a picture of operations, and what stands in its gaps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tinyseq.draw.columns import shown_columns
from tinyseq.draw.graph import Edge, Graph, Step
from tinyseq.draw.text import Name


class Link(NamedTuple):
    """An edge, or the part of it between the keys of two things that are placed."""

    edge: Edge
    source: Any
    target: Any


def blocks(graph: Graph) -> tuple[dict[Any, int], dict[Any, Name]]:
    """For all that is in an unrolled graph the place of its step among all; and the gaps' words."""
    block: dict[Any, int] = {}
    gaps: dict[Any, Name] = {}
    number: dict[Step, int] = {}
    for k, column in enumerate(shown_columns(graph)):
        if isinstance(column, int):
            words = f"··· {column} more step{'s' * (column > 1)} ···"
            gaps["gap", k] = Name(words, bold=False, italic=False, size=13.0)
            block["gap", k] = k
        else:
            number.update(dict.fromkeys(column, k))
    block.update((v.id, number[v.loop, v.time]) for v in graph.vertices if v.time is not None)
    sources, readers = defaultdict(list), defaultdict(list)
    for e in graph.edges:
        sources[e.target].append(e.source)
        readers[e.source].append(e.target)
    outside = [v.id for v in graph.vertices if v.time is None]
    for near, ids, choose in ((sources, outside, max), (readers, outside[::-1], min)):
        for id in ids:
            known = [block[n] for n in near[id] if n in block]
            if known and id not in block:
                block[id] = choose(known)
    return {**dict.fromkeys(outside, 0), **block}, gaps


def into_gap(edge: Edge, block: Mapping[Any, int], gaps: Mapping[Any, Name]) -> list[Link]:
    """The visible part of an edge one end of which is left out: from or to the nearest gap."""
    if not isinstance(edge.delay, int) or edge.delay == 0:
        return []
    leaves = edge.source in block
    here = block[edge.source if leaves else edge.target]
    onwards = (edge.delay > 0) == leaves
    there = [k for _, k in gaps if (k > here) == onwards]
    if not there:
        return []
    gap = ("gap", min(there) if onwards else max(there))
    return [Link(edge, edge.source, gap) if leaves else Link(edge, gap, edge.target)]


def layer_numbers(
    keys: Sequence[Any], links: Sequence[tuple[Any, Any]], block: Mapping[Any, int]
) -> tuple[dict[Any, int], list[int]]:
    """The column of everything, behind all that it reads, and the first column of every step.

    What reads nothing stands just before what reads it.
    """
    sources, readers = defaultdict(list), defaultdict(list)
    for s, t in links:
        sources[t].append(s)
        readers[s].append(t)
    waiting = {key: len(sources[key]) for key in keys}
    by_block: dict[int, list[Any]] = defaultdict(list)
    for key in keys:
        by_block[block.get(key, 0)].append(key)
    layer: dict[Any, int] = {}
    starts: list[int] = []
    first = 0
    for k in sorted(by_block):
        starts.append(first)
        ready = [key for key in by_block[k] if not waiting[key]]
        for key in ready:
            layer[key] = max((layer[s] + 1 for s in sources[key]), default=first)
            layer[key] = max(layer[key], first)
            for t in readers[key]:
                waiting[t] -= 1
                if not waiting[t] and block.get(t, 0) == k:
                    ready.append(t)
        first = max((layer[key] for key in ready), default=first - 1) + 1
    for key in keys:
        if isinstance(key, str) and not sources[key] and readers[key]:
            layer[key] = min(layer[t] for t in readers[key]) - 1
    return layer, starts


def together(layer: dict[Any, int], links: Sequence[Link], loop: Mapping[str, int | None]) -> None:
    """Move the delays of each recurrence into the column before the first that reads one."""
    first: dict[int | None, int] = {}
    delayed = [link for link in links if not isinstance(link.source, str)]
    for link in delayed:
        number = loop[link.source[0]]
        first[number] = min(layer[link.target] - 1, first.get(number, layer[link.target] - 1))
    for link in delayed:
        layer[link.source] = first[loop[link.source[0]]]
