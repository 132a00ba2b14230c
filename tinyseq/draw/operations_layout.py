"""The operations as a scene, from left to right: circuits like the book's figure 10.16.

A delay is a black square at the left, where the step before hands its state over; the wire that
brings it there runs above or below everything else. Unrolled, the steps stand side by side.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinyseq.draw.frames import frames_of
from tinyseq.draw.graph import Graph
from tinyseq.draw.layers import Box, layered
from tinyseq.draw.operations_columns import Link, blocks, into_gap, layer_numbers, together
from tinyseq.draw.operations_wires import End, returns, wires_along
from tinyseq.draw.scene import Disc, Note, Scene, Square
from tinyseq.draw.style import (
    GREY,
    OPERATION_FILLS,
    colours,
    inked,
    names,
    operation_size,
    sizes,
    tinted,
)
from tinyseq.draw.text import MINUS, Name, formula
from tinyseq.draw.tree_layout import is_tree


def operations_circuit(graph: Graph) -> Scene:
    """Place a circuit: what is delayed runs through black squares."""
    return operations_scene(graph, circuit=True)


def operations_unrolled(graph: Graph) -> Scene:
    """Place an unrolled graph: step by step, all alike."""
    return operations_scene(graph, circuit=False)


def operations_scene(graph: Graph, circuit: bool) -> Scene:
    """Place a graph of operations.

    Args:
        graph: as ``operations`` gives it.
        circuit: whether edges with a delay run through black squares.
    """
    discs = _discs(graph)
    block, gaps = ({}, {}) if circuit else blocks(graph)
    squares: dict[Any, Square] = {}
    links: list[Link] = []
    for e in graph.edges:
        delayed = circuit and e.delay not in (0, None)
        if delayed:
            squares[e.source, e.delay] = Square(0.0, 0.0)
        links.append(Link(e, (e.source, e.delay) if delayed else e.source, e.target))
    links += [link for e in graph.cut for link in into_gap(e, block, gaps)]
    sized = {id: (disc.width, disc.height) for id, disc in discs.items()}
    sized.update((key, (square.side, square.side)) for key, square in squares.items())
    sized.update((key, (note.width + 12, note.size + 6)) for key, note in gaps.items())
    forward = [block.get(k.source, 0) <= block.get(k.target, 0) for k in links]
    ways = [(k.source, k.target)[:: 1 if f else -1] for k, f in zip(links, forward, strict=True)]
    layer, starts = layer_numbers(list(sized), ways, block)
    if circuit:
        together(layer, links, {v.id: v.loop for v in graph.vertices})
    boxes = {key: Box(*sized[key], layer[key]) for key in sized}
    alike = {v.id: (v.id.rpartition("(")[0] or v.id, v.loop) for v in graph.vertices}
    regular = not circuit and not is_tree(graph.times)
    placed = layered(boxes, ways, {**alike, **{g: g for g in gaps}} if regular else None, starts)
    at = placed.places
    discs = {id: replace(disc, x=at[id][0], y=at[id][1]) for id, disc in discs.items()}
    squares = {key: Square(*at[key]) for key in squares}
    notes = [Note(text, *at[key], GREY) for key, text in gaps.items()]
    ends: dict[Any, End] = {**discs, **squares, **dict(zip(gaps, notes, strict=True))}
    colour = colours(graph)
    wires = returns(squares, discs, placed, layer) + wires_along(
        links, forward, ends, placed, layer
    )
    shown = tuple(tinted(disc, colour) for disc in discs.values())
    return Scene(
        shown,
        tuple(inked(wire, discs, colour) for wire in wires),
        tuple(squares.values()),
        (
            *(_number(square, key[1]) for key, square in squares.items() if key[1] != 1),
            *notes,
        ),
        frames_of(shown),
    )


def _discs(graph: Graph) -> dict[str, Disc]:
    """Every vertex with its look, not yet in its place."""
    variables = Graph(tuple(v for v in graph.vertices if v.kind not in OPERATION_FILLS), ())
    written = names(variables)
    size = sizes(variables, written)
    found = {}
    for v in graph.vertices:
        if v.kind in OPERATION_FILLS:
            text = formula(v.label, bold=v.kind == "map")
            width, height = operation_size(v.kind, text)
            fill, line = OPERATION_FILLS[v.kind]
            found[v.id] = Disc(v, text, 0.0, 0.0, width, height, fill, line)
        else:
            found[v.id] = Disc(v, written[v.id], 0.0, 0.0, *size[v.label])
    return found


def _number(square: Square, delay: Any) -> Note:
    text = Name(str(delay).replace("-", MINUS), bold=False, italic=False, size=11.0)
    return Note(text, square.x, square.y - square.side / 2 - 8)
